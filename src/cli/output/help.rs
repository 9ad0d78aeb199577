//! Help, wrapped to the terminal: what does not fit goes on below where its description began.

/// Where a description goes on that begins too far to the right, or nowhere.
const INDENT: usize = 4;

/// A page of help in lines of at most `columns` characters, as far as its words allow. Examples stay as they are, since
/// they are copied.
pub fn wrapped(page: &str, columns: usize) -> String {
    let mut out = String::new();
    for line in page.lines() {
        let is_example = line.trim_start().starts_with("dbward ");
        match is_example || line.chars().count() <= columns {
            true => out.push_str(line),
            false => wrap(line, columns, &mut out),
        }
        out.push('\n');
    }
    out
}

fn wrap(line: &str, columns: usize, out: &mut String) {
    let lead = line.len() - line.trim_start().len();
    let indent = description(line)
        .filter(|at| *at <= columns / 2)
        .unwrap_or(lead + INDENT);
    let (mut used, mut is_first) = (lead, true);
    out.push_str(&line[..lead]);
    // The spaces between an option and its description belong to the option.
    for word in line[lead..].split_inclusive(' ') {
        let width = word.trim_end().chars().count();
        if !is_first && width > 0 && used + width > columns {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        }
        out.push_str(word);
        used += word.chars().count();
        is_first = false;
    }
}

/// Where the description of an option or a command begins: after two spaces or more.
fn description(line: &str) -> Option<usize> {
    let text = line.trim_start();
    let lead = line.len() - text.len();
    let gap = text.find("  ")?;
    let rest = &text[gap..];
    Some(lead + gap + rest.len() - rest.trim_start().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_where_their_description_began() {
        let page = "Usage: dbward a\n  -d, --database <NAME>  Name of the database, or of\n";
        assert_eq!(
            wrapped(page, 40),
            "Usage: dbward a\n  -d, --database <NAME>  Name of the\n      database, or of\n"
        );
        assert_eq!(
            wrapped(page, 48),
            "Usage: dbward a\n  -d, --database <NAME>  Name of the database,\n      or of\n"
        );
        assert_eq!(wrapped(page, 60), page);
        let short = "  -d <N>  One two three\n";
        assert_eq!(wrapped(short, 18), "  -d <N>  One two\n      three\n");
        let narrow = "  -d  One two three\n";
        assert_eq!(wrapped(narrow, 13), "  -d  One two\n      three\n");
        let example = "  dbward execute \"SELECT 1\" -d app\n";
        assert_eq!(wrapped(example, 20), example);
    }
}
