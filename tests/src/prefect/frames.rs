//! The frames that the client of a socket sends (RFC 6455, 5.2), one by one.

/// Bytes as they come, frames as they are whole.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    texts: u64,
}

impl Frames {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let length = length(&self.bytes)?;
        if self.bytes.len() < length {
            return None;
        }
        let rest = self.bytes.split_off(length);
        let frame = std::mem::replace(&mut self.bytes, rest);
        const TEXT: u8 = 1;
        if frame[0] & 0x0f == TEXT {
            self.texts += 1;
        }
        Some(frame)
    }

    /// How many texts there were so far.
    pub(super) fn texts(&self) -> u64 {
        self.texts
    }
}

/// Of the frame that begins here, with its head.
fn length(bytes: &[u8]) -> Option<usize> {
    let short = bytes.get(1)? & 0x7f;
    let mask = if bytes[1] & 0x80 == 0 { 0 } else { 4 };
    let (head, body) = match short {
        126 => (4, bytes.get(2..4)?),
        127 => (10, bytes.get(2..10)?),
        _ => (2, &[short][..]),
    };
    let body = body
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    Some(head + mask + body)
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn frames_are_told_apart_however_their_bytes_come() {
        let masked = |opcode: u8, length: usize| {
            let mut frame = vec![0x80 | opcode];
            match length {
                0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
                126..65_536 => {
                    frame.push(0x80 | 126);
                    frame.extend(u16::try_from(length).unwrap().to_be_bytes());
                }
                _ => {
                    frame.push(0x80 | 127);
                    frame.extend(u64::try_from(length).unwrap().to_be_bytes());
                }
            }
            frame.extend(vec![7; 4 + length]);
            frame
        };
        let all = [
            masked(1, 3),
            masked(9, 0),
            masked(1, 1_300),
            masked(1, 70_000),
        ];
        for step in [1, 7, 100_000] {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for bytes in all.concat().chunks(step) {
                frames.add(bytes);
                while let Some(frame) = frames.next() {
                    found.push(frame);
                }
            }
            assert_eq!(found, all);
            assert_eq!(frames.texts(), 3);
        }
    }
}
