//! A way to a server on which things go wrong.
//!
//! Each request has a connection of its own, so that it can meet its own
//! fault; which one follows from its number alone. Answers and frames pass as
//! they are.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::frames::Frames;

/// What goes wrong. Of a hundred requests so many each; a socket is a request
/// until it is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The server is busy: 503.
    pub busy: u64,
    /// They come too often: 429, with `Retry-After` of a second.
    pub too_often: u64,
    /// The server does what they ask, and its answer does not arrive.
    pub lost_answers: u64,
    /// What is answered instead of the server, with which status, by path: so a
    /// stock server can be of a version that does not exist yet, or refuse
    /// somebody.
    pub answers: BTreeMap<&'static str, (u16, &'static str)>,
    /// The server fails (500) at requests whose paths end so, if they hold this
    /// text.
    pub failing: Option<(&'static str, &'static str)>,
    /// Each answer comes so much later, and so does what a socket says.
    pub delay: Duration,
    /// A socket is cut after so many frames that the client has sent.
    pub frames: Option<u64>,
    /// Requests whose paths end so wait here, until this is over.
    pub held: Option<String>,
}

/// How often something went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Requests that came.
    pub requests: u64,
    /// Requests that were answered here.
    pub refused: u64,
    /// Answers of the server that were thrown away.
    pub lost_answers: u64,
    /// Sockets that were cut.
    pub cuts: u64,
    /// Requests that had to wait.
    pub held: u64,
}

/// A proxy in front of a server. Dropping it closes its port.
#[derive(Debug)]
pub struct FaultyWay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    met: Met,
    is_over: bool,
}

impl FaultyWay {
    /// A way to the server at this address.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn to(server: SocketAddr, faults: Faults) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State {
            faults,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            server,
            state: Mutex::new(state),
        });
        let passing = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if passing.with(|state| state.is_over) {
                    return;
                }
                let passing = Arc::clone(&passing);
                // What ends early on either side is what this is for.
                thread::spawn(move || client.and_then(|client| passing.pass(client)));
            }
        });
        Ok(Self { address, shared })
    }

    /// What `PREFECT_API_URL` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// A way on which all is well, but that these paths are answered on it and
    /// not by the server; they are written with `/api`.
    ///
    /// # Errors
    ///
    /// As [`to`](Self::to).
    pub fn answering(
        server: SocketAddr,
        answers: impl IntoIterator<Item = (&'static str, (u16, &'static str))>,
    ) -> io::Result<Self> {
        let answers = answers.into_iter().collect();
        let faults = Faults {
            answers,
            ..Faults::default()
        };
        Self::to(server, faults)
    }

    /// From now on something else goes wrong.
    pub fn set(&self, faults: Faults) {
        self.shared.with(|state| state.faults = faults);
    }

    /// How often something has gone wrong.
    #[must_use]
    pub fn met(&self) -> Met {
        self.shared.with(|state| state.met)
    }
}

impl Drop for FaultyWay {
    fn drop(&mut self) {
        self.shared.with(|state| state.is_over = true);
        // The listener looks once more.
        drop(TcpStream::connect(self.address));
    }
}

/// What one request meets.
enum Fault {
    None,
    Answer {
        /// And headers.
        status: String,
        body: &'static str,
    },
    LostAnswer,
}

impl Fault {
    fn answer(status: &str) -> Self {
        Self::Answer {
            status: status.to_owned(),
            body: "",
        }
    }
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until requests of this path may pass.
    fn hold(&self, path: &str) {
        let is_held = |state: &State| {
            let held = state.faults.held.as_deref();
            !state.is_over && held.is_some_and(|end| path.ends_with(end))
        };
        if self.with(|state| is_held(state)) {
            self.with(|state| state.met.held += 1);
            while self.with(|state| is_held(state)) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn pass(&self, mut client: TcpStream) -> io::Result<()> {
        let Some(request) = read_request(&mut client)? else {
            return Ok(());
        };
        self.hold(&request.path);
        let (fault, faults) = self.with(|state| state.next(&request));
        if let Fault::Answer { status, body } = fault {
            thread::sleep(faults.delay);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            );
            return client.write_all(answer.as_bytes());
        }
        let mut server = TcpStream::connect(self.server)?;
        if request.is_socket {
            server.write_all(&request.bytes)?;
            return self.pass_socket(client, server, &faults);
        }
        server.write_all(&request.closing())?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        thread::sleep(faults.delay);
        if matches!(fault, Fault::LostAnswer) {
            return client.shutdown(Shutdown::Both);
        }
        client.write_all(&answer)
    }

    fn pass_socket(
        &self,
        mut client: TcpStream,
        mut server: TcpStream,
        faults: &Faults,
    ) -> io::Result<()> {
        let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
        let delay = faults.delay;
        thread::spawn(move || {
            let mut bytes = [0; 1 << 14];
            while let Ok(count @ 1..) = from_server.read(&mut bytes) {
                thread::sleep(delay);
                if to_client.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            to_client.shutdown(Shutdown::Both)
        });
        let mut frames = Frames::default();
        let mut bytes = [0; 1 << 14];
        loop {
            let count = client.read(&mut bytes)?;
            if count == 0 {
                return server.shutdown(Shutdown::Both);
            }
            frames.add(&bytes[..count]);
            while let Some(frame) = frames.next() {
                server.write_all(&frame)?;
                if faults.frames.is_some_and(|limit| frames.texts() >= limit) {
                    self.with(|state| state.met.cuts += 1);
                    server.shutdown(Shutdown::Both)?;
                    return client.shutdown(Shutdown::Both);
                }
            }
        }
    }
}

impl State {
    /// What the next request meets.
    fn next(&mut self, request: &Request) -> (Fault, Faults) {
        self.met.requests += 1;
        let path = &*request.path;
        let faults = self.faults.clone();
        let mut share = mixed(self.met.requests) % 100;
        let mut is_one_of = |part: u64| {
            let is_one = share < part;
            share = share.saturating_sub(part) + if is_one { 100 } else { 0 };
            is_one
        };
        let fault = if let Some((status, body)) = faults.answers.get(path).copied() {
            let status = format!("{status} So");
            Fault::Answer { status, body }
        } else if faults.failing.is_some_and(|of| request.is(of)) {
            Fault::answer("500 Internal Server Error")
        } else if is_one_of(faults.busy) {
            Fault::answer("503 Service Unavailable")
        } else if is_one_of(faults.too_often) {
            Fault::answer("429 Too Many Requests\r\nRetry-After: 1")
        } else if is_one_of(faults.lost_answers) {
            Fault::LostAnswer
        } else {
            Fault::None
        };
        match fault {
            Fault::None => {}
            Fault::Answer { .. } => self.met.refused += 1,
            Fault::LostAnswer => self.met.lost_answers += 1,
        }
        (fault, faults)
    }
}

/// A number that looks like no other one's neighbour (SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct Request {
    path: String,
    bytes: Vec<u8>,
    head: usize,
    is_socket: bool,
}

impl Request {
    fn is(&self, (end, text): (&str, &str)) -> bool {
        self.path.ends_with(end) && String::from_utf8_lossy(&self.bytes).contains(text)
    }

    /// The same, with which the server closes the connection.
    fn closing(&self) -> Vec<u8> {
        let (head, body) = self.bytes.split_at(self.head - 2);
        [head, b"Connection: close\r\n", body].concat()
    }
}

/// A whole request; `None` if the connection ended before.
fn read_request(client: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut more = [0; 1 << 14];
    loop {
        let count = client.read(&mut more)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&more[..count]);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(head) = end.map(|end| end + 4) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes[..head]);
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let text = text.to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or(0);
        if bytes.len() >= head + length {
            return Ok(Some(Request {
                path,
                is_socket: text.contains("upgrade: websocket"),
                bytes,
                head,
            }));
        }
    }
}
