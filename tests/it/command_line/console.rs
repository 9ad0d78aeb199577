//! The program as a person runs it: into a pipe, or on a terminal of some width; what it printed is kept as one
//! transcript, with ids and times made the same in every run.

use super::steady::{steady_durations, steady_ports, steady_processes, steady_times};
use crate::support::{PATIENCE, Program, Server, Temp, binary, eventually};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What a run came to.
pub struct Ran {
    pub code: i32,
    /// Standard output; on a terminal, all that it showed.
    pub out: String,
    pub errors: String,
}

impl Ran {
    #[track_caller]
    pub fn is(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.errors);
        self
    }
}

/// Somebody at a shell.
pub struct Console {
    home: Temp,
    url: String,
    ids: Vec<String>,
    transcript: String,
}

impl Console {
    /// A shell whose home is empty, before a server whose clock is 3.5 hours ahead: every time it names is `in 3 h`,
    /// however long the test takes.
    pub fn before(server: &Server) -> Console {
        server.turn_only(12_600);
        Console::at(&format!("http://{}", server.inner().addr()))
    }

    pub fn at(url: &str) -> Console {
        Console {
            home: Temp::new(),
            url: url.to_owned(),
            ids: Vec::new(),
            transcript: String::new(),
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program with this person's token, in its home.
    pub fn command(&self, token: Option<&str>, arguments: &[&str]) -> Command {
        let mut command = binary();
        command
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("TZ", "UTC")
            .env("TERM", "xterm")
            .env("DBWARD_PAGER", "cat")
            .env("DBWARD_DATABASE", "shop");
        if let Some(token) = token {
            command
                .env("DBWARD_SERVER_URL", &self.url)
                .env("DBWARD_TOKEN", token);
        }
        command
    }

    /// Runs it into pipes.
    pub fn run(&self, token: Option<&str>, arguments: &[&str]) -> Ran {
        self.run_with(token, arguments, "")
    }

    /// The same, with something on standard input.
    pub fn run_with(&self, token: Option<&str>, arguments: &[&str], input: &str) -> Ran {
        finished(&mut self.command(token, arguments), input)
    }

    /// Runs it on a terminal of so many columns.
    pub fn on_terminal(&self, columns: u16, token: &str, arguments: &[&str]) -> Ran {
        shown(self.command(Some(token), arguments), columns, None)
    }

    /// Starts it, for what waits.
    pub fn start(&self, token: &str, arguments: &[&str]) -> Program {
        Program::start(&mut self.command(Some(token), arguments))
    }

    /// Runs it into pipes, and adds all it printed to the transcript.
    pub fn record(&mut self, token: &str, arguments: &[&str]) -> Ran {
        let ran = self.run(Some(token), arguments);
        self.add_pipes(arguments, &ran);
        ran
    }

    /// The same on terminals of 80 and 200 columns as well.
    pub fn record_wide(&mut self, token: &str, arguments: &[&str]) -> Ran {
        let ran = self.record(token, arguments);
        for columns in [80, 200] {
            self.record_at(Some(columns), token, arguments);
        }
        ran
    }

    /// Runs it into pipes and on terminals of both widths, and adds all it printed to the transcript: what is a sentence
    /// of any length is the same on all of them.
    pub fn record_sentences(&mut self, arguments: &[&str], code: i32) {
        let ran = self.run(None, arguments).is(code);
        self.add_pipes(arguments, &ran);
        for columns in [80, 200] {
            let ran = shown(self.command(None, arguments), columns, None).is(code);
            self.add_terminal(arguments, columns, &ran);
        }
    }

    /// The same of what goes on until it is interrupted, which it is once it has shown `prompt`. `before` is called
    /// before each run, with its command.
    pub fn record_until(
        &mut self,
        arguments: &[&str],
        prompt: &str,
        before: impl Fn(&mut Command),
    ) {
        let fresh = |console: &Console| {
            let mut command = console.command(None, arguments);
            before(&mut command);
            command
        };
        let ran = interrupted_in_pipes(&mut fresh(self), prompt).is(0);
        self.add_pipes(arguments, &ran);
        for columns in [80, 200] {
            let reaction = (prompt, Reaction::Interrupt);
            let ran = on_terminal(fresh(self), columns, vec![reaction]).is(0);
            self.add_terminal(arguments, columns, &ran);
        }
    }

    fn add_pipes(&mut self, arguments: &[&str], ran: &Ran) {
        let errors: String = ran
            .errors
            .lines()
            .map(|l| format!("{}\n", format!("! {l}").trim_end()))
            .collect();
        self.add(arguments, "", &format!("{}{errors}", ran.out), ran.code);
    }

    fn add_terminal(&mut self, arguments: &[&str], columns: u16, ran: &Ran) {
        // How long the name of the home is differs from machine to machine.
        let home = self.home().to_str().unwrap();
        let text = without_colours(&ran.out).replace(home, "~");
        self.add(arguments, &format!(" # {columns} columns"), &text, ran.code);
    }

    /// Runs it on a terminal of so many columns, or into pipes, and adds all it showed to the transcript.
    pub fn record_at(&mut self, columns: Option<u16>, token: &str, arguments: &[&str]) -> Ran {
        let Some(columns) = columns else {
            return self.record(token, arguments);
        };
        let seen = self.on_terminal(columns, token, arguments);
        // How long the name of the home is differs from machine to machine.
        let home = self.home().to_str().unwrap();
        let text = without_colours(&seen.out).replace(home, "~");
        for line in text.lines() {
            let wide = line.chars().count() > usize::from(columns);
            assert!(!wide, "{columns}: {line}");
        }
        let note = format!(" # {columns} columns");
        self.add(arguments, &note, &text, seen.code);
        seen
    }

    fn add(&mut self, arguments: &[&str], note: &str, text: &str, code: i32) {
        let quoted = arguments.iter().map(|a| {
            if a.contains(' ') {
                format!("\"{a}\"")
            } else {
                (*a).to_owned()
            }
        });
        let call = quoted.collect::<Vec<_>>().join(" ");
        let end = if code == 0 {
            String::new()
        } else {
            format!("[{code}]\n")
        };
        let block = format!("$ dbward {call}{note}\n{text}{end}\n");
        let block = self.steady(&block);
        self.transcript.push_str(&block);
    }

    /// The text with the ids and times of this run replaced by those of every run.
    fn steady(&mut self, text: &str) -> String {
        let text = &steady_durations(text);
        for word in text.split(|c: char| !c.is_ascii_hexdigit() && c != '-') {
            let is_id = word.len() == 36 && word.matches('-').count() == 4;
            if is_id && !self.ids.iter().any(|id| id == word) {
                self.ids.push(word.to_owned());
            }
        }
        let mut text = text.replace(&self.url, "http://server");
        for (n, id) in self.ids.iter().enumerate() {
            let short = format!("{n:08}");
            text = text.replace(id, &format!("{short}-0000-4000-8000-000000000000"));
            text = text.replace(&id[..8], &short);
            text = text.replace(
                &format!("show {}\n", &id[..4]),
                &format!("show {}\n", &short[..4]),
            );
        }
        let version = format!("dbward {}", env!("CARGO_PKG_VERSION"));
        let text = steady_processes(&steady_ports(&text));
        steady_times(&text)
            .replace(self.home().to_str().unwrap(), "~")
            .replace(&version, "dbward VERSION")
            .replace(
                concat!("version ", env!("CARGO_PKG_VERSION")),
                "version VERSION",
            )
    }

    /// Knows an id, so that its beginning is replaced too.
    pub fn knows(&mut self, id: &str) {
        self.ids.push(id.to_owned());
    }

    /// Compares the transcript with the file of that name.
    #[track_caller]
    pub fn golden(self, name: &str) {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/cli/{name}.txt"));
        let text = format!("{}\n", self.transcript.trim_end());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, kept, "{}", path.display());
    }
}

pub fn finished(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(mut to) = child.stdin.take() {
        to.write_all(input.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        errors: text(output.stderr),
    }
}

/// Runs a program into pipes until it has shown `prompt`; then it is interrupted.
fn interrupted_in_pipes(command: &mut Command, prompt: &str) -> Ran {
    let program = Program::start(command);
    let mut out = String::new();
    eventually(prompt, || {
        while let Some(line) = program.try_line() {
            out.push_str(&format!("{line}\n"));
        }
        out.contains(prompt) || program.errors().contains(prompt)
    });
    program.signal(Signal::INT);
    let (status, errors) = program.end();
    Ran {
        code: status.code().unwrap(),
        out,
        errors,
    }
}

/// What is done once a program has shown something.
pub enum Reaction<'a> {
    Type(&'a str),
    Interrupt,
    /// Something elsewhere.
    Do(Box<dyn FnOnce() + 'a>),
}

/// Runs a program on a terminal of so many columns; once it shows a `prompt`, `keys` are typed.
pub fn shown(command: Command, columns: u16, typed: Option<(&str, &str)>) -> Ran {
    let reaction = typed.map(|(prompt, keys)| (prompt, Reaction::Type(keys)));
    on_terminal(command, columns, reaction.into_iter().collect())
}

/// Runs a program on a terminal of so many columns; each reaction follows once its prompt is shown after the one before.
pub fn on_terminal(command: Command, columns: u16, reactions: Vec<(&str, Reaction)>) -> Ran {
    typed(command, columns, reactions, Piped::Neither)
}

/// Runs a program on a terminal as `$(..)` does in a shell: its standard output is captured, and `errors` is what the
/// terminal showed.
pub fn captured(command: Command) -> Ran {
    typed(command, 80, Vec::new(), Piped::Output)
}

/// Runs a program on a terminal with its errors in a pipe, as `2> file` does; `out` is what the terminal showed.
pub fn with_errors_piped(command: Command) -> Ran {
    typed(command, 80, Vec::new(), Piped::Errors)
}

/// What of a program on a terminal goes elsewhere.
#[derive(PartialEq)]
enum Piped {
    Neither,
    Output,
    Errors,
}

/// A terminal of so many columns: our end of it, and that of a program.
fn opened(columns: u16) -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize {
        ws_row: 50,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    (File::from(master), slave)
}

fn typed(
    mut command: Command,
    columns: u16,
    reactions: Vec<(&str, Reaction)>,
    piped: Piped,
) -> Ran {
    let (mut terminal, slave) = opened(columns);
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut child = command
        .stdin(end())
        .stdout(if piped == Piped::Output {
            Stdio::piped()
        } else {
            end()
        })
        .stderr(if piped == Piped::Errors {
            Stdio::piped()
        } else {
            end()
        })
        .spawn()
        .unwrap();
    // Only the child holds the other end now: reading stops when it is gone.
    drop(command);
    drop(slave);
    let mut reactions = reactions.into_iter().peekable();
    let start = Instant::now();
    let (mut out, mut buffer, mut reacted) = (Vec::new(), [0; 4096], 0);
    while let Ok(n) = terminal.read(&mut buffer) {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&buffer[..n]);
        let fresh = String::from_utf8_lossy(&out[reacted..]);
        if let Some((_, reaction)) = reactions.next_if(|(prompt, _)| fresh.contains(prompt)) {
            reacted = out.len();
            match reaction {
                Reaction::Type(keys) => terminal.write_all(keys.as_bytes()).unwrap(),
                Reaction::Interrupt => interrupt(child.id()),
                Reaction::Do(act) => act(),
            }
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{}",
            String::from_utf8_lossy(&out)
        );
    }
    let shown = String::from_utf8(out).unwrap().replace("\r\n", "\n");
    let code = child.wait().unwrap().code().unwrap();
    let mut read = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut read).unwrap();
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut read).unwrap();
    }
    let (out, errors) = match piped {
        Piped::Output => (read, shown),
        Piped::Neither | Piped::Errors => (shown, read),
    };
    Ran { code, out, errors }
}

fn interrupt(process: u32) {
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
}

/// What a terminal shows in the end: no colours, and nothing that was drawn over.
pub fn without_colours(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        let after = &rest[at..];
        let end = after
            .char_indices()
            .skip(2)
            .find(|(_, c)| c.is_ascii_alphabetic());
        rest = end.map_or("", |(n, c)| &after[n + c.len_utf8()..]);
    }
    out.push_str(rest);
    let lines = out.split('\n').map(|line| {
        let parts = line.split('\r');
        let is_spinner = |part: &&str| {
            part.chars()
                .next()
                .is_some_and(|c| ('\u{2801}'..='\u{28ff}').contains(&c))
        };
        parts
            .filter(|part| !is_spinner(part))
            .collect::<String>()
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
