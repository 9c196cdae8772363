//! Slash-separated paths; `osX` is the same on the systems this runs on.

use crate::function::Parameter::Text;
use crate::function::{Entry, Function, bytes, fixed};
use crate::value::Value;

const BASE: Function = fixed(&[Text], |_, a| Ok(Value::text(base(bytes(a, 0)))));
const DIR: Function = fixed(&[Text], |_, a| {
    let path = bytes(a, 0);
    let end = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |at| at + 1);
    Ok(Value::text(clean(&path[..end])))
})
.growing(20);
const CLEAN: Function = fixed(&[Text], |_, a| Ok(Value::text(clean(bytes(a, 0))))).growing(20);
const EXT: Function = fixed(&[Text], |_, a| {
    let path = bytes(a, 0);
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|&byte| byte == b'.');
    Ok(Value::text(dot.map_or(&b""[..], |dot| &name[dot..])))
});
const IS_ABS: Function = fixed(&[Text], |_, a| {
    Ok(Value::Bool(bytes(a, 0).starts_with(b"/")))
});

pub(super) const FUNCTIONS: &[Entry] = &[
    ("base", BASE),
    ("osBase", BASE),
    ("dir", DIR),
    ("osDir", DIR),
    ("clean", CLEAN),
    ("osClean", CLEAN),
    ("ext", EXT),
    ("osExt", EXT),
    ("isAbs", IS_ABS),
    ("osIsAbs", IS_ABS),
];

fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let end = path.iter().rposition(|&byte| byte != b'/');
    let Some(end) = end else { return b"/" };
    let path = &path[..=end];
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Removes `.`, `..` and doubled slashes.
fn clean(path: &[u8]) -> Vec<u8> {
    let is_rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&last) if last != b".." => {
                    parts.pop();
                }
                _ if is_rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (is_rooted, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
