//! Random UUIDs, for the function `uuidv4` and the generator of that name.

/// Writes random bytes as a UUID of version 4 (RFC 9562, section 5.4).
#[must_use]
pub fn version_4(random: [u8; 16]) -> String {
    let mut id = random;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}
