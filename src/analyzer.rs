//! Threads with stacks that fit the worst accepted text, for the analysis of SQL.
//!
//! The parser recurses, and a stack overflow ends the process, not the call. So texts that could be deep are analysed
//! on these threads; short ones on the caller's own, because handing them over costs more than parsing them.

use crate::domain::dialect::Dialect;
use crate::domain::sql::{
    self, Analysis, CHAIN_MAX, InputError, SHORT_TEXT_BYTES_MAX, STACK_BYTES, STATEMENTS_MAX,
    TEXT_BYTES_MAX, WORD_RUN_MAX,
};
use crate::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Texts that may wait, per thread: at some 50 ms for the largest, the last one waits well under [`DEADLINE`].
const QUEUE_PER_THREAD: usize = 32;

/// How long a caller waits for an analysis. The slowest text takes a fraction of a second, so this means overload.
const DEADLINE: Duration = Duration::from_secs(10);

type AnalysisOutcome = Result<Analysis, AnalyzerFailure>;

/// Why an analysis is missing.
enum AnalyzerFailure {
    Input(InputError),
    Panicked,
}

struct AnalysisJob {
    text: String,
    /// None where nobody knows it: the text is then read in all.
    dialect: Option<Dialect>,
    reply: SyncSender<AnalysisOutcome>,
}

/// The analyzer threads; stopped and joined when dropped.
pub struct Analyzer {
    jobs: Option<SyncSender<AnalysisJob>>,
    threads: Vec<JoinHandle<()>>,
}

impl Analyzer {
    /// Starts `threads` threads (at least one) named `analyzer-n`. A thread that the system refuses is done without;
    /// with none at all, long texts are answered with 503.
    pub fn start(threads: usize) -> Analyzer {
        let threads = threads.max(1);
        let (jobs, queue) = mpsc::sync_channel(threads * QUEUE_PER_THREAD);
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..threads)
            .filter_map(|n| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new()
                    .name(format!("analyzer-{n}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || work(&queue))
                    .map_err(|e| log::error!("cannot start an analyzer thread: {e}"))
                    .ok()
            })
            .collect();
        Analyzer {
            jobs: Some(jobs),
            threads,
        }
    }

    /// Analyses `text`.
    ///
    /// # Errors
    /// 400 `validation_error` for an empty, over-long or NUL-holding text or too many statements, 422
    /// `sql_too_complex`, 503 when the analyzers are overloaded.
    pub fn analyze(&self, text: &str, dialect: Dialect) -> Result<Arc<Analysis>, Error> {
        self.analyze_in(text, Some(dialect))
    }

    /// Analyses `text`, whose dialect nobody knows: see [`sql::analyze_any`].
    ///
    /// # Errors
    /// As [`Analyzer::analyze`].
    pub fn analyze_any(&self, text: &str) -> Result<Arc<Analysis>, Error> {
        self.analyze_in(text, None)
    }

    fn analyze_in(&self, text: &str, dialect: Option<Dialect>) -> Result<Arc<Analysis>, Error> {
        let outcome = if text.len() <= SHORT_TEXT_BYTES_MAX || text.len() > TEXT_BYTES_MAX {
            run(text, dialect)
        } else {
            self.hand_over(text, dialect)?
        };
        match outcome {
            Ok(analysis) => Ok(Arc::new(analysis)),
            Err(AnalyzerFailure::Input(error)) => Err(refusal(error)),
            Err(AnalyzerFailure::Panicked) => {
                Err(Error::bug("the analysis of a statement panicked"))
            }
        }
    }

    fn hand_over(&self, text: &str, dialect: Option<Dialect>) -> Result<AnalysisOutcome, Error> {
        let stopped = || Error::unavailable("the SQL analyzers are stopped");
        let (reply, answer) = mpsc::sync_channel(1);
        let job = AnalysisJob {
            text: text.to_owned(),
            dialect,
            reply,
        };
        match self.jobs.as_ref().ok_or_else(stopped)?.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Error::unavailable("too many statements are being analysed"));
            }
            Err(TrySendError::Disconnected(_)) => return Err(stopped()),
        }
        answer
            .recv_timeout(DEADLINE)
            .map_err(|_| Error::unavailable("the analysis of the statement took too long"))
    }
}

impl Drop for Analyzer {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("an analyzer thread panicked");
            }
        }
    }
}

fn work(queue: &Mutex<Receiver<AnalysisJob>>) {
    loop {
        let job = queue.lock().unwrap_or_else(|e| e.into_inner()).recv();
        let Ok(job) = job else { return };
        // A caller that has stopped waiting does not want the answer.
        let _ = job.reply.send(run(&job.text, job.dialect));
    }
}

fn run(text: &str, dialect: Option<Dialect>) -> AnalysisOutcome {
    let analysis = || match dialect {
        Some(dialect) => sql::analyze(text, dialect),
        None => sql::analyze_any(text),
    };
    match catch_unwind(AssertUnwindSafe(analysis)) {
        Ok(outcome) => outcome.map_err(AnalyzerFailure::Input),
        Err(_) => Err(AnalyzerFailure::Panicked),
    }
}

fn refusal(error: InputError) -> Error {
    match error {
        InputError::Empty => {
            Error::invalid("the SQL text is empty").hint("send at least one statement in `detail`")
        }
        InputError::Nul => Error::invalid("the SQL text holds a NUL byte"),
        InputError::TooLong { bytes } => Error::invalid(format!(
            "the SQL text is too long: `{bytes}` bytes (at most {TEXT_BYTES_MAX})"
        )),
        InputError::TooManyStatements { count } => Error::invalid(format!(
            "too many statements: `{count}` (at most {STATEMENTS_MAX})"
        ))
        .hint("split the batch into several requests"),
        InputError::TooComplex { statement } => Error::refused(
            "sql_too_complex",
            format!("statement `{statement}` is too complex to be analysed"),
        )
        .hint(format!(
            "at most {CHAIN_MAX} operators in one statement and {WORD_RUN_MAX} words in a row"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::Class;

    fn code(analyzer: &Analyzer, sql: &str) -> (u16, &'static str) {
        match analyzer.analyze(sql, Dialect::Postgres) {
            Ok(_) => (200, "ok"),
            Err(error) => (error.status(), error.code()),
        }
    }

    #[test]
    fn inputs_that_are_not_analysed_have_their_codes() {
        let analyzer = Analyzer::start(1);
        let long = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX));
        let many = "SELECT 1;".repeat(STATEMENTS_MAX + 1);
        let chain = format!("SELECT 1{}", "+1".repeat(CHAIN_MAX + 1));
        for bad in ["", "  ;; -- nothing", "SELECT '\0'", &long, &many] {
            assert_eq!(code(&analyzer, bad), (400, "validation_error"));
        }
        assert_eq!(code(&analyzer, &chain), (422, "sql_too_complex"));
        assert_eq!(code(&analyzer, "SELECT 1"), (200, "ok"));
    }

    /// The caller's stack here is small, so this would end the process if the text were analysed on it.
    #[test]
    fn long_texts_are_analysed_on_threads_of_their_own() {
        let caller = std::thread::Builder::new().stack_size(256 * 1024);
        let handle = caller.spawn(|| {
            let analyzer = Analyzer::start(2);
            let sql = format!("SELECT 1{} FROM t", "+1".repeat(CHAIN_MAX - 1));
            analyzer.analyze(&sql, Dialect::Postgres)
        });
        let analysis = handle.unwrap().join().unwrap().unwrap();
        assert_eq!(analysis.class, Class::Select);
        assert_eq!(analysis.tables, ["t"]);
    }

    #[test]
    fn callers_beyond_the_queue_are_asked_to_come_back() {
        let analyzer = Analyzer {
            jobs: Some(mpsc::sync_channel(1).0),
            threads: Vec::new(),
        };
        let long = format!("SELECT '{}'", "x".repeat(SHORT_TEXT_BYTES_MAX));
        assert_eq!(code(&analyzer, &long), (503, "unavailable"));
        let (jobs, queue) = mpsc::sync_channel(1);
        let analyzer = Analyzer {
            jobs: Some(jobs),
            threads: Vec::new(),
        };
        let (reply, _answer) = mpsc::sync_channel(1);
        let waiting = AnalysisJob {
            text: String::new(),
            dialect: None,
            reply,
        };
        let sent = analyzer.jobs.as_ref().map(|j| j.try_send(waiting).is_ok());
        assert_eq!(sent, Some(true));
        assert_eq!(code(&analyzer, &long), (503, "unavailable"));
        drop(queue);
    }
}
