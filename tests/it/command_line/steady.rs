//! What differs from run to run, replaced by what is the same in every run.

/// How long executions took as ` · 7 ms`.
pub fn steady_durations(text: &str) -> String {
    let mut parts = text.split(" ms");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = out.len() - out.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let start = out.len() - digits;
        if digits > 0 && out[..start].ends_with(" · ") {
            out.replace_range(start.., "7");
        }
        out.push_str(" ms");
        out.push_str(part);
    }
    out
}

/// Ports of this machine that are different in every run.
pub fn steady_ports(text: &str) -> String {
    const HERE: &str = "127.0.0.1:";
    let mut parts = text.split(HERE);
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        out.push_str(HERE);
        // What a test names itself is short.
        out.push_str(if digits > 3 { "PORT" } else { &part[..digits] });
        out.push_str(&part[digits..]);
    }
    out
}

/// Numbers of processes, as `by process 4711`.
pub fn steady_processes(text: &str) -> String {
    const BEFORE: &str = "by process ";
    let mut parts = text.split(BEFORE);
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push_str(BEFORE);
        out.push_str("NUMBER");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// Dates as `2026-01-02 03:04`, `2026-01-02T03:04:05.678Z` and the like.
pub fn steady_times(text: &str) -> String {
    let pattern = |c: char, p: char| match p {
        '0' => c.is_ascii_digit(),
        '#' => c.is_ascii_hexdigit(),
        p => c == p,
    };
    let fits = |rest: &str, shape: &str| {
        rest.chars().count() >= shape.len()
            && rest.chars().zip(shape.chars()).all(|(c, p)| pattern(c, p))
    };
    let shapes = [
        (
            "\"request_id\":\"################\"",
            "\"request_id\":\"0123456789abcdef\"",
        ),
        ("0000-00-00T00:00:00.000", "2026-01-02T03:04:05.678"),
        ("0000-00-00 00:00 UTC", "2026-01-02 03:04 UTC"),
        ("00000000000000_", "20260102030405_"),
        (
            "dbw_################################",
            "dbw_00000000000000000000000000000000",
        ),
    ];
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match shapes.iter().find(|(shape, _)| fits(rest, shape)) {
            Some((shape, steady)) => {
                out.push_str(steady);
                rest = &rest[shape.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}
