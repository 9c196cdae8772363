//! Where a `templateFrom` puts what it makes.

/// The greatest index in a path: a list is filled up to it.
const MOST_ITEMS: usize = 10_000;
/// The steps of a path.
const MOST_STEPS: usize = 100;

/// Where a `templateFrom` puts what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Metadata(&'static str),
    Data,
    Path(Vec<Step>),
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

impl Destination {
    /// Reads a target: a known part in any case, or a path such as `spec` or `spec.rules[0].host`. To upstream, `Spec` is a path
    /// as well, to a field of that very name.
    pub(super) fn of(target: Option<&str>) -> Option<Self> {
        let target = target.unwrap_or_default();
        let known = [
            ("", Self::Data),
            ("data", Self::Data),
            ("labels", Self::Metadata("labels")),
            ("annotations", Self::Metadata("annotations")),
        ];
        let known = known
            .into_iter()
            .find(|(name, _)| target.eq_ignore_ascii_case(name));
        if let Some((_, place)) = known {
            return Some(place);
        }
        let mut steps = Vec::new();
        for segment in target.split('.') {
            let (key, mut items) = match segment.find('[') {
                Some(at) => segment.split_at(at),
                None => (segment, ""),
            };
            if key.is_empty() {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            while !items.is_empty() {
                let (item, rest) = items.strip_prefix('[')?.split_once(']')?;
                let item = item.parse().ok().filter(|item| *item <= MOST_ITEMS)?;
                steps.push(Step::Item(item));
                items = rest;
            }
            if steps.len() > MOST_STEPS {
                return None;
            }
        }
        Some(Self::Path(steps))
    }
}
