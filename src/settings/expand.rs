//! `${NAME}` and `${NAME:-default}` in the text of a configuration, from the environment.
//!
//! The text is expanded before it is parsed, so that `workers = ${WORKERS}` works as well as `"${HOME}/dbward"`. But a
//! value can never become configuration: inside `"..."` it is escaped, inside `'...'` it may hold neither a quote nor
//! a control character, and outside quotes it may only be a number, a boolean, a date or a bare word. It is not
//! expanded again. Comments are left alone. Line numbers stay as they are, since no value brings a line break in.
//!
//! A default counts only where the variable is unset; an empty variable stays empty. A default is the author's own
//! text and stands as it was written.

use super::problem::Problem;

/// Size of the expanded text, in bytes: a small file must not grow without end by naming a long variable often.
const EXPANDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where in the text we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Bare,
    Comment,
    /// A string, by what ends it.
    Quoted(&'static str),
}

/// Delimiters of strings, longest first.
const QUOTES: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

/// The expanded text, and what is wrong with its variables. What could not be expanded is left
/// out of the text, or stands as `0` where it was not in quotes.
pub fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> (String, Vec<Problem>) {
    let mut scan = Expansion {
        env,
        out: String::with_capacity(text.len()),
        line: 1,
        within: Within::Bare,
        problems: Vec::new(),
    };
    let mut rest = text;
    while !rest.is_empty() {
        let taken = if rest.starts_with("${") && scan.within != Within::Comment {
            scan.variable(rest)
        } else {
            let taken = scan.step(rest);
            scan.out.push_str(&rest[..taken]);
            taken
        };
        scan.line += rest[..taken].matches('\n').count();
        rest = &rest[taken..];
        if scan.out.len() > EXPANDED_BYTES_MAX {
            scan.problem("", "the file is too large with its variables expanded");
            break;
        }
    }
    (scan.out, scan.problems)
}

struct Expansion<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    out: String,
    line: usize,
    within: Within,
    problems: Vec<Problem>,
}

impl Expansion<'_> {
    /// Bytes of ordinary text to copy, having followed where they lead.
    fn step(&mut self, rest: &str) -> usize {
        let first = rest.chars().next().map_or(1, char::len_utf8);
        match self.within {
            Within::Comment => {
                if rest.starts_with('\n') {
                    self.within = Within::Bare;
                }
                first
            }
            Within::Bare => {
                if let Some(quote) = QUOTES.into_iter().find(|q| rest.starts_with(q)) {
                    self.within = Within::Quoted(quote);
                    return quote.len();
                }
                if rest.starts_with('#') {
                    self.within = Within::Comment;
                }
                first
            }
            Within::Quoted(quote) => {
                if quote.starts_with('"') && rest.starts_with('\\') {
                    let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
                    return 1 + escaped;
                }
                if let Some(after) = rest.strip_prefix(quote) {
                    self.within = Within::Bare;
                    // A long string may end in up to two quotes of its own before the three that close it.
                    let own = after.bytes().take(quote.len() - 1);
                    return quote.len() + own.take_while(|b| *b == quote.as_bytes()[0]).count();
                }
                if quote.len() == 1 && rest.starts_with('\n') {
                    self.within = Within::Bare;
                }
                first
            }
        }
    }

    /// Expands the variable that `rest` begins with; bytes of it that are done.
    fn variable(&mut self, rest: &str) -> usize {
        let line = rest.split('\n').next().unwrap_or_default();
        let Some(end) = line.find('}') else {
            self.problem("${", "a variable is not closed by `}` on the same line");
            return 2;
        };
        let inside = &line[2..end];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let taken = end + 1;
        let key = format!("${{{name}}}");
        if !is_variable(name) {
            self.problem(
                &key,
                "not the name of a variable; write `${NAME}` or `${NAME:-default}`",
            );
            return taken;
        }
        if default.is_some_and(|d| d.contains("${")) {
            self.problem(&key, "a default cannot hold a variable");
            return taken + usize::from(line[taken..].starts_with('}'));
        }
        match ((self.env)(name), default) {
            (Some(value), _) => self.value(&key, &value),
            (None, Some(default)) => match self.within {
                Within::Quoted(quote) if default.contains(&quote[..1]) => {
                    self.problem(&key, "a default within quotes cannot hold such a quote");
                }
                _ => self.out.push_str(default),
            },
            (None, None) => self.problem(
                &key,
                "this variable is not set; set it, or give a default as in `${NAME:-default}`",
            ),
        }
        taken
    }

    /// Writes a value so that it is nothing but a value.
    fn value(&mut self, key: &str, value: &str) {
        match self.within {
            Within::Quoted(quote) if quote.starts_with('"') => {
                for c in value.chars() {
                    match c {
                        '"' | '\\' => {
                            self.out.push('\\');
                            self.out.push(c);
                        }
                        c if c.is_control() => {
                            self.out.push_str(&format!("\\u{:04X}", u32::from(c)))
                        }
                        c => self.out.push(c),
                    }
                }
            }
            Within::Quoted(_) if value.chars().any(|c| c == '\'' || c.is_control()) => {
                self.problem(
                    key,
                    "the value of this variable holds a quote or a control character; \
                     write it in double quotes",
                );
            }
            Within::Bare if !is_bare(value) => self.problem(
                key,
                "the value of this variable cannot stand without quotes; write it in double quotes",
            ),
            _ => self.out.push_str(value),
        }
    }

    fn problem(&mut self, key: &str, message: &str) {
        // Something has to stand there, or the rest of the file could not be judged.
        if self.within == Within::Bare {
            self.out.push('0');
        }
        self.problems.push(Problem {
            key: key.to_owned(),
            line: Some(self.line),
            message: message.to_owned(),
        });
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A number, a boolean, a date, a bare key: nothing that could open, close or separate.
fn is_bare(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'.' | b':');
    !value.is_empty() && value.bytes().all(plain)
}
