//! Sends mail by SMTP, only to addresses that may be called.

use super::guard::NetworkReach;
use crate::config::{Email, MailSecurity};
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{self, Data, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest wait for each answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for the one to a whole mail, which some servers read for long before they accept it: a mail that is given up
/// too early comes twice.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for the end, which nothing depends on.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time for one mail, however often the server says something meanwhile.
const MAIL_TIMEOUT: Duration = Duration::from_secs(45);
/// How often a stop is looked for while a server is waited for.
const STOP_LOOK: Duration = Duration::from_millis(50);
/// Threads that speak with mail servers at one time, those given up included.
const THREADS_MAX: usize = 4;
/// Codes by which a server refuses us and not the mail.
const REFUSES_SENDER: [&str; 4] = ["530", "534", "535", "538"];

/// A mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// An address.
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Unique, and the same where it is sent again.
    pub id: String,
    /// What all mails of one thread have in common.
    pub thread: Option<String>,
    /// Further header fields of ours.
    pub headers: Vec<(&'static str, String)>,
}

/// Why a mail was not sent, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailFailure {
    /// The server refuses it for good.
    Refused(String),
    /// The server does not accept it now, because of its recipient or of what it says.
    NotNow(String),
    /// The server accepts nothing now.
    Busy(String),
    /// The server cannot be used.
    Unreachable(String),
}

impl fmt::Display for MailFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailFailure::Refused(why)
            | MailFailure::NotNow(why)
            | MailFailure::Busy(why)
            | MailFailure::Unreachable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for MailFailure {}

/// Threads that speak with mail servers, each for one session. One that is given up ends when its server lets it.
#[derive(Default)]
pub struct MailThreads(Arc<AtomicUsize>);

/// Mails that are sent one after another, by one connection as long as the server keeps it.
pub struct MailSession<'a> {
    email: &'a Email,
    reach: &'a NetworkReach,
    threads: &'a MailThreads,
    is_stopping: &'a dyn Fn() -> bool,
    until: Instant,
    mail_timeout: Duration,
    speaker: Option<Speaker>,
}

/// The thread of a session, as long as it is not given up.
struct Speaker {
    mails: Sender<Mail>,
    ends: Receiver<Result<(), MailFailure>>,
    is_given_up: Arc<AtomicBool>,
}

impl MailSession<'_> {
    /// A session by the server of `email`, which is connected with the first mail and begins none after `until`. It is
    /// given up as soon as `is_stopping`.
    pub fn new<'a>(
        email: &'a Email,
        reach: &'a NetworkReach,
        threads: &'a MailThreads,
        until: Instant,
        is_stopping: &'a dyn Fn() -> bool,
    ) -> MailSession<'a> {
        MailSession {
            email,
            reach,
            threads,
            is_stopping,
            until,
            mail_timeout: MAIL_TIMEOUT,
            speaker: None,
        }
    }

    /// Whether its time is over.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// Why the server has not accepted it. Where it falls silent at one recipient, it may take mail for others.
    pub fn send(&mut self, mail: Mail) -> Result<(), MailFailure> {
        let unreachable = |why: &str| Err(MailFailure::Unreachable(why.to_owned()));
        let speaker = match self.speaker.take() {
            Some(speaker) => speaker,
            None => self.threads.start(self.email, self.reach)?,
        };
        if speaker.mails.send(mail).is_err() {
            return unreachable("the mail could not be sent");
        }
        let until = Instant::now() + self.mail_timeout;
        loop {
            match speaker.ends.recv_timeout(STOP_LOOK) {
                Ok(end) => {
                    self.speaker = Some(speaker);
                    return end;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return unreachable("the mail could not be sent");
                }
            }
            if (self.is_stopping)() || Instant::now() >= until {
                speaker.is_given_up.store(true, Ordering::SeqCst);
                return unreachable("the mail server takes too long");
            }
        }
    }
}

impl MailThreads {
    fn start(&self, email: &Email, reach: &NetworkReach) -> Result<Speaker, MailFailure> {
        if self.0.fetch_add(1, Ordering::SeqCst) >= THREADS_MAX {
            self.0.fetch_sub(1, Ordering::SeqCst);
            let why = "the mail server still holds earlier attempts";
            return Err(MailFailure::Unreachable(why.to_owned()));
        }
        let counted = Counted(Arc::clone(&self.0));
        let (mails, received) = channel::<Mail>();
        let (ended, ends) = channel();
        let is_given_up = Arc::new(AtomicBool::new(false));
        let mut dialogue = Dialogue {
            email: email.clone(),
            reach: reach.clone(),
            open: None,
            is_given_up: Arc::clone(&is_given_up),
        };
        let speak = move || {
            let _counted = counted;
            for mail in received {
                if ended.send(dialogue.send(&mail)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("mail".to_owned());
        thread.spawn(speak).map_err(|e| {
            MailFailure::Unreachable(format!("the server could not start a thread: {e}"))
        })?;
        Ok(Speaker {
            mails,
            ends,
            is_given_up,
        })
    }
}

/// Counts a thread down when it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is sent to a server, whatever time that takes.
struct Dialogue {
    email: Email,
    reach: NetworkReach,
    open: Option<SmtpConnection>,
    is_given_up: Arc<AtomicBool>,
}

impl Dialogue {
    fn send(&mut self, mail: &Mail) -> Result<(), MailFailure> {
        let message = message(&self.email, mail).map_err(MailFailure::Refused)?;
        let mut connection = self.begun(&message)?;
        if self.is_given_up.load(Ordering::SeqCst) {
            return Err(MailFailure::Unreachable("given up".to_owned()));
        }
        match hand_over(&mut connection, &message) {
            Ok(()) => {
                self.open = Some(connection);
                Ok(())
            }
            Err(error) => {
                let is_answer = error.status().is_some();
                if is_answer && connection.command(Rset).is_ok() {
                    self.open = Some(connection);
                }
                Err(match failure(&error) {
                    MailFailure::Busy(why) => MailFailure::NotNow(why),
                    MailFailure::Unreachable(why) if !is_answer => MailFailure::NotNow(why),
                    other => other,
                })
            }
        }
    }

    /// A connection that has accepted the sender of a message: the open one, as far as it lives, or a new one.
    fn begun(&mut self, message: &Message) -> Result<SmtpConnection, MailFailure> {
        if let Some(mut open) = self.open.take()
            && let Ok(command) = sender(&open, message)
            && open.command(command).is_ok()
        {
            return Ok(open);
        }
        let mut connection = connected(&self.email, &self.reach)?;
        let command = sender(&connection, message)?;
        let accepted = connection.command(command);
        accepted.map_err(|e| refused_us(&e))?;
        Ok(connection)
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        if let Some(mut open) = self.open.take() {
            let _ = open.set_timeout(Some(QUIT_TIMEOUT));
            let _ = open.command(Quit);
        }
    }
}

/// `MAIL` for a message, as the server can take it.
fn sender(connection: &SmtpConnection, message: &Message) -> Result<commands::Mail, MailFailure> {
    let server = connection.server_info();
    let (mut parameters, envelope) = (Vec::new(), message.envelope());
    let addresses = envelope.to().iter().chain(envelope.from());
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !addresses.into_iter().all(is_ascii) {
        if !server.supports_feature(Extension::SmtpUtfEight) {
            let why = "mail: the server takes addresses of plain characters only";
            return Err(MailFailure::Refused(why.to_owned()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !message.formatted().is_ascii() {
        if !server.supports_feature(Extension::EightBitMime) {
            let why = "mail: the server takes plain characters only";
            return Err(MailFailure::Refused(why.to_owned()));
        }
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(commands::Mail::new(envelope.from().cloned(), parameters))
}

/// Recipient and text of a message whose sender was accepted.
fn hand_over(
    connection: &mut SmtpConnection,
    message: &Message,
) -> Result<(), lettre::transport::smtp::Error> {
    for address in message.envelope().to() {
        connection.command(Rcpt::new(address.clone(), Vec::new()))?;
    }
    connection.command(Data)?;
    let _ = connection.set_timeout(Some(ACCEPT_TIMEOUT));
    connection.message(&message.formatted())?;
    let _ = connection.set_timeout(Some(ANSWER_TIMEOUT));
    Ok(())
}

/// Connects to the server of `email` as for sending, and sends nothing.
///
/// # Errors
/// Why no mail could be handed to it.
pub fn greet(email: &Email, reach: &NetworkReach) -> Result<(), MailFailure> {
    let mut connection = connected(email, reach)?;
    match connection.test_connected() {
        true => Ok(()),
        false => Err(MailFailure::Unreachable(
            "it does not stay connected".to_owned(),
        )),
    }
}

/// A connection on which mail may be sent.
fn connected(email: &Email, reach: &NetworkReach) -> Result<SmtpConnection, MailFailure> {
    let reach = NetworkReach {
        here: reach.here || email.is_here(),
        ..reach.clone()
    };
    let address = resolved(email, &reach).map_err(MailFailure::Unreachable)?;
    let tls = match email.security {
        MailSecurity::None => None,
        _ => Some(encrypted(email).map_err(MailFailure::Unreachable)?),
    };
    let hello = ClientId::Domain("dbward".to_owned());
    let greeted = || {
        let at_once = tls.as_ref().filter(|_| email.security == MailSecurity::Tls);
        let place = SocketAddr::new(address, email.port);
        let timeout = Some(ANSWER_TIMEOUT);
        let mut connection = SmtpConnection::connect(place, timeout, &hello, at_once, None)?;
        if let (MailSecurity::StartTls, Some(tls)) = (email.security, &tls) {
            connection.starttls(tls, &hello)?;
        }
        if let Some((name, password)) = &email.credentials {
            let credentials = Credentials::new(name.clone(), password.expose().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &credentials)?;
        }
        Ok(connection)
    };
    greeted().map_err(|e| refused_us(&e))
}

/// An address of the server that may be called; it is the one that is connected.
fn resolved(email: &Email, reach: &NetworkReach) -> Result<IpAddr, String> {
    let found: Vec<IpAddr> = (email.server.as_str(), email.port)
        .to_socket_addrs()
        .map_err(|_| "the name of the mail server leads to no address".to_owned())?
        .map(|address| address.ip())
        .collect();
    let allowed: Vec<IpAddr> = found
        .iter()
        .copied()
        .filter(|ip| reach.covers(*ip))
        .collect();
    let answers = |ip: &&IpAddr| {
        let place = SocketAddr::new(**ip, email.port);
        TcpStream::connect_timeout(&place, ANSWER_TIMEOUT).is_ok()
    };
    match allowed.as_slice() {
        [] => Err(format!(
            "{} may not be called; a private network needs `allow_networks`",
            found.first().map(ToString::to_string).unwrap_or_default()
        )),
        [only] => Ok(*only),
        // A mail is never tried at two: the first may have accepted it.
        several => Ok(*several.iter().find(answers).unwrap_or(&several[0])),
    }
}

fn encrypted(email: &Email) -> Result<TlsParameters, String> {
    let mut tls = TlsParameters::builder(email.server.clone());
    if let Some(file) = &email.ca_file {
        let pem = std::fs::read(file).map_err(|e| format!("ca_file cannot be read: {e}"))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|_| "ca_file holds no certificate".to_owned())?;
        tls = tls.add_root_certificate(certificate);
    }
    tls.build()
        .map_err(|_| "TLS cannot be used with this server's name".to_owned())
}

fn message(email: &Email, mail: &Mail) -> Result<Message, String> {
    let from: Mailbox = email
        .from
        .parse()
        .map_err(|_| "`from` is not an address".to_owned())?;
    let domain = from.email.domain().to_owned();
    let mut builder = Message::builder()
        .from(from)
        .subject(&mail.subject)
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        .date_now();
    let to: Address = mail
        .to
        .parse()
        .map_err(|_| "this is not an e-mail address".to_owned())?;
    builder = builder.to(Mailbox::new(None, to));
    if let Some(thread) = &mail.thread {
        let root = format!("<{thread}@{domain}>");
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    for (name, value) in &mail.headers {
        let name = HeaderName::new_from_ascii((*name).to_owned()).map_err(|e| e.to_string())?;
        builder = builder.raw_header(HeaderValue::new(name, value.clone()));
    }
    let parts = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
    builder.multipart(parts).map_err(|e| e.to_string())
}

/// What an error means before a recipient was named: a refusal for good is of us, and says nothing about the mail.
fn refused_us(error: &lettre::transport::smtp::Error) -> MailFailure {
    match failure(error) {
        MailFailure::Refused(why) => MailFailure::Unreachable(why),
        other => other,
    }
}

fn failure(error: &lettre::transport::smtp::Error) -> MailFailure {
    let code = error.status().map(|code| code.to_string());
    let refuses_sender = code
        .as_deref()
        .is_some_and(|code| REFUSES_SENDER.contains(&code));
    let text = format!("mail: {error}");
    if refuses_sender {
        MailFailure::Unreachable(text)
    } else if error.is_permanent() {
        MailFailure::Refused(text)
    } else if error.is_transient() {
        MailFailure::Busy(text)
    } else {
        // Its causes say more than it does.
        let mut text = text;
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = match is_timeout(cause) {
                true => "the mail server does not answer in time".to_owned(),
                false => format!("mail: {cause}"),
            };
            source = cause.source();
        }
        MailFailure::Unreachable(text)
    }
}

/// Whether an error is a wait that was too long; the system has two names for it.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(|e| e.kind());
    matches!(kind, Some(ErrorKind::TimedOut | ErrorKind::WouldBlock))
}

#[cfg(test)]
mod tests;
