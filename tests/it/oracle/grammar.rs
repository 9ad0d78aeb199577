//! Statements made from a grammar in a file, and mutations of them. The same seed makes the same statements.

use std::collections::BTreeMap;

/// A generator of numbers of our own, so that a seed means the same on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }

    fn choice<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

enum Part {
    Text(String),
    Rule {
        name: String,
        perhaps: bool,
        several: bool,
    },
}

pub struct Grammar {
    rules: BTreeMap<String, Vec<Vec<Part>>>,
    /// The lines of each rule as they are written.
    lines: BTreeMap<String, Vec<String>>,
}

/// Nesting of rules beyond which the alternative without rules is taken.
const DEPTH_MAX: usize = 14;

impl Grammar {
    pub fn parse(text: &str) -> Grammar {
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut rule = String::new();
        for line in text.lines() {
            if line.trim().is_empty() || line.starts_with("# ") || line == "#" {
                continue;
            }
            if let Some(more) = line.strip_prefix("    ") {
                let last = lines.get_mut(&rule).and_then(|l| l.last_mut()).unwrap();
                last.push('\n');
                last.push_str(more);
            } else if let Some(alternative) = line.strip_prefix("  ") {
                lines
                    .entry(rule.clone())
                    .or_default()
                    .push(alternative.to_owned());
            } else {
                rule = line.trim_end_matches(':').to_owned();
            }
        }
        let parsed = |(name, lines): (&String, &Vec<String>)| {
            (name.clone(), lines.iter().map(|l| parts(l)).collect())
        };
        let grammar = Grammar {
            rules: lines.iter().map(parsed).collect(),
            lines,
        };
        for part in grammar.rules.values().flatten().flatten() {
            if let Part::Rule { name, .. } = part {
                assert!(grammar.rules.contains_key(name), "there is no rule {name}");
            }
        }
        grammar
    }

    pub fn lines(&self, rule: &str) -> impl Iterator<Item = &str> {
        self.lines[rule].iter().map(String::as_str)
    }

    pub fn statement(&self, dice: &mut Dice) -> String {
        let mut out = String::new();
        self.expand("statement", dice, 0, &mut out);
        out
    }

    fn expand(&self, rule: &str, dice: &mut Dice, depth: usize, out: &mut String) {
        let alternatives = &self.rules[rule];
        let ends = |parts: &&Vec<Part>| parts.iter().all(|p| matches!(p, Part::Text(_)));
        let chosen = match alternatives.iter().find(ends) {
            Some(end) if depth > DEPTH_MAX => end,
            _ => dice.choice(alternatives),
        };
        for part in chosen {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Rule { perhaps: true, .. } if dice.roll(3) > 0 => {}
                Part::Rule { name, several, .. } => {
                    self.expand(name, dice, depth + 1, out);
                    while *several && depth < DEPTH_MAX && dice.roll(3) == 0 {
                        out.push_str(", ");
                        self.expand(name, dice, depth + 1, out);
                    }
                }
            }
        }
    }

    /// `sql` with something changed that a reader may miss: parts of another statement, bait, comments.
    pub fn mutation(&self, sql: &str, other: &str, dice: &mut Dice) -> String {
        let mut words = words(sql);
        let others = words_of(other);
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(words.len() + 1);
            let bait = || self.lines["bait"].clone();
            match dice.roll(9) {
                0 if at < words.len() => {
                    words.remove(at);
                }
                1 if at < words.len() => words[at] = dice.choice(&bait()).clone(),
                2 if at < words.len() => {
                    let to = dice.roll(words.len());
                    words.swap(at, to);
                }
                3 => {
                    let from = dice.roll(others.len());
                    let to = (from + dice.roll(12)).min(others.len());
                    words.splice(at..at, others[from..to].iter().cloned());
                }
                4 => words.insert(at, "/* ; ' */".to_owned()),
                5 => words.insert(at, "-- ' \n".to_owned()),
                6 => return self.wrapped(&words.join(" "), dice),
                _ => words.insert(at, dice.choice(&bait()).clone()),
            }
        }
        words.join(" ")
    }

    fn wrapped(&self, sql: &str, dice: &mut Dice) -> String {
        let bait = dice.choice(&self.lines["bait"]);
        match dice.roll(9) {
            0 => format!("WITH w AS ({sql}) SELECT * FROM w"),
            1 => format!("SELECT * FROM ({sql}) z"),
            2 => format!("EXPLAIN {sql}"),
            3 => format!("EXPLAIN ANALYZE {sql}"),
            4 => format!("{sql} {bait}"),
            5 => format!("({sql}) {bait}"),
            6 => format!("{bait} {sql}"),
            7 => format!("SELECT ({sql}), {bait}"),
            _ => format!("WITH w AS ({bait}) {sql}"),
        }
    }
}

fn parts(line: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('<') {
        let (before, tail) = rest.split_at(start);
        text.push_str(before);
        let name_end = tail[1..].find(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        let end = name_end.map_or(tail.len(), |e| e + 1);
        let (name, after) = (&tail[1..end], &tail[end..]);
        let mark = ["?>", ",>", ">"].into_iter().find(|m| after.starts_with(m));
        match mark {
            Some(mark) if name.len() > 1 => {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Rule {
                    name: name.to_owned(),
                    perhaps: mark == "?>",
                    several: mark == ",>",
                });
                rest = &after[mark.len()..];
            }
            _ => {
                text.push('<');
                rest = &tail[1..];
            }
        }
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    parts.retain(|p| !matches!(p, Part::Text(t) if t.is_empty()));
    parts
}

fn words_of(sql: &str) -> Vec<String> {
    words(sql)
}

/// Roughly the words of a statement: names and numbers, quoted things, single marks.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let mut word = c.to_string();
        if c.is_whitespace() {
            continue;
        }
        let is_name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@');
        if is_name(&c) {
            while let Some(next) = chars.next_if(|c| is_name(c)) {
                word.push(next);
            }
        } else if matches!(c, '\'' | '"' | '`') {
            for next in chars.by_ref() {
                word.push(next);
                if next == c {
                    break;
                }
            }
        } else if !matches!(c, '(' | ')' | ',' | ';') {
            let is_mark = |c: &char| "+-*/<>=~!@#%^&|?:".contains(*c);
            while let Some(next) = chars.next_if(|c| is_mark(c)) {
                word.push(next);
            }
        }
        words.push(word);
    }
    words
}
