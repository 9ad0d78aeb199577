//! Frames: four bytes of length, big end first, then that many bytes of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};

/// Longest frame, in bytes: a result at its limit with its frame, and room for a plan of the longest statements.
const FRAME_BYTES_MAX: usize = 32 << 20;

pub fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len())
        .ok()
        .filter(|_| json.len() <= FRAME_BYTES_MAX)
        .ok_or_else(|| io::Error::other("the frame is too long"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&json)?;
    out.flush()
}

/// The next frame; `None` where the other side has ended in good order.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("the frame is too long"));
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json)?;
    Ok(Some(serde_json::from_slice(&json)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_written_and_none_is_too_long() {
        let mut pipe = Vec::new();
        write(&mut pipe, &"one").unwrap();
        write(&mut pipe, &2).unwrap();
        let mut from = pipe.as_slice();
        assert_eq!(read::<String>(&mut from).unwrap().unwrap(), "one");
        assert_eq!(read::<u8>(&mut from).unwrap(), Some(2));
        assert_eq!(read::<u8>(&mut from).unwrap(), None);
        assert!(read::<u8>(&mut &pipe[..5]).is_err());
        assert!(read::<u8>(&mut &[0xff_u8; 8][..]).is_err());
    }
}
