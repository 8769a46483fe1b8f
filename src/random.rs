//! Randomness from the operating system, as text.

use crate::error::{Error, Result};

/// Returns `bytes` random bytes in lower-case hexadecimal. 16 bytes or more cannot be guessed.
pub fn hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0_u8; bytes];
    fill(&mut buffer)?;
    Ok(to_hex(&buffer))
}

/// Fills a buffer with random bytes.
pub fn fill(buffer: &mut [u8]) -> Result<()> {
    getrandom::fill(buffer).map_err(|error| Error::internal(error.to_string()))
}

/// Encodes bytes in lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Returns a number below `bound`, uniform enough to choose pictures and spread load.
pub fn below(bound: usize) -> usize {
    let mut buffer = [0_u8; 8];
    if getrandom::fill(&mut buffer).is_err() || bound == 0 {
        return 0;
    }
    (u64::from_le_bytes(buffer) % bound as u64) as usize
}
