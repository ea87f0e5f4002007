//! Bytes from one process to another over TCP, without any protocol: the
//! least that a transfer between two workers costs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// What is written and read at once.
const CHUNK: usize = 1 << 20;

/// Gives the same bytes to whoever asks, until nobody does. The port is told as a
/// line.
///
/// # Errors
///
/// Those of the operating system.
pub fn give(bytes: usize, mut tell: impl FnMut(u16)) -> io::Result<()> {
    let value = vec![7_u8; bytes];
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tell(listener.local_addr()?.port());
    let (mut taker, _) = listener.accept()?;
    taker.set_nodelay(true)?;
    let mut questions = BufReader::new(taker.try_clone()?);
    let mut question = String::new();
    while questions.read_line(&mut question)? > 0 {
        for chunk in value.chunks(CHUNK) {
            taker.write_all(chunk)?;
        }
        question.clear();
    }
    Ok(())
}

/// Asks for the bytes, and takes them into memory of their own.
///
/// # Errors
///
/// Those of the operating system.
pub fn take(giver: &mut TcpStream, bytes: usize) -> io::Result<Vec<u8>> {
    giver.write_all(b"next\n")?;
    let mut value = Vec::with_capacity(bytes);
    giver.take(bytes as u64).read_to_end(&mut value)?;
    Ok(value)
}
