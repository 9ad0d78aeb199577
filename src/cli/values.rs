//! Values of options that are more than a text or a number.

use std::net::SocketAddr;

/// Reads an address to listen on.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "not an address; write one like 127.0.0.1:3000".to_owned())
}

/// Reads a text that must say something.
pub fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it must not be empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}
