//! One HTTP request after another, each on a connection of its own: what a
//! test asks a server must not depend on the client that is tested.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a busy server may take to answer. On SQLite a request waits for a
/// minute for the lock before it is refused, and others wait behind it.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is no JSON.
    pub body: Value,
}

/// Asks the server at an address.
///
/// # Errors
///
/// It cannot be reached, or does not speak HTTP.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    // Version 1.0: the end of the connection is that of the answer.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
}

fn read(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = serde_json::from_slice(&answer[end + 4..]).unwrap_or_default();
    Some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn answers_are_read() {
        let answer = read(b"HTTP/1.1 201 Created\r\nx: y\r\n\r\n{\"id\": 1}").expect("an answer");
        assert_eq!((answer.status, &answer.body["id"]), (201, &1.into()));
        let empty = read(b"HTTP/1.1 204 No Content\r\n\r\n").expect("an answer");
        assert!(empty.body.is_null());
        assert!(read(b"SSH-2.0").is_none());
    }
}
