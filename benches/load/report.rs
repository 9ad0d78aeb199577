//! What the benchmark says: one aligned table, or JSON lines for machines.

use std::time::Duration;

/// What a row is held against.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At least so many a second.
    Rate(f64),
    /// At least this share of the floor measured in the same run.
    Share(f64),
    /// Both of the above.
    RateAndShare(f64, f64),
    /// Half of them within this.
    P50(Duration),
    /// 99 of 100 within this.
    P99(Duration),
    /// The slowest within this.
    Slowest(Duration),
    /// Less memory than so many MiB.
    Memory(u64),
}

/// One line of the table. What does not apply is `None`.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Clients at one time.
    pub clients: Option<usize>,
    /// Operations a second.
    pub rate: Option<f64>,
    /// Half of them were faster.
    pub p50: Option<Duration>,
    /// 99 of 100 were faster.
    pub p99: Option<Duration>,
    /// The slowest.
    pub slowest: Option<Duration>,
    /// What the same machine does without us, operations a second.
    pub floor: Option<f64>,
    /// Memory in use, in MiB.
    pub memory_mib: Option<u64>,
    /// What it should be.
    pub goal: Option<Goal>,
    /// Whatever else there is to say.
    pub note: String,
}

impl Row {
    /// A row with a name only.
    pub fn new(name: impl Into<String>) -> Row {
        Row {
            name: name.into(),
            ..Row::default()
        }
    }

    fn share(&self) -> Option<f64> {
        Some(self.rate? / self.floor.filter(|f| *f > 0.0)?)
    }

    /// Whether the goal was met; `None` without one.
    pub fn met(&self) -> Option<bool> {
        let rate_is = |least: f64| self.rate.is_some_and(|r| r >= least);
        let share_is = |least: f64| self.share().is_some_and(|s| s >= least);
        Some(match self.goal? {
            Goal::Rate(least) => rate_is(least),
            Goal::Share(least) => share_is(least),
            Goal::RateAndShare(rate, share) => rate_is(rate) && share_is(share),
            Goal::P50(most) => self.p50.is_some_and(|t| t <= most),
            Goal::P99(most) => self.p99.is_some_and(|t| t < most),
            Goal::Slowest(most) => self.slowest.is_some_and(|t| t < most),
            Goal::Memory(most) => self.memory_mib.is_some_and(|mib| mib < most),
        })
    }

    fn cells(&self) -> [String; 11] {
        let number = |n: Option<f64>| n.map_or_else(String::new, |n| format!("{n:.0}"));
        let time = |t: Option<Duration>| t.map_or_else(String::new, milliseconds);
        [
            self.name.clone(),
            self.clients.map_or_else(String::new, |n| n.to_string()),
            number(self.rate),
            time(self.p50),
            time(self.p99),
            time(self.slowest),
            number(self.floor),
            self.share().map_or_else(String::new, |s| format!("{s:.2}")),
            self.goal.map_or_else(String::new, format_goal),
            match self.met() {
                None => String::new(),
                Some(true) => "met".to_owned(),
                Some(false) => "MISSED".to_owned(),
            },
            self.note.clone(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let ms = |t: Option<Duration>| t.map(|t| t.as_secs_f64() * 1000.0);
        serde_json::json!({
            "name": self.name,
            "clients": self.clients,
            "rate_per_sec": self.rate,
            "p50_ms": ms(self.p50),
            "p99_ms": ms(self.p99),
            "slowest_ms": ms(self.slowest),
            "memory_mib": self.memory_mib,
            "floor_per_sec": self.floor,
            "share_of_floor": self.share(),
            "goal": self.goal.map(format_goal),
            "met": self.met(),
            "note": self.note,
        })
    }
}

fn milliseconds(t: Duration) -> String {
    format!("{:.2}", t.as_secs_f64() * 1000.0)
}

fn format_goal(goal: Goal) -> String {
    match goal {
        Goal::Rate(least) => format!(">= {least:.0}/s"),
        Goal::Share(least) => format!(">= {least} of floor"),
        Goal::RateAndShare(rate, share) => format!(">= {rate:.0}/s, {share} of floor"),
        Goal::P50(most) => format!("p50 <= {} ms", most.as_millis()),
        Goal::P99(most) => format!("p99 < {} ms", most.as_millis()),
        Goal::Slowest(most) => format!("all < {} ms", most.as_millis()),
        Goal::Memory(most) => format!("< {most} MiB"),
    }
}

/// The table, with a line of headings.
pub fn table(rows: &[Row]) -> String {
    const HEADINGS: [&str; 11] = [
        "name", "clients", "rate/s", "p50 ms", "p99 ms", "max ms", "floor/s", "share", "goal",
        "result", "note",
    ];
    /// Columns that hold words and are read from the left.
    const WORDS: [usize; 4] = [0, 8, 9, 10];
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let width = |n: usize| {
        lines
            .iter()
            .map(|l| l[n].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (n, (cell, width)) in line.iter().zip(&widths).enumerate() {
            if WORDS.contains(&n) {
                text.push_str(&format!("{cell:<width$}  "));
            } else {
                text.push_str(&format!("{cell:>width$}  "));
            }
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// The same for machines: one object a line.
pub fn json(rows: &[Row]) -> String {
    rows.iter().map(|row| format!("{}\n", row.json())).collect()
}

/// The value below which `share` (0 to 1) of the sorted `times` lie.
pub fn percentile(times: &[Duration], share: f64) -> Option<Duration> {
    let last = times.len().checked_sub(1)?;
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.saturating_sub(1).min(last)).copied()
}
