//! Reads Rust files the way the rules need them: code without comments and without what stands in quotes, the quoted
//! texts themselves, and which lines are tests.

use super::{files_under, read};

/// One Rust file.
pub struct Source {
    /// Relative to the root of the repository.
    pub path: String,
    /// As it is.
    pub text: String,
    /// The same, with spaces for comments and for the inside of quotes; offsets and lines are those of `text`.
    pub code: String,
    /// Every string literal.
    pub strings: Vec<Quoted>,
    /// Every comment to the end of a line, with its slashes.
    pub comments: Vec<Quoted>,
    /// Spans of `code` that only tests compile.
    tests: Vec<(usize, usize)>,
}

/// A string literal.
pub struct Quoted {
    /// Where its opening quote stands in the file.
    pub at: usize,
    /// What it says, escapes resolved.
    pub value: String,
}

/// A function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of its `fn`.
    pub line: usize,
    /// Lines from its `fn` to its closing brace.
    pub lines: usize,
}

/// All Rust files under a folder.
pub fn sources(folder: &str) -> Vec<Source> {
    let paths = files_under(folder).into_iter();
    let found: Vec<Source> = paths
        .filter(|p| p.ends_with(".rs"))
        .map(|p| Source::read(&p))
        .collect();
    assert!(!found.is_empty(), "no source under {folder}");
    found
}

impl Source {
    /// Reads one file.
    pub fn read(path: &str) -> Source {
        Source::new(path, read(path))
    }

    /// A file with this text.
    pub fn new(path: &str, text: String) -> Source {
        let (code, strings, comments) = split(&text);
        let mut source = Source {
            path: path.to_owned(),
            text,
            code,
            strings,
            comments,
            tests: Vec::new(),
        };
        source.tests = source.test_spans();
        source
    }

    /// `path:line` of an offset.
    pub fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.line(at))
    }

    /// The line of an offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    }

    /// Whether only tests compile what stands there.
    pub fn is_test(&self, at: usize) -> bool {
        self.tests
            .iter()
            .any(|(start, end)| (*start..*end).contains(&at))
    }

    /// Offsets in the code, outside tests, of `what` where it does not continue a longer name.
    pub fn uses(&self, what: &str) -> Vec<usize> {
        let found = self.mentions(what).into_iter();
        found.filter(|at| !self.is_test(*at)).collect()
    }

    /// Offsets in the code, tests included, of `what` where it does not continue a longer name.
    pub fn mentions(&self, what: &str) -> Vec<usize> {
        let starts_word = what.starts_with(is_name);
        let found = self.code.match_indices(what).map(|(at, _)| at);
        found
            .filter(|at| !starts_word || !self.code[..*at].ends_with(is_name))
            .collect()
    }

    /// Every function with a body, tests included.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in self.mentions("fn ") {
            let name: String = self.code[at + 3..]
                .chars()
                .take_while(|c| is_name(*c))
                .collect();
            let Some((open, close)) = body(&self.code, at) else {
                continue;
            };
            if name.is_empty() || open == close {
                continue;
            }
            let line = self.line(at);
            found.push(Function {
                name,
                line,
                lines: self.line(close) - line + 1,
            });
        }
        found
    }

    fn test_spans(&self) -> Vec<(usize, usize)> {
        let mut parts = self.path.split('/');
        if parts.any(|part| part == "tests" || part == "tests.rs" || part == "benches") {
            return vec![(0, self.text.len())];
        }
        let marks = self.code.match_indices("#[cfg(test)]");
        marks
            .filter_map(|(at, mark)| Some((at, body(&self.code, at + mark.len())?.1 + 1)))
            .collect()
    }
}

/// Whether a character may stand in a name.
pub fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The braces of the item that begins at `from`; both the semicolon of one without a body.
fn body(code: &str, from: usize) -> Option<(usize, usize)> {
    let mut depth = 0;
    let mut open = None;
    for (n, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' => {
                depth += 1;
                open = open.or((depth == 1).then_some(n));
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((open?, n));
                }
            }
            b';' if depth == 0 => return Some((n, n)),
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Code with blanks for comments and quoted texts, the quoted texts, and the comments.
fn split(text: &str) -> (String, Vec<Quoted>, Vec<Quoted>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut strings = Vec::new();
    let mut comments = Vec::new();
    let mut blank = |from: usize, to: usize| {
        for byte in &mut code[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut n = 0;
    while n < bytes.len() {
        let rest = &text[n..];
        let in_name = text[..n].ends_with(is_name);
        let length = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            blank(n, n + length);
            comments.push(Quoted {
                at: n,
                value: rest[..length].to_owned(),
            });
            length
        } else if rest.starts_with("/*") {
            let length = block_comment(rest);
            blank(n, n + length);
            length
        } else if let Some((open, close, length)) = raw_string(rest).filter(|_| !in_name) {
            blank(n + open, n + close);
            strings.push(Quoted {
                at: n,
                value: rest[open..close].to_owned(),
            });
            length
        } else if rest.starts_with('"') {
            let (value, length) = string(rest);
            blank(n + 1, n + length - 1);
            strings.push(Quoted { at: n, value });
            length
        } else if let Some(length) = character(rest) {
            blank(n + 1, n + length - 1);
            length
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        n += length;
    }
    (String::from_utf8(code).unwrap(), strings, comments)
}

/// Length of a block comment, inner ones included.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut n) = (0, 0);
    while n < rest.len() {
        let two = rest.as_bytes().get(n..n + 2).unwrap_or_default();
        match two {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                n += 1;
                continue;
            }
        }
        n += 2;
        if depth == 0 {
            break;
        }
    }
    n
}

/// Start and end of the inside of a raw string, and the length of all of it.
fn raw_string(rest: &str) -> Option<(usize, usize, usize)> {
    let after = rest.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let open = rest.len() - after.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let close = open + rest[open..].find(&end)?;
    Some((open, close, close + end.len()))
}

/// What a string literal says, and its length with both quotes.
fn string(rest: &str) -> (String, usize) {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((n, c)) = chars.next() {
        match c {
            '"' => return (value, n + 1),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('\n') => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(c) => value.push(c),
                None => {}
            },
            c => value.push(c),
        }
    }
    (value, rest.len())
}

/// Length of a character literal; `None` for a lifetime and anything else.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let first = chars.next()?;
    if first == '\\' {
        let escaped = 1 + chars.next()?.len_utf8();
        return Some(1 + escaped + inside[escaped..].find('\'')? + 1);
    }
    (chars.next()? == '\'').then(|| first.len_utf8() + 2)
}

#[test]
fn comments_and_quotes_are_not_code() {
    let text = "fn a<'x>(c: &'x str) { /* \" /* */ } */ let q = ('\"', '\\'', b\"}\\\"\"); } // fn b() {}\n\
                const R: &str = r#\"raw \" { text\"#; const S: &str = \"two \\\n   words\";\n\
                #[cfg(test)]\nmod tests {\n fn c() { x.unwrap() }\n}\nfn d() { x.unwrap() }\n";
    let source = Source::new("src/x.rs", text.to_owned());
    assert_eq!(source.code.len(), text.len());
    let names: Vec<String> = source.functions().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["a", "c", "d"]);
    let values: Vec<&str> = source.strings.iter().map(|s| s.value.as_str()).collect();
    assert_eq!(values, ["}\"", "raw \" { text", "two words"]);
    let lines: Vec<usize> = source
        .uses(".unwrap()")
        .iter()
        .map(|at| source.line(*at))
        .collect();
    assert_eq!(lines, [8]);
}
