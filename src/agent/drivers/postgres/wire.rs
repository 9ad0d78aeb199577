//! One connection to PostgreSQL: blocking, one statement at a time, results as text.
//!
//! Only what the driver needs of the protocol. Statements of a plan go by the extended protocol, where the server
//! itself refuses a second statement, under the unnamed statement, so that a pooler finds nothing left. Values come as
//! text, as the server writes them. A message that is longer than a result may be is read and dropped.

use super::refusal::PgRefusal;
use super::tls::Stream;
use crate::agent::config::{DatabaseEndpoint, Tls};
use crate::agent::drivers::Cancel;
use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, Header, Message};
use postgres_protocol::message::frontend;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Rows of our own questions: each cell as text, or NULL.
type TextRows = Vec<Vec<Option<String>>>;

/// Longest message that is kept, in bytes: more than a whole result may have.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Longest row that is dropped instead, in bytes; PostgreSQL sends no longer row.
const DROPPED_BYTES_MAX: usize = (1 << 30) + (1 << 20);
/// How long one read waits before cancellation and time are looked at.
const READ_SLICE: Duration = Duration::from_millis(100);
/// How long an answer may still come after the job should have ended.
const GRACE: Duration = Duration::from_secs(3);
/// Longest wait for a connection.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Why something did not work.
#[derive(Debug)]
pub enum Fault {
    /// The server refuses; the connection still works.
    Refused(Box<PgRefusal>),
    /// The connection is of no more use.
    Lost(String),
    /// Time or cancellation, and the server did not answer any more.
    Interrupted,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Lost(format!("the connection to the database broke: {error}"))
    }
}

fn garbled(what: &str) -> Fault {
    Fault::Lost(format!("the database answered something else: {what}"))
}

/// One column of a result.
#[derive(Debug, Clone)]
pub struct ResultColumn {
    pub name: String,
    pub type_oid: u32,
}

/// What a statement returns, as far as it is known before it runs.
#[derive(Debug, Default)]
pub struct Shape {
    pub columns: Vec<ResultColumn>,
    pub parameters: usize,
}

/// What is done with a row: its values as text, none for NULL; no values at all where it was longer than a result may
/// be, and is dropped. `false` wants no more.
pub type Sink<'a> = dyn FnMut(Option<&[Option<&[u8]>]>) -> bool + 'a;

/// How a statement ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With this tag: `INSERT 0 5`.
    Done(String),
    /// There was no statement.
    Empty,
    /// The sink wanted no more; the connection is to be closed.
    Enough,
}

/// Encodings of a client in which a byte of ASCII may be a part of another character.
const OTHER_ENCODINGS: [&str; 7] = [
    "BIG5",
    "GB18030",
    "GBK",
    "JOHAB",
    "SHIFT_JIS_2004",
    "SJIS",
    "UHC",
];

pub struct PgConnection {
    stream: Stream,
    inbox: BytesMut,
    outbox: BytesMut,
    /// When waiting ends, with the grace for an answer.
    deadline: Option<Instant>,
    cancel: Cancel,
    cancelled_at: Option<Instant>,
    /// `I` idle, `T` in a transaction, `E` in a failed one.
    pub status: u8,
    pub server_encoding: String,
    /// What the server reports of how it reads text; none where a pooler keeps it back.
    conforming_strings: Option<String>,
    client_encoding: Option<String>,
    /// The process that the login named: that of this session, unless a pooler stands before it and names none.
    pub backend: Option<i32>,
}

impl PgConnection {
    /// Connects and logs in. `deadline` bounds everything that happens on the connection.
    pub fn open(
        endpoint: &DatabaseEndpoint,
        deadline: Option<Instant>,
        cancel: &Cancel,
    ) -> Result<PgConnection, Fault> {
        let mut stream = Stream::connect(endpoint, CONNECT_WITHIN)
            .map_err(|e| Fault::Lost(format!("the database cannot be reached: {e}")))?;
        if endpoint.tls != Tls::Off && !endpoint.host.starts_with('/') {
            let mut request = BytesMut::new();
            frontend::ssl_request(&mut request);
            stream.write_all(&request)?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            if answer != [b'S'] {
                return Err(Fault::Lost("the database offers no TLS".to_owned()));
            }
            stream = stream
                .encrypted(endpoint)
                .map_err(|e| Fault::Lost(format!("no TLS connection to the database: {e}")))?;
        }
        stream.set_read_timeout(READ_SLICE)?;
        let login_by = Instant::now() + CONNECT_WITHIN;
        let mut connection = PgConnection {
            stream,
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            deadline: Some(deadline.map_or(login_by, |at| at.min(login_by))),
            cancel: cancel.clone(),
            cancelled_at: None,
            status: b'I',
            server_encoding: String::new(),
            conforming_strings: None,
            client_encoding: None,
            backend: None,
        };
        connection.log_in(endpoint)?;
        connection.deadline = deadline.map(|at| at + GRACE);
        Ok(connection)
    }

    fn log_in(&mut self, endpoint: &DatabaseEndpoint) -> Result<(), Fault> {
        let parameters = [
            ("user", endpoint.user.as_str()),
            ("database", &endpoint.database),
            ("client_encoding", "UTF8"),
            ("application_name", "dbward"),
        ];
        let schema = endpoint.schema.as_deref();
        let path = schema.map(|schema| ("search_path", schema));
        frontend::startup_message(parameters.into_iter().chain(path), &mut self.outbox)?;
        self.flush()?;
        let password = || match &endpoint.password {
            Some(password) => Ok(password.0.as_slice()),
            None => Err(Fault::Lost(
                "the database asks for a password, and none is configured".to_owned(),
            )),
        };
        let mut scram: Option<ScramSha256> = None;
        loop {
            match self.next()? {
                Message::AuthenticationOk => {}
                Message::BackendKeyData(body) => self.backend = Some(body.process_id()),
                Message::AuthenticationCleartextPassword => {
                    if endpoint.tls == Tls::Off
                        && !endpoint.host.starts_with('/')
                        && !super::is_loopback(&endpoint.host)
                    {
                        return Err(Fault::Lost("the database asks for the password in clear over a connection without TLS".to_owned()));
                    }
                    frontend::password_message(password()?, &mut self.outbox)?;
                    self.flush()?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(endpoint.user.as_bytes(), password()?, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.outbox)?;
                    self.flush()?;
                }
                Message::AuthenticationSasl(body) => {
                    let offered = body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256))?;
                    scram = Some(self.begin_scram(offered, password()?)?);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let scram = scram.as_mut().ok_or_else(|| garbled("login"))?;
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.outbox)?;
                    self.flush()?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    scram
                        .as_mut()
                        .ok_or_else(|| garbled("login"))?
                        .finish(body.data())?;
                }
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return Ok(());
                }
                Message::ErrorResponse(body) => {
                    return Err(Fault::Refused(Box::new(PgRefusal::of(&body))));
                }
                _ => return Err(garbled("while logging in")),
            }
        }
    }

    fn begin_scram(&mut self, offered: bool, password: &[u8]) -> Result<ScramSha256, Fault> {
        if !offered {
            let why = "the database offers no login that this agent knows";
            return Err(Fault::Lost(why.to_owned()));
        }
        let begun = ScramSha256::new(password, ChannelBinding::unsupported());
        frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), &mut self.outbox)?;
        self.flush()?;
        Ok(begun)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let sent = self
            .stream
            .write_all(&self.outbox)
            .and_then(|()| self.stream.flush());
        self.outbox.clear();
        Ok(sent?)
    }

    /// Reads until at least `wanted` bytes are there.
    fn fill(&mut self, wanted: usize) -> Result<(), Fault> {
        let mut chunk = [0; 16 << 10];
        while self.inbox.len() < wanted {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Fault::Lost("the database closed the connection".to_owned())),
                Ok(n) => self.inbox.extend_from_slice(&chunk[..n]),
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    self.look()?
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Whether waiting is over.
    fn look(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.cancel.asked().is_some() {
            let since = *self.cancelled_at.get_or_insert(now);
            if now >= since + GRACE {
                return Err(Fault::Interrupted);
            }
        }
        match self.deadline {
            Some(at) if now >= at => Err(Fault::Interrupted),
            _ => Ok(()),
        }
    }

    /// The next message that is not only information.
    fn next(&mut self) -> Result<Message, Fault> {
        loop {
            self.fill(5)?;
            let header = Header::parse(&self.inbox)?.ok_or_else(|| garbled("header"))?;
            let length = usize::try_from(header.len()).map_err(|_| garbled("length"))? + 1;
            if length > MESSAGE_BYTES_MAX {
                return Err(Fault::Lost(format!(
                    "the database sent a message of {length} bytes"
                )));
            }
            self.fill(length)?;
            match Message::parse(&mut self.inbox)?.ok_or_else(|| garbled("message"))? {
                Message::ParameterStatus(body) => {
                    let value = body.value()?.to_owned();
                    match body.name()? {
                        "server_encoding" => self.server_encoding = value,
                        "standard_conforming_strings" => self.conforming_strings = Some(value),
                        "client_encoding" => self.client_encoding = Some(value),
                        _ => {}
                    }
                }
                Message::NoticeResponse(_) | Message::NotificationResponse(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// Whether the next message is a row that is too long to keep; it is dropped then.
    fn dropped_row(&mut self) -> Result<bool, Fault> {
        self.fill(5)?;
        let header = Header::parse(&self.inbox)?.ok_or_else(|| garbled("header"))?;
        let mut left = usize::try_from(header.len()).map_err(|_| garbled("length"))? + 1;
        if header.tag() != b'D' || left <= MESSAGE_BYTES_MAX {
            return Ok(false);
        }
        if left > DROPPED_BYTES_MAX {
            return Err(garbled("length"));
        }
        while left > 0 {
            self.fill(1)?;
            let here = left.min(self.inbox.len());
            self.inbox.advance(here);
            left -= here;
        }
        Ok(true)
    }

    /// Runs text of our own, of any number of statements; the rows of all, their values as text.
    pub fn own(&mut self, sql: &str) -> Result<TextRows, Fault> {
        Ok(self.own_tagged(sql)?.0)
    }

    /// Commits. COMMIT rolls a failed transaction back without an error: only its tag tells.
    pub fn commit(&mut self) -> Result<(), Fault> {
        match self.own_tagged("COMMIT")?.1.as_str() {
            "COMMIT" => Ok(()),
            tag => Err(Fault::Lost(format!(
                "the database answered COMMIT with `{tag}`"
            ))),
        }
    }

    /// The same as [`PgConnection::own`], with the tag of the last statement.
    fn own_tagged(&mut self, sql: &str) -> Result<(TextRows, String), Fault> {
        frontend::query(sql, &mut self.outbox)?;
        self.flush()?;
        let (mut rows, mut refused, mut last) = (Vec::new(), None, String::new());
        loop {
            match self.next()? {
                Message::DataRow(body) => rows.push(
                    values(&body)?
                        .into_iter()
                        .map(|v| v.map(|v| String::from_utf8_lossy(v).into_owned()))
                        .collect(),
                ),
                Message::CommandComplete(body) => last = body.tag()?.to_owned(),
                Message::ErrorResponse(body) => refused = Some(PgRefusal::of(&body)),
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return match refused {
                        Some(refusal) => Err(Fault::Refused(Box::new(refusal))),
                        None => Ok((rows, last)),
                    };
                }
                _ => {}
            }
        }
    }

    /// Whether the server reads text as the analysis did: a backslash stands for itself, and no quote is a part of
    /// another character.
    pub fn reads_as_analysed(&self) -> bool {
        let conforming = self.conforming_strings.as_deref();
        let encoding = self.client_encoding.as_deref();
        conforming.is_none_or(|value| value == "on")
            && encoding.is_none_or(|name| !OTHER_ENCODINGS.contains(&name))
    }

    /// Makes the server read `sql`, which must be one statement.
    pub fn prepare(&mut self, sql: &str) -> Result<Shape, Fault> {
        frontend::parse("", sql, [], &mut self.outbox)?;
        frontend::describe(b'S', "", &mut self.outbox)?;
        frontend::sync(&mut self.outbox);
        self.flush()?;
        let (mut shape, mut refused) = (Shape::default(), None);
        loop {
            match self.next()? {
                Message::ParameterDescription(body) => {
                    shape.parameters = body.parameters().count()?
                }
                Message::RowDescription(body) => {
                    shape.columns = body
                        .fields()
                        .map(|field| {
                            Ok(ResultColumn {
                                name: field.name().to_owned(),
                                type_oid: field.type_oid(),
                            })
                        })
                        .collect()?;
                }
                Message::ErrorResponse(body) => refused = Some(PgRefusal::of(&body)),
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return match refused {
                        Some(refusal) => Err(Fault::Refused(Box::new(refusal))),
                        None => Ok(shape),
                    };
                }
                _ => {}
            }
        }
    }

    /// Runs what [`PgConnection::prepare`] has read; its rows go to `sink`.
    pub fn execute(&mut self, sink: &mut Sink<'_>) -> Result<End, Fault> {
        let none: [&str; 0] = [];
        frontend::bind(
            "",
            "",
            [],
            none,
            |_, _| Ok(IsNull::Yes),
            [0],
            &mut self.outbox,
        )
        .map_err(|_| garbled("bind"))?;
        frontend::execute("", 0, &mut self.outbox)?;
        frontend::sync(&mut self.outbox);
        self.flush()?;
        let (mut end, mut refused) = (End::Empty, None);
        loop {
            if self.dropped_row()? {
                match sink(None) {
                    true => continue,
                    false => return Ok(End::Enough),
                }
            }
            match self.next()? {
                Message::DataRow(body) if sink(Some(&values(&body)?)) => {}
                Message::DataRow(_) => return Ok(End::Enough),
                Message::CommandComplete(body) => end = End::Done(body.tag()?.to_owned()),
                Message::CopyInResponse(_) => {
                    frontend::copy_fail("no data for COPY", &mut self.outbox)?;
                    frontend::sync(&mut self.outbox);
                    self.flush()?;
                }
                Message::CopyOutResponse(_) => {
                    return Err(Fault::Lost(
                        "COPY TO STDOUT is not run here; write a SELECT".to_owned(),
                    ));
                }
                Message::ErrorResponse(body) => refused = Some(PgRefusal::of(&body)),
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return match refused {
                        Some(refusal) => Err(Fault::Refused(Box::new(refusal))),
                        None => Ok(end),
                    };
                }
                _ => {}
            }
        }
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        self.outbox.clear();
        frontend::terminate(&mut self.outbox);
        // The server notices a closed connection without it as well.
        let _said = self.stream.write_all(&self.outbox);
        let _said = self.stream.flush();
    }
}

fn values(body: &DataRowBody) -> Result<Vec<Option<&[u8]>>, Fault> {
    let buffer = body.buffer();
    Ok(body
        .ranges()
        .map(|range| Ok(range.and_then(|range| buffer.get(range))))
        .collect()?)
}

#[cfg(test)]
mod tests;
