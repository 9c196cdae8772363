//! Pieces of templates as text again, for errors: only what the author wrote.

use gotmpl::parse::{CommandNode, Expr, Number, PipeNode, SmolStr, TemplateNode};

/// A command with its arguments.
pub(super) fn command(node: &CommandNode) -> String {
    let words: Vec<String> = node
        .args
        .iter()
        .map(|argument| match argument {
            Expr::Pipe(_, inner) => format!("({})", pipe(inner)),
            other => expression(other),
        })
        .collect();
    words.join(" ")
}

/// One operand.
pub(super) fn expression(node: &Expr) -> String {
    match node {
        Expr::Dot(_) => ".".to_owned(),
        Expr::Nil(_) => "nil".to_owned(),
        Expr::Bool(_, value) => value.to_string(),
        Expr::Number(_, Number::Int(value)) => value.to_string(),
        Expr::Number(_, Number::Uint(value)) => value.to_string(),
        Expr::Number(_, Number::Float(value)) => value.to_string(),
        Expr::String(_, text) => format!("{text:?}"),
        Expr::Identifier(_, name) => name.to_string(),
        Expr::Field(_, names) => fields("", names),
        Expr::Variable(_, name, names) => fields(name, names),
        Expr::Pipe(_, inner) => pipe(inner),
        Expr::Chain(_, inner, names) => match &**inner {
            Expr::Pipe(_, inner) => fields(&format!("({})", pipe(inner)), names),
            other => fields(&expression(other), names),
        },
    }
}

/// A call of another template.
pub(super) fn template(node: &TemplateNode) -> String {
    let argument = match &node.pipe {
        Some(inner) => format!(" {}", pipe(inner)),
        None => String::new(),
    };
    format!("{{{{template {:?}{argument}}}}}", node.name.as_str())
}

fn pipe(node: &PipeNode) -> String {
    let commands: Vec<String> = node.commands.iter().map(command).collect();
    commands.join(" | ")
}

fn fields(start: &str, names: &[SmolStr]) -> String {
    let mut text = start.to_owned();
    for name in names {
        text.push('.');
        text.push_str(name);
    }
    text
}

/// Reads a quoted literal at the start of `source` again if it has `\x` or octal escapes, which
/// stand for bytes in Go and for characters in the parser.
pub(super) fn unquote_bytes(source: &[u8]) -> Option<Vec<u8>> {
    let mut rest = source.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    let mut has_bytes = false;
    loop {
        let byte = take(&mut rest, 1)?[0];
        let simple = match byte {
            b'"' => return has_bytes.then_some(out),
            b'\n' => return None,
            b'\\' => match take(&mut rest, 1)?[0] {
                b'a' => 7,
                b'b' => 8,
                b'f' => 0xc,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0xb,
                same @ (b'\\' | b'"' | b'\'') => same,
                b'x' => {
                    has_bytes = true;
                    u8::try_from(number(take(&mut rest, 2)?, 16)?).ok()?
                }
                high @ b'0'..=b'7' => {
                    has_bytes = true;
                    let low = number(take(&mut rest, 2)?, 8)?;
                    u8::try_from(u32::from(high - b'0') << 6 | low).ok()?
                }
                kind @ (b'u' | b'U') => {
                    let digits = take(&mut rest, if kind == b'u' { 4 } else { 8 })?;
                    let rune = char::from_u32(number(digits, 16)?)?;
                    out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
                _ => return None,
            },
            other => other,
        };
        out.push(simple);
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}
