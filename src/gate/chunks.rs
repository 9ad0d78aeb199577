//! Decoding a chunked body, one byte at a time and as strictly as the head.

use crate::error::Error;

/// Digits of a chunk size: 4 GiB, far above any body we take.
const SIZE_DIGITS_MAX: u8 = 8;
/// Bytes of chunk extensions in one line, which we skip.
const EXTENSION_BYTES_MAX: u16 = 256;
/// Bytes of all trailer fields, which we skip.
const TRAILER_BYTES_MAX: u16 = 4096;

#[derive(Clone, Copy)]
enum ChunkState {
    Size { digits: u8, value: u32 },
    Extension { bytes: u16, value: u32 },
    SizeEnd { value: u32 },
    Data { left: u32 },
    DataCr,
    DataLf,
    Trailer { bytes: u16, empty: bool },
    TrailerEnd { bytes: u16, empty: bool },
    Done,
}

/// The state between two reads.
pub(super) struct Chunks(ChunkState);

impl Chunks {
    pub(super) fn new() -> Chunks {
        Chunks(ChunkState::Size {
            digits: 0,
            value: 0,
        })
    }

    /// Whether the last chunk and the trailer have been read.
    pub(super) fn done(&self) -> bool {
        matches!(self.0, ChunkState::Done)
    }

    /// Decodes from `input` to `body`, and returns how many bytes of the input it used.
    ///
    /// # Errors
    /// 400 for bytes that are not a chunk.
    pub(super) fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Error> {
        let mut at = 0;
        while at < input.len() && !self.done() {
            if let ChunkState::Data { left } = self.0 {
                let n = (left as usize).min(input.len() - at);
                body.extend_from_slice(&input[at..at + n]);
                at += n;
                self.0 = match left - n as u32 {
                    0 => ChunkState::DataCr,
                    left => ChunkState::Data { left },
                };
                continue;
            }
            self.0 = self
                .step(input[at])
                .ok_or_else(|| Error::invalid("malformed chunked body"))?;
            at += 1;
        }
        Ok(at)
    }

    /// The state after one byte of framing; `None` if it has no business there.
    fn step(&self, byte: u8) -> Option<ChunkState> {
        let visible = matches!(byte, 0x20..=0x7e | b'\t');
        match (self.0, byte) {
            (ChunkState::Size { digits: 1.., value }, b'\r') => Some(ChunkState::SizeEnd { value }),
            (ChunkState::Size { digits: 1.., value }, b';' | b' ' | b'\t') => {
                Some(ChunkState::Extension { bytes: 1, value })
            }
            (ChunkState::Size { digits, value }, _) if digits < SIZE_DIGITS_MAX => {
                let digit = (byte as char).to_digit(16)?;
                let value = value << 4 | digit;
                Some(ChunkState::Size {
                    digits: digits + 1,
                    value,
                })
            }
            (ChunkState::Extension { value, .. }, b'\r') => Some(ChunkState::SizeEnd { value }),
            (ChunkState::Extension { bytes, value }, _)
                if visible && bytes < EXTENSION_BYTES_MAX =>
            {
                Some(ChunkState::Extension {
                    bytes: bytes + 1,
                    value,
                })
            }
            (ChunkState::SizeEnd { value: 0 }, b'\n') => Some(ChunkState::Trailer {
                bytes: 0,
                empty: true,
            }),
            (ChunkState::SizeEnd { value: left }, b'\n') => Some(ChunkState::Data { left }),
            (ChunkState::DataCr, b'\r') => Some(ChunkState::DataLf),
            (ChunkState::DataLf, b'\n') => Some(ChunkState::Size {
                digits: 0,
                value: 0,
            }),
            (ChunkState::Trailer { bytes, empty }, b'\r') => {
                Some(ChunkState::TrailerEnd { bytes, empty })
            }
            (ChunkState::Trailer { bytes, .. }, _) if visible && bytes < TRAILER_BYTES_MAX => {
                Some(ChunkState::Trailer {
                    bytes: bytes + 1,
                    empty: false,
                })
            }
            (ChunkState::TrailerEnd { empty: true, .. }, b'\n') => Some(ChunkState::Done),
            (ChunkState::TrailerEnd { bytes, .. }, b'\n') => {
                Some(ChunkState::Trailer { bytes, empty: true })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `step`; the body and what was left over.
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, usize), &'static str> {
        let (mut chunks, mut body, mut used) = (Chunks::new(), Vec::new(), 0);
        for piece in input.chunks(step) {
            match chunks.feed(piece, &mut body) {
                Ok(n) => used += n,
                Err(_) => return Err("malformed"),
            }
        }
        if chunks.done() {
            Ok((body, input.len() - used))
        } else {
            Err("unfinished")
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let input = b"5\r\nhello\r\n6;name=\"v\"\r\n world\r\n00a\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nGET /";
        for step in 1..input.len() {
            let (body, over) = decode(input, step).unwrap();
            assert_eq!(body, b"hello world0123456789");
            assert_eq!(over, 5, "the next request is left alone");
        }
    }

    #[test]
    fn bad_framing_is_refused() {
        for bad in [
            "\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "-5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "5 5\r\nhello\n",
            "123456789\r\n",
            "0\r\n\nX",
            "0\r\nA: \x01\r\n\r\n",
            "5;\x00\r\nhello\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes(), 3), Err("malformed"), "{bad:?}");
        }
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
        assert_eq!(decode(long.as_bytes(), 7), Err("malformed"));
    }
}
