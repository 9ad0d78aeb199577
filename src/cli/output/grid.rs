//! Rows and columns, and the formats they are printed in.

use super::terminal::Paint;
use super::words::exactly;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, presets};

/// Narrowest a column that shrinks may become, in columns of the terminal.
const SHRUNK: usize = 16;
/// What stands left of every row, and between two columns.
const GAP: usize = 2;

#[derive(Debug, Clone)]
pub struct GridColumn {
    pub title: String,
    /// Numbers stand right.
    pub numeric: bool,
    /// Whether its cells may be cut to fit a terminal.
    pub shrinks: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridCell {
    /// For people; `None` is NULL.
    pub shown: Option<String>,
    /// For programs; `None` is NULL.
    pub raw: Option<String>,
}

impl GridCell {
    /// A cell that people and programs read alike.
    pub fn text(text: impl Into<String>) -> GridCell {
        let text = text.into();
        GridCell {
            shown: Some(text.clone()),
            raw: Some(text),
        }
    }

    pub fn null() -> GridCell {
        GridCell {
            shown: None,
            raw: None,
        }
    }
}

/// Rows of an answer.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    pub columns: Vec<GridColumn>,
    pub rows: Vec<Vec<GridCell>>,
    /// Each row as the JSON object that it came as.
    pub objects: Vec<String>,
    /// What is printed in place of a table without rows.
    pub empty: Option<&'static str>,
    /// Whether only the first column is printed as `quiet`.
    pub ids: bool,
    /// Titles of columns that a narrow terminal may go without, the first to go first.
    pub optional: &'static [&'static str],
}

impl Grid {
    /// Whether its rows can be shown on a terminal of that width, where long cells are cut.
    pub fn fits(&self, width: Option<usize>) -> bool {
        let Some(width) = width else {
            return true;
        };
        let widths = self.widths();
        let least: usize = self
            .columns
            .iter()
            .zip(widths)
            .map(|(column, width)| {
                GAP + if column.shrinks {
                    width.min(SHRUNK)
                } else {
                    width
                }
            })
            .sum();
        least <= width
    }

    /// As much of the grid as fits on a terminal of that width, and the titles of the columns that are left out; `None` where
    /// there is no room even without all that are optional.
    pub fn narrowed(&self, width: Option<usize>) -> Option<(Grid, Vec<&'static str>)> {
        let mut narrow = self.clone();
        let mut left_out = Vec::new();
        let mut optional = self.optional.iter();
        while !narrow.fits(width) {
            let title = optional.next()?;
            let Some(at) = narrow.columns.iter().position(|c| c.title == *title) else {
                continue;
            };
            narrow.remove_column(at);
            left_out.push(*title);
        }
        Some((narrow, left_out))
    }

    fn remove_column(&mut self, at: usize) {
        self.columns.remove(at);
        for row in &mut self.rows {
            row.remove(at);
        }
    }

    /// Leaves out the column of this place if every cell of it is null.
    pub fn drop_if_null(&mut self, at: usize) {
        let is_null = |row: &Vec<GridCell>| row.get(at).is_none_or(|cell| cell.raw.is_none());
        if self.rows.iter().all(is_null) && at < self.columns.len() {
            self.remove_column(at);
        }
    }

    /// The widest cell of each column.
    fn widths(&self) -> Vec<usize> {
        let mut table = self.arranged(Paint::new(false));
        table.set_content_arrangement(ContentArrangement::Disabled);
        let widths = table.column_max_content_widths();
        widths.into_iter().map(usize::from).collect()
    }

    /// Aligned columns. On a terminal long cells are cut, with a mark; elsewhere never.
    pub fn table(&self, width: Option<usize>, paint: Paint) -> String {
        let mut table = self.arranged(paint);
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        }
        let text = table.to_string();
        let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
        lines.collect()
    }

    fn arranged(&self, paint: Paint) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_truncation_indicator("…");
        table.set_content_arrangement(ContentArrangement::Disabled);
        let head = self.columns.iter().map(|c| aligned(paint.dim(&c.title), c));
        table.set_header(Row::from(head.collect::<Vec<_>>()));
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns).map(|(cell, column)| {
                let text = match &cell.shown {
                    Some(text) => one_line(text),
                    None => paint.dim("NULL"),
                };
                aligned(text, column)
            });
            let mut row = Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        for (n, column) in table.column_iter_mut().enumerate() {
            let gap = u16::try_from(GAP).unwrap_or(0);
            column.set_padding((gap, 0));
            if self.columns.get(n).is_some_and(|c| !c.shrinks) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }

    /// One line a column.
    pub fn vertical(&self, paint: Paint) -> String {
        let titles = self.columns.iter().map(|c| c.title.chars().count());
        let wide = titles.max().unwrap_or(0);
        let mut out = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            if self.rows.len() > 1 {
                out.push_str(&paint.dim(&format!("  row {}", n + 1)));
                out.push('\n');
            }
            for (cell, column) in row.iter().zip(&self.columns) {
                let text = match &cell.shown {
                    // The lines of a long text stay below each other.
                    Some(text) => exactly(text).replace('\n', &format!("\n{:wide$}    ", "")),
                    None => paint.dim("NULL"),
                };
                let title = paint.dim(&format!("{:<wide$}", column.title));
                out.push_str(format!("  {title}  {text}").trim_end());
                out.push('\n');
            }
        }
        out
    }

    /// One object a line, as it came.
    pub fn jsonl(&self) -> String {
        self.objects.iter().map(|o| format!("{o}\n")).collect()
    }

    /// RFC 4180, lines ended by a line feed as other tools of a shell have it.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        let titles = self.columns.iter().map(|c| Some(c.title.as_str()));
        csv_line(&mut out, titles);
        for row in &self.rows {
            csv_line(&mut out, row.iter().map(|cell| cell.raw.as_deref()));
        }
        out
    }

    pub fn markdown(&self) -> String {
        let mut out = String::from("|");
        for column in &self.columns {
            out.push_str(&format!(" {} |", markdown_text(&column.title)));
        }
        out.push_str("\n|");
        for column in &self.columns {
            out.push_str(if column.numeric { " ---: |" } else { " --- |" });
        }
        out.push('\n');
        for row in &self.rows {
            out.push('|');
            for cell in row {
                let text = cell
                    .shown
                    .as_deref()
                    .map_or("NULL".to_owned(), markdown_text);
                out.push_str(&format!(" {text} |"));
            }
            out.push('\n');
        }
        out
    }

    /// Values with tabs between them, or ids alone.
    pub fn quiet(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let cells = row.iter().take(if self.ids { 1 } else { row.len() });
            let cells: Vec<String> = cells
                .map(|cell| one_line(cell.raw.as_deref().unwrap_or_default()))
                .collect();
            out.push_str(&cells.join("\t"));
            out.push('\n');
        }
        out
    }
}

fn aligned(text: String, column: &GridColumn) -> Cell {
    let side = match column.numeric {
        true => CellAlignment::Right,
        false => CellAlignment::Left,
    };
    Cell::new(text).set_alignment(side)
}

/// A text on one line, with what nobody sees made visible.
fn one_line(text: &str) -> String {
    exactly(text).replace('\n', "\\n").replace('\t', "\\t")
}

fn markdown_text(text: &str) -> String {
    exactly(text).replace('|', "\\|").replace('\n', "<br>")
}

fn csv_line<'a>(out: &mut String, cells: impl Iterator<Item = Option<&'a str>>) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            out.push(',');
        }
        match cell {
            None => {}
            Some(text)
                if !text.is_empty()
                    && !text.contains([',', '"', '\r', '\n'])
                    && text.trim() == text =>
            {
                out.push_str(text);
            }
            Some(text) => out.push_str(&format!("\"{}\"", text.replace('"', "\"\""))),
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let column = |title: &str, numeric, shrinks| GridColumn {
            title: title.to_owned(),
            numeric,
            shrinks,
        };
        let row = |id: &str, name: Option<&str>| {
            let name = name.map_or_else(GridCell::null, GridCell::text);
            vec![GridCell::text(id), name]
        };
        Grid {
            columns: vec![column("id", true, false), column("name", false, true)],
            rows: vec![
                row("7", Some("")),
                row("12345", None),
                row(
                    "1",
                    Some("日本語 and a text that goes on, \"quoted\"\nand on | for long"),
                ),
                row("2", Some("a\u{202e}b\u{1b}[31m")),
            ],
            ..Grid::default()
        }
    }

    #[test]
    fn pipe_gets_every_character_and_null_is_not_empty_text() {
        let text = grid().table(None, Paint::new(false));
        assert_eq!(
            text,
            "     id  name\n      7\n  12345  NULL\n      1  日本語 and a text that goes on, \"quoted\"\\nand on | for long\n      \
             2  a\\u{202e}b\\u{1b}[31m\n"
        );
    }

    #[test]
    fn terminal_rows_fit_and_cuts_are_marked() {
        let text = grid().table(Some(30), Paint::new(false));
        let cut = text.lines().find(|l| l.contains('日')).unwrap();
        assert!(cut.ends_with('…') && !cut.contains("for long"), "{text}");
        // Three of the characters are two columns wide.
        assert!(cut.chars().count() + 3 <= 30, "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(grid().fits(Some(30)) && !grid().fits(Some(20)));
    }

    #[test]
    fn a_narrow_terminal_goes_without_optional_columns_first() {
        let mut wide = grid();
        wide.optional = &["other", "name", "id"];
        let (same, left_out) = wide.narrowed(Some(30)).unwrap();
        assert_eq!((same.columns.len(), left_out), (2, vec![]));
        let (narrow, left_out) = wide.narrowed(Some(20)).unwrap();
        assert_eq!(left_out, ["name"]);
        assert!(
            narrow
                .table(Some(20), Paint::new(false))
                .starts_with("     id\n      7\n")
        );
        wide.optional = &["other"];
        assert!(wide.narrowed(Some(20)).is_none());
    }

    #[test]
    fn programs_get_null_and_empty_apart() {
        let csv = grid().csv();
        assert!(
            csv.starts_with("id,name\n7,\"\"\n12345,\n1,\"日本語"),
            "{csv}"
        );
        assert!(csv.contains("\"\"quoted\"\"\nand on"), "{csv}");
        assert!(grid().markdown().contains("<br>and on \\| for long |"));
        assert!(grid().quiet().starts_with("7\t\n12345\t\n"));
        assert!(
            grid()
                .vertical(Paint::new(false))
                .contains("  row 2\n  id    12345\n  name  NULL\n")
        );
    }
}
