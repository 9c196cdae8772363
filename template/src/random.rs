//! Randomness of the system; no template and no caller can supply a seed.

use zeroize::Zeroizing;

use crate::budget::Budget;

pub(crate) fn no_randomness<T>(_: T) -> String {
    "the system has no randomness".to_owned()
}

pub(crate) fn random_bytes(count: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut random = Zeroizing::new(vec![0; count]);
    getrandom::fill(&mut random).map_err(no_randomness)?;
    Ok(random)
}

/// A number below `end`, every one as likely as the others.
pub(crate) fn random_below(end: u64) -> Result<u64, String> {
    // Numbers above the last multiple of `end` are drawn again.
    let limit = u64::MAX - u64::MAX % end;
    loop {
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(no_randomness)?;
        let random = u64::from_le_bytes(random);
        if random < limit {
            return Ok(random % end);
        }
    }
}

/// Puts items into a random order.
pub(crate) fn shuffle<T>(items: &mut [T], budget: &Budget) -> Result<(), String> {
    for index in (1..items.len()).rev() {
        budget.tick(512)?;
        let other = random_below(index as u64 + 1)?;
        items.swap(index, usize::try_from(other).expect("below the index"));
    }
    Ok(())
}
