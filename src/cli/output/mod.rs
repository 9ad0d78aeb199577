//! What people and their programs read: where it goes, in which format, how wide, in which colour.

mod cells;
mod grid;
mod help;
mod lines;
mod pager;
mod terminal;
mod words;

pub use grid::{Grid, GridCell, GridColumn};
pub use help::wrapped;
pub use lines::{is_incomplete, to_errors, to_output};
pub(crate) use lines::{note, say};
pub use pager::is_paging;
pub use terminal::{Paint, columns, hidden_line};
pub use words::{
    Ages, approver_words, decision_words, factor_words, indented, operation_words, reason_words,
    selector_words, short_id, span, status_words, underlined, visible,
};

use crate::crypto::write_private;
use serde_json::value::RawValue;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

/// How to show an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns
    Table,
    /// One line a column, for wide rows
    Vertical,
    /// The server's own JSON
    Json,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values; NULL is an empty field, an empty text is ""
    Csv,
    /// A table for a ticket or a pull request
    Markdown,
    /// Only ids or values, for scripts
    Quiet,
}

/// How and where to print.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// How to print [default: table; vertical where a row is wider than the terminal]
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        help = "table, vertical, json, jsonl, csv, markdown or quiet [default: table]"
    )]
    pub format: Option<OutputFormat>,
    /// Write into this file, which only its owner may read
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// One line a column, as --format vertical
    #[arg(short = 'x', conflicts_with = "format")]
    pub expanded: bool,
    /// Never page long output
    #[arg(long)]
    pub no_pager: bool,
}

impl OutputOptions {
    /// Whether a program reads what is printed, errors included.
    pub fn wants_json(&self) -> bool {
        matches!(self.format, Some(OutputFormat::Json | OutputFormat::Jsonl))
    }
}

/// Where a command prints.
pub struct Screen {
    format: OutputFormat,
    /// Whether the format was chosen, and not taken for granted.
    chosen: bool,
    /// Whether it was chosen for this command, and not for results in general.
    by_option: bool,
    file: Option<PathBuf>,
    pager: bool,
    /// Columns of the terminal that standard output is.
    width: Option<usize>,
    pub paint: Paint,
}

impl Screen {
    pub fn new(options: &OutputOptions, default: Option<OutputFormat>) -> Screen {
        let asked = match options.expanded {
            true => Some(OutputFormat::Vertical),
            false => options.format.or(default),
        };
        let terminal = options.output.is_none() && io::stdout().is_terminal();
        Screen {
            format: asked.unwrap_or(OutputFormat::Table),
            chosen: asked.is_some(),
            by_option: options.expanded || options.format.is_some(),
            file: options.output.clone(),
            pager: terminal && !options.no_pager,
            width: terminal.then(terminal::columns),
            paint: Paint::new(terminal),
        }
    }

    pub fn format(&self) -> OutputFormat {
        self.format
    }

    /// Whether somebody at a terminal reads what is printed.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Whether what is printed is for a program that reads JSON.
    pub fn is_json(&self) -> bool {
        matches!(self.format, OutputFormat::Json | OutputFormat::Jsonl)
    }

    /// Prints rows; `json` is the whole answer as it came.
    ///
    /// # Errors
    /// That it cannot be written.
    pub fn rows(&self, json: &str, grid: &Grid, foot: Option<&str>) -> Result<(), String> {
        self.write(&self.formatted(json, grid, foot))
    }

    /// Rows as [`Screen::rows`] prints them, for what is printed together with others.
    pub fn formatted(&self, json: &str, grid: &Grid, foot: Option<&str>) -> String {
        let foot = foot.map(|foot| format!("{foot}\n")).unwrap_or_default();
        let table = |grid: &Grid| format!("{}{foot}", grid.table(self.width, self.paint));
        let vertical = |grid: &Grid| format!("{}{foot}", grid.vertical(self.paint));
        match self.format {
            OutputFormat::Table if grid.rows.is_empty() && grid.empty.is_some() => {
                format!("{}\n", grid.empty.unwrap_or_default())
            }
            OutputFormat::Table if self.chosen || grid.fits(self.width) => table(grid),
            OutputFormat::Table => match grid.narrowed(self.width) {
                Some((narrow, left_out)) => format!(
                    "{}Without {} on a terminal of this width; -x shows all.\n",
                    table(&narrow),
                    left_out.join(" and ")
                ),
                None => vertical(grid),
            },
            OutputFormat::Vertical => vertical(grid),
            OutputFormat::Json => line(json),
            OutputFormat::Jsonl => grid.jsonl(),
            OutputFormat::Csv => grid.csv(),
            OutputFormat::Markdown => grid.markdown(),
            OutputFormat::Quiet => grid.quiet(),
        }
    }

    /// Prints what a command did: a sentence for people, `json` for programs, `quiet` for scripts; the members of `json` as
    /// one row where rows were asked for.
    ///
    /// # Errors
    /// That it cannot be written.
    pub fn done(&self, json: &str, sentence: &str, quiet: &str) -> Result<(), String> {
        match self.format {
            OutputFormat::Json | OutputFormat::Jsonl => self.write(&line(json)),
            OutputFormat::Quiet if quiet.is_empty() => Ok(()),
            OutputFormat::Quiet => self.write(&line(quiet)),
            _ => match self.one_row(json) {
                Some(text) => self.write(&text),
                None => self.write(&line(sentence)),
            },
        }
    }

    /// An object as one row, in the format that was asked for; `None` where none was, or it is not an object.
    fn one_row(&self, json: &str) -> Option<String> {
        let rows = RawValue::from_string(format!("[{}]", json.trim())).ok()?;
        let grid = Grid::of_rows(&rows, None).filter(|_| self.by_option)?;
        match self.format {
            OutputFormat::Vertical => Some(grid.vertical(self.paint)),
            OutputFormat::Csv => Some(grid.csv()),
            OutputFormat::Markdown => Some(grid.markdown()),
            _ => None,
        }
    }

    /// Prints a text.
    ///
    /// # Errors
    /// That it cannot be written.
    pub fn write(&self, text: &str) -> Result<(), String> {
        if let Some(file) = &self.file {
            return write_private(file, text.as_bytes())
                .map_err(|e| format!("{}: {e}", file.display()));
        }
        if self.pager && text.lines().count() > terminal::lines() && pager::shows(text) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // A reader that has seen enough is not a failure.
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.to_string()),
            _ => Ok(()),
        }
    }
}

/// The text with one line end.
fn line(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}
