//! Calls to others by HTTP: bounded in time and size, never redirected, only to where they may go.

use super::guard::{Guard, Reach};
use std::fmt;
use std::time::Duration;
use ureq::http::header;
use ureq::unversioned::transport::DefaultConnector;

/// Longest a name may take to become an address, and a connection to stand: a stop waits for these two at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest a whole call may take, its answer included.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls others. Clones share their connections.
#[derive(Clone)]
pub struct Http {
    agent: ureq::Agent,
}

/// A call that brought nothing usable; a sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure for this reason.
    pub fn new(why: impl fmt::Display) -> Failure {
        Failure(why.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Http {
    /// Calls as far as `reach` goes. No proxy is asked, whatever the environment says: behind one, addresses could not
    /// be judged.
    pub fn new(reach: Reach) -> Http {
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(CALL_TIMEOUT))
            // Calls are minutes apart; a connection kept so long would only be found dead.
            .max_idle_connections(0)
            .user_agent(concat!("dbward/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), Guard { reach });
        Http { agent }
    }

    /// The body of an answer with status 200, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// For everything else. What the other side wrote is not repeated.
    pub fn get(&self, url: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let call = self
            .agent
            .get(url)
            .header(header::ACCEPT, "application/json");
        let mut answer = call.call().map_err(Failure::new)?;
        if answer.status() != 200 {
            return Err(Failure::new(format!(
                "the answer is {}",
                answer.status().as_u16()
            )));
        }
        answer
            .body_mut()
            .with_config()
            .limit(bytes_max)
            .read_to_vec()
            .map_err(Failure::new)
    }

    /// Ends every call in flight, on whatever thread, and refuses further ones.
    pub fn shutdown(&self) {
        self.agent.clone().shutdown();
    }
}
