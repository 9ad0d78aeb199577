//! Finding a word in a list of keywords, whatever its case: done for every word of every text.

/// A sorted list of words in capitals, each beginning with a letter, and where those of each letter begin.
pub(super) struct WordList {
    words: &'static [&'static str],
    /// Of `A` to `Z`, and the end.
    starts: [usize; 27],
}

impl WordList {
    pub const fn new(words: &'static [&'static str]) -> WordList {
        let mut starts = [words.len(); 27];
        let (mut letter, mut at) = (0, 0);
        while letter < 26 {
            while at < words.len() && words[at].as_bytes()[0] < b'A' + letter as u8 {
                at += 1;
            }
            starts[letter] = at;
            letter += 1;
        }
        WordList { words, starts }
    }

    /// The word of the list that `word` is, in any case.
    pub fn find(&self, word: &str) -> Option<&'static str> {
        let first = word.as_bytes().first()?.to_ascii_uppercase();
        let letter = usize::from(first.checked_sub(b'A')?);
        let (from, to) = (*self.starts.get(letter)?, *self.starts.get(letter + 1)?);
        let same = |listed: &&&str| listed.eq_ignore_ascii_case(word);
        self.words.get(from..to)?.iter().find(same).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: WordList = WordList::new(&["ADD", "ALL", "BY", "IS", "ZONE"]);

    #[test]
    fn listed_words_are_found_in_any_case_and_nothing_else() {
        for word in LIST.words {
            assert_eq!(LIST.find(word), Some(*word));
            assert_eq!(LIST.find(&word.to_lowercase()), Some(*word));
            assert_eq!(LIST.find(&format!("{word}S")), None);
            assert_eq!(LIST.find(&word[..word.len() - 1]), None);
        }
        for word in ["", "@", "[", "`", "a", "é", "ZZ", "_BY", "\u{17f}"] {
            assert_eq!(LIST.find(word), None, "{word:?}");
        }
    }

    #[test]
    fn lists_in_use_are_sorted_words_in_capitals() {
        for list in [
            &super::super::limits::CHAINS,
            &super::super::redact::CANONICAL,
        ] {
            assert!(list.words.is_sorted());
            for word in list.words {
                assert!(
                    word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                    "{word}"
                );
                assert_eq!(list.find(word), Some(*word));
            }
        }
    }
}
