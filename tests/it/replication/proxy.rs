//! What stands between two ends of a network: it passes everything on, says nothing, or loses what goes over the
//! connections that it has.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

#[derive(Default)]
struct Valve {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Valve {
    fn wait(&self) {
        let shut = self.shut.lock().unwrap();
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
    }
}

/// What is lost on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// What comes back.
    Answers,
    Everything,
}

/// A connection from end to end.
struct Passage {
    client: TcpStream,
    server: TcpStream,
    /// Whether what goes there, and what comes back, is dropped.
    loses: [Arc<AtomicBool>; 2],
    ended: Arc<AtomicBool>,
}

#[derive(Default)]
struct Network {
    valve: Valve,
    passages: Mutex<Vec<Passage>>,
}

pub struct Proxy {
    addr: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    network: Arc<Network>,
}

impl Proxy {
    pub fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let network = Arc::new(Network::default());
        let shared = Arc::clone(&network);
        let to = Arc::new(Mutex::new(to));
        let place = Arc::clone(&to);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let to = *place.lock().unwrap();
                if let Ok(server) = TcpStream::connect(to) {
                    connected(client, server, &shared);
                }
            }
        });
        Proxy { addr, to, network }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// New connections lead there from now on.
    pub fn lead_to(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
    }

    /// Nothing gets through, and nothing is refused.
    pub fn shut(&self) {
        *self.network.valve.shut.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.network.valve.shut.lock().unwrap() = false;
        self.network.valve.opened.notify_all();
    }

    /// From now on the connections that there are lose what goes over them; new ones do not.
    pub fn lose(&self, what: Lost) {
        for passage in &*self.network.passages.lock().unwrap() {
            let [there, back] = &passage.loses;
            there.store(what == Lost::Everything, Ordering::SeqCst);
            back.store(true, Ordering::SeqCst);
        }
    }

    /// Ends the connections that there are.
    pub fn cut(&self) {
        for passage in self.network.passages.lock().unwrap().drain(..) {
            let _ = passage.client.shutdown(Shutdown::Both);
            let _ = passage.server.shutdown(Shutdown::Both);
        }
    }
}

fn connected(client: TcpStream, server: TcpStream, network: &Arc<Network>) {
    let (client_side, server_side) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let loses = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let [there, back] = loses.clone();
    let ended = Arc::new(AtomicBool::new(false));
    let mut passages = network.passages.lock().unwrap();
    passages.retain(|passage| !passage.ended.load(Ordering::SeqCst));
    passages.push(Passage {
        client: client.try_clone().unwrap(),
        server: server.try_clone().unwrap(),
        loses,
        ended: Arc::clone(&ended),
    });
    drop(passages);
    let (shared, over) = (Arc::clone(network), Arc::clone(&ended));
    thread::spawn(move || pass(client, server, &shared.valve, &there, &over));
    let shared = Arc::clone(network);
    thread::spawn(move || pass(server_side, client_side, &shared.valve, &back, &ended));
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    valve: &Valve,
    loses: &AtomicBool,
    ended: &AtomicBool,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        valve.wait();
        let passes = !loses.load(Ordering::SeqCst);
        if passes && to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    valve.wait();
    // A connection that loses everything does not tell of its end either.
    if !loses.load(Ordering::SeqCst) {
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        ended.store(true, Ordering::SeqCst);
    }
}
