//! The read buffer of a client connection: what has come and has not been used yet.

/// First size: an ordinary request fits whole.
const START_BYTES: usize = 4 * 1024;

/// An empty buffer larger than this is given back between calls, so that idle connections stay small.
const KEEP_BYTES: usize = 16 * 1024;

/// A buffer that fills at its end and is used up from its start.
pub(super) struct ReadBuffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> ReadBuffer {
        ReadBuffer {
            data: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// What has come and has not been used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks the first `n` bytes as used.
    pub(super) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room for more bytes; empty once `max` bytes are waiting.
    pub(super) fn room(&mut self, max: usize) -> &mut [u8] {
        if self.end == self.data.len() {
            if self.start > 0 {
                self.data.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.data.len() {
                let len = (self.data.len() * 2).clamp(START_BYTES, max.max(START_BYTES));
                self.data.resize(len.max(self.end), 0);
            }
        }
        &mut self.data[self.end..]
    }

    /// Notes that `n` bytes were read into the room.
    pub(super) fn added(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// Gives a large empty buffer back.
    pub(super) fn trim(&mut self) {
        if self.is_empty() && self.data.len() > KEEP_BYTES {
            self.data = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_the_same_across_growth_and_reuse() {
        let mut read_buffer = ReadBuffer::new();
        let (mut written, mut read) = (0_u32, 0_u32);
        for round in 0..500_usize {
            let room = read_buffer.room(32 * 1024);
            let n = room.len().min(1 + round * 7 % 900);
            for byte in &mut room[..n] {
                *byte = written as u8;
                written += 1;
            }
            read_buffer.added(n);
            let take = read_buffer.bytes().len().min(round * 13 % 800);
            for byte in &read_buffer.bytes()[..take] {
                assert_eq!(*byte, read as u8);
                read += 1;
            }
            read_buffer.consume(take);
        }
        assert!(read > 100_000);
    }

    #[test]
    fn the_room_ends_at_the_bound() {
        let mut read_buffer = ReadBuffer::new();
        let mut total = 0;
        loop {
            let n = read_buffer.room(10_000).len();
            if n == 0 {
                break;
            }
            read_buffer.added(n);
            total += n;
        }
        assert_eq!(total, 10_000);
    }
}
