//! What stands between two ends of a network: it passes everything on, or says nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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

pub struct Proxy {
    addr: SocketAddr,
    valve: Arc<Valve>,
}

impl Proxy {
    pub fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, valve) = (listener.local_addr().unwrap(), Arc::new(Valve::default()));
        let shared = Arc::clone(&valve);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let valve = Arc::clone(&shared);
                thread::spawn(move || {
                    let Ok(server) = TcpStream::connect(to) else {
                        return;
                    };
                    let (back_from, back_to) =
                        (server.try_clone().unwrap(), client.try_clone().unwrap());
                    let back = Arc::clone(&valve);
                    thread::spawn(move || pass(back_from, back_to, &back));
                    pass(client, server, &valve);
                });
            }
        });
        Proxy { addr, valve }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nothing gets through, and nothing is refused.
    pub fn shut(&self) {
        *self.valve.shut.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.valve.shut.lock().unwrap() = false;
        self.valve.opened.notify_all();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, valve: &Valve) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        valve.wait();
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    valve.wait();
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
