//! The image and the command line of a container.

use k8s_openapi::api::core::v1::Container;

/// Returns the last path segment of an image reference, without tag or digest.
pub(super) fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(':').next().unwrap_or(last)
}

/// Returns the tag of an image reference, without a leading `v`.
pub(super) fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    let (_, tag) = last.split_once(':')?;
    Some(tag.trim_start_matches('v'))
}

/// Returns the command line of a container: its command, then its arguments.
pub(super) fn words(container: &Container) -> Vec<&str> {
    let command = container.command.iter().flatten();
    let words = command.chain(container.args.iter().flatten());
    words.map(String::as_str).collect()
}

/// Parses flags the way Go programs do: after one or two dashes, with a value after `=` or in the next word, or none for a
/// switch. A negative number is a value.
pub(super) fn flags(container: &Container) -> Vec<(String, String)> {
    let mut flags = Vec::new();
    let words = words(container);
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let name = word.trim_start_matches('-');
        if name.len() == word.len() || name.is_empty() {
            continue;
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => match words.next_if(|next| {
                next.strip_prefix('-')
                    .is_none_or(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
            }) {
                Some(value) => (name, (*value).to_owned()),
                None => (name, "true".to_owned()),
            },
        };
        flags.push((name.to_owned(), value));
    }
    flags
}
