//! A door before a server: some paths it answers itself, all else goes
//! through. So a stock server can be of a version that does not exist yet, or
//! refuse somebody.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// What is answered instead of the server, by path.
type Answers = BTreeMap<&'static str, (u16, &'static str)>;

/// An address of its own before a server's; it is there until the test ends.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
}

impl Door {
    /// A door before the server at an address. Paths that it answers itself
    /// are written with `/api`.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn before(
        server: SocketAddr,
        answers: impl IntoIterator<Item = (&'static str, (u16, &'static str))>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let answers: Arc<Answers> = Arc::new(answers.into_iter().collect());
        std::thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                // A connection that breaks is the caller's to judge.
                std::thread::spawn(move || drop(serve(caller, server, &answers)));
            }
        });
        Ok(Self { address })
    }

    /// What `PREFECT_API_URL` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }
}

/// One request, or one WebSocket.
fn serve(mut caller: TcpStream, server: SocketAddr, answers: &Answers) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        caller.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let (start, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    if let Some((status, body)) = answers.get(path) {
        let length = body.len();
        return caller.write_all(
            format!(
                "HTTP/1.1 {status} So\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
    }
    let mut through = TcpStream::connect(server)?;
    // Else the next request of the connection would pass unseen.
    let close = if rest.to_ascii_lowercase().contains("upgrade: websocket") {
        ""
    } else {
        "connection: close\r\n"
    };
    through.write_all(format!("{start}\r\n{close}{rest}").as_bytes())?;
    let (mut from_caller, mut to_server) = (caller.try_clone()?, through.try_clone()?);
    std::thread::spawn(move || {
        let done = io::copy(&mut from_caller, &mut to_server);
        drop(to_server.shutdown(Shutdown::Write));
        done
    });
    io::copy(&mut through, &mut caller)?;
    caller.shutdown(Shutdown::Both)
}
