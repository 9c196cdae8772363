//! Randomness of the system.

use super::GeneratorError;

/// Fills bytes.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), GeneratorError> {
    getrandom::fill(bytes).map_err(|_| GeneratorError::NoRandomness)
}

/// Draws a number below `end`, every one as likely as the others.
pub(super) fn below(end: usize) -> Result<usize, GeneratorError> {
    let end = u64::try_from(end).ok().filter(|&end| end > 0);
    let end = end.ok_or(GeneratorError::Invalid("there is nothing to choose from"))?;
    // Numbers above the last multiple of `end` are drawn again.
    let limit = u64::MAX - u64::MAX % end;
    loop {
        let mut random = [0u8; 8];
        fill(&mut random)?;
        let random = u64::from_le_bytes(random);
        if random < limit {
            return Ok(usize::try_from(random % end).expect("below a usize"));
        }
    }
}
