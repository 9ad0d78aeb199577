//! A stopped server's folder, of which copies are edited and started.

use super::super::client::Faults;
use super::super::program::Program;
use super::{Server, Temp};
use dbward::clock::Clock;
use dbward::gate::GateLimits;
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub struct Stopped {
    dir: Temp,
    clock: Clock,
    toml: String,
    limits: GateLimits,
    tokens: HashMap<String, String>,
}

impl Server {
    /// Stops it in order, and keeps its folder.
    pub fn stopped(mut self) -> Stopped {
        self.running.take().unwrap().stop().unwrap();
        Stopped {
            dir: self.dir.take().unwrap(),
            clock: self.clock.clone(),
            toml: self.toml.clone(),
            limits: self.limits.clone(),
            tokens: self.tokens.lock().unwrap().clone(),
        }
    }
}

impl Stopped {
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The folder of `state`, and of the server.toml of [`Stopped::served`].
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the real program on it.
    pub fn served(&self) -> (Program, SocketAddr) {
        let toml = &self.toml;
        let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{toml}");
        fs::write(self.folder().join("server.toml"), text).unwrap();
        Program::serve(self.folder())
    }

    /// Starts a server on a copy, which `edit` has changed.
    pub fn started(&self, edit: impl FnOnce(&Path)) -> Server {
        let copy = Temp::new();
        copy_all(&self.state_dir(), &copy.path().join("state"));
        edit(&copy.path().join("state"));
        Server::start(
            &self.toml,
            self.limits.clone(),
            self.clock.clone(),
            copy,
            self.tokens.clone(),
            Faults::default(),
        )
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &place);
        } else if path.is_file() {
            fs::copy(&path, place).unwrap();
        }
    }
}
