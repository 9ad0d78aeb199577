//! Reads what a store writes in XML: the code of an error, and pages of lists. Only elements without attributes are
//! looked for, and text in them cannot hold `<`, so that a search for their tags finds them and nothing else.

use crate::clock::Timestamp;

/// Longest code of an error; the longest there is has about 50 letters.
const CODE_BYTES_MAX: usize = 64;

/// A page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectPage {
    /// Keys as the store has them, and when they were written.
    pub(super) objects: Vec<(String, Timestamp)>,
    /// Whether there is more after it.
    pub(super) truncated: bool,
}

/// The code of an error: letters and digits of it only, since it goes to the log. The rest of such a body is not for
/// anybody's eyes: it may repeat what was signed.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let code = first(first(text, "Error")?, "Code")?.trim();
    let is_code = !code.is_empty()
        && code.len() <= CODE_BYTES_MAX
        && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

/// Reads a page of a list. `None` for what is not one, or is incomplete.
pub(super) fn page(body: &[u8]) -> Option<ObjectPage> {
    let text = std::str::from_utf8(body).ok()?;
    // The outermost element carries a namespace.
    let start = text.find("<ListBucketResult")?;
    let end = text.rfind("</ListBucketResult>")?;
    let mut rest = text.get(start..end)?;
    let truncated = first(rest, "IsTruncated").map(str::trim) == Some("true");
    let mut objects = Vec::new();
    while let Some(at) = rest.find("<Contents>") {
        rest = &rest[at..];
        let entry = first(rest, "Contents")?;
        let key = unescape(first(entry, "Key")?)?;
        let written = Timestamp::parse(first(entry, "LastModified")?.trim())?;
        objects.push((key, written));
        rest = &rest["<Contents>".len() + entry.len()..];
    }
    Some(ObjectPage { objects, truncated })
}

/// The text between the first `<name>` and the `</name>` after it.
fn first<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let rest = text.get(start..)?;
    rest.get(..rest.find(&format!("</{name}>"))?)
}

/// Text with its entities replaced; `None` for one that XML does not have.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (name, after) = rest[at + 1..].split_once(';')?;
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>dbward</Name><Prefix>results/</Prefix>
<KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
<Contents><Key>results/a/b</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><Size>4</Size></Contents>
<Contents><Key>results/&lt;&#x26;&#38;&amp;</Key><LastModified>2009-10-12T17:50:31Z</LastModified></Contents>
</ListBucketResult>"#;

    #[test]
    fn a_page_is_read() {
        let read = page(LIST.as_bytes()).unwrap();
        assert!(read.truncated);
        assert_eq!(read.objects[0].0, "results/a/b");
        assert_eq!(read.objects[0].1.rfc3339(), "2009-10-12T17:50:30.000Z");
        assert_eq!(read.objects[1].0, "results/<&&&");
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(page(empty.as_bytes()), Some(ObjectPage::default()));
    }

    #[test]
    fn what_is_not_a_page_is_refused() {
        for text in [
            "",
            "<html>",
            "<ListBucketResult>",
            "</ListBucketResult><ListBucketResult>",
            "<ListBucketResult><Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        ] {
            assert_eq!(page(text.as_bytes()), None, "{text}");
        }
        for (good, bad) in [
            ("2009-10-12T17:50:30.000Z", "yesterday"),
            ("&lt;", "&nbsp;"),
            ("&lt;", "&"),
            ("&lt;", "&#xd800;"),
        ] {
            let text = LIST.replacen(good, bad, 1);
            assert_eq!(page(text.as_bytes()), None, "{bad}");
        }
        // Cut off anywhere, it is refused.
        for n in 0..LIST.len() {
            assert_eq!(page(&LIST.as_bytes()[..n]), None, "{n}");
        }
        assert_eq!(page(b"\xff"), None);
    }

    #[test]
    fn of_an_error_only_the_code_is_read() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>secret</Message></Error>";
        assert_eq!(error_code(body).as_deref(), Some("AccessDenied"));
        for text in [
            "",
            "<Error><Code></Code></Error>",
            "<Error><Code>a\nb</Code></Error>",
            "<Code>NoSuchKey</Code>",
            "<html>NoSuchKey</html>",
        ] {
            assert_eq!(error_code(text.as_bytes()), None, "{text}");
        }
        let long = format!("<Error><Code>{}</Code></Error>", "a".repeat(65));
        assert_eq!(error_code(long.as_bytes()), None);
    }
}
