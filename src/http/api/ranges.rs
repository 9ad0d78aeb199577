//! Parts of a download: `Range` with a single range of bytes, and its entity tags (RFC 9110).

use std::ops::Range;

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// Everything: nothing was asked for, or what we do not serve in parts.
    Whole,
    Bytes(Range<usize>),
    /// Bytes that are not there.
    Outside,
}

/// Reads a `Range` for an object of `total` bytes. A malformed one is ignored, as is one of several ranges: both may
/// be answered whole.
pub(super) fn part(header: Option<&str>, total: usize) -> ByteRange {
    let Some((unit, spec)) = header.and_then(|h| h.split_once('=')) else {
        return ByteRange::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return ByteRange::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return ByteRange::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => inside(first, last.saturating_add(1), total),
        (Some(first), None) if last.is_empty() => inside(first, total, total),
        (None, Some(count)) if first.is_empty() => {
            inside(total.saturating_sub(count), total, total)
        }
        _ => ByteRange::Whole,
    }
}

fn inside(start: usize, end: usize, total: usize) -> ByteRange {
    let range = start..end.min(total);
    if range.is_empty() {
        return ByteRange::Outside;
    }
    ByteRange::Bytes(range)
}

/// Digits; more of them than fit are as good as infinity.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

/// Whether an `If-None-Match` names `etag`; compared weakly, as the RFC has it.
pub(in crate::http) fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || strong == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_served() {
        for (header, want) in [
            ("bytes=0-0", ByteRange::Bytes(0..1)),
            ("bytes=2-5", ByteRange::Bytes(2..6)),
            ("bytes=2-", ByteRange::Bytes(2..10)),
            ("bytes=-3", ByteRange::Bytes(7..10)),
            ("bytes=-99", ByteRange::Bytes(0..10)),
            ("bytes=9-99999999999999999999999", ByteRange::Bytes(9..10)),
            ("Bytes = 0-1", ByteRange::Bytes(0..2)),
            ("bytes=10-", ByteRange::Outside),
            ("bytes=10-20", ByteRange::Outside),
            ("bytes=99999999999999999999999-", ByteRange::Outside),
            ("bytes=-0", ByteRange::Outside),
        ] {
            assert_eq!(part(Some(header), 10), want, "{header}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), ByteRange::Outside);
        assert_eq!(part(Some("bytes=-1"), 0), ByteRange::Outside);
    }

    #[test]
    fn anything_else_is_answered_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=--1",
        ] {
            assert_eq!(part(Some(header), 10), ByteRange::Whole, "{header}");
        }
        assert_eq!(part(None, 10), ByteRange::Whole);
    }

    #[test]
    fn tags_are_compared_weakly() {
        for list in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(names(list, "\"a\""), "{list}");
        }
        for list in ["", "\"b\"", "a", "\"A\""] {
            assert!(!names(list, "\"a\""), "{list}");
        }
    }
}
