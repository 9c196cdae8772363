//! Evaluates `result.jsonPath`: `$.a.b`, `$["a"]`, `[0]`, `[-1]`, `[0, 2]`, `[1:3]`, `[*]`, `.*`, `..name`, and filters such
//! as `[?@.name=="x"]`, which compare with `==` and `!=`. This is the core language of upstream's library. Its extensions,
//! scripts in parentheses and paths as keys are not supported.

mod syntax;

use sealwright_crypto::secret::{SecretBytes, SecretWriter};

use crate::json::path::{room_for, work_for};
use crate::json::{self, Json, Kind, Numbers};
use crate::outcome::StoreError;

enum Step {
    Name(String),
    Index(i64),
    All,
    /// Every one of these steps.
    Each(Vec<Step>),
    /// A slice of an array: start, end and stride.
    Slice {
        from: i64,
        to: i64,
        by: i64,
    },
    /// The members or elements that pass a test.
    Filter(Test),
    /// Members with this name, at any depth.
    Below(String),
    /// A step applied to the value and to each of its descendants.
    Everywhere(Box<Step>),
}

impl Step {
    fn finds_several(&self) -> bool {
        !matches!(self, Self::Name(_) | Self::Index(_))
    }
}

/// The test of a filter.
enum Test {
    Text(String),
    Number(f64),
    Bool(bool),
    /// The value at a path, from the root or from the current value.
    Path {
        from_root: bool,
        steps: Vec<Step>,
    },
    /// Whether two operands are equal, or unequal.
    Equal {
        wanted: bool,
        sides: Box<(Test, Test)>,
    },
}

/// The most values that a path may find.
const MOST: usize = 10_000;

/// Finds the value at a path. Returns a list if the path can match several values, and `None` if there is no such value.
///
/// Both the path and the document may be hostile: a value nested inside many others of the same name is found, and scanned,
/// many times. Evaluation therefore has the same work budget as [`json::path`](crate::json::path).
///
/// # Errors
///
/// Fails if the path is malformed or uses an unsupported feature, or if evaluating it exceeds the budget.
pub(super) fn find(document: Json<'_>, path: &str) -> Result<Option<SecretBytes>, StoreError> {
    let steps = syntax::parse(path)?;
    let many = steps.iter().any(Step::finds_several);
    let mut walk = Walk {
        root: document,
        work: work_for(document.raw()),
    };
    let mut found = vec![document];
    for step in &steps {
        let mut next = Vec::new();
        for value in found {
            walk.follow(value, step, &mut next)?;
            if next.len() > MOST {
                return Err(refused("finds too many values"));
            }
        }
        found = next;
    }
    if !many {
        return Ok(found.first().map(|value| SecretBytes::copy_of(value.raw())));
    }
    let size: usize = found.iter().map(|value| value.raw().len() + 1).sum();
    if size > room_for(document.raw()) {
        return Err(refused(
            "finds values that are together more than 1 MiB and more than twice the answer",
        ));
    }
    let mut list = SecretWriter::with_capacity(size + 2);
    list.push_byte(b'[');
    for (count, value) in found.iter().enumerate() {
        if count > 0 {
            list.push_byte(b',');
        }
        list.push(value.raw());
    }
    list.push_byte(b']');
    Ok(Some(list.finish()))
}

/// Names the field instead of the path, because the path may be rendered from a secret.
fn refused(why: &str) -> StoreError {
    StoreError::invalid(format!("`result.jsonPath` {why}")).public()
}

struct Walk<'r> {
    /// The whole document.
    root: Json<'r>,
    /// The remaining work budget, in bytes to scan.
    work: usize,
}

impl<'r> Walk<'r> {
    /// Charges the budget for one scan of a value.
    fn look_through(&mut self, value: Json<'_>) -> Result<(), StoreError> {
        self.spend(value.raw().len())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), StoreError> {
        let left = self.work.checked_sub(bytes);
        self.work = left.ok_or_else(|| {
            refused("has to look at more than 8 MiB and at more than 16 times the answer")
        })?;
        Ok(())
    }

    fn follow<'a>(
        &mut self,
        value: Json<'a>,
        step: &Step,
        next: &mut Vec<Json<'a>>,
    ) -> Result<(), StoreError> {
        let kind = value.kind();
        if !matches!(kind, Kind::Object | Kind::Array) {
            return Ok(());
        }
        self.look_through(value)?;
        // One match above the limit is enough to fail.
        let left = (MOST + 1).saturating_sub(next.len());
        match (step, kind) {
            (Step::Name(name), Kind::Object) => next.extend(value.member(name)),
            (Step::Index(index), Kind::Array) => {
                let mut at = *index;
                if at < 0 {
                    self.look_through(value)?;
                    at += i64::try_from(value.elements().count()).unwrap_or(i64::MAX);
                }
                if let Ok(at) = usize::try_from(at) {
                    next.extend(value.elements().nth(at));
                }
            }
            // Upstream also uses a number as the name of a member.
            (Step::Index(index), Kind::Object) => next.extend(value.member(&index.to_string())),
            (Step::All, _) => next.extend(children(value).take(left)),
            (Step::Each(steps), _) => {
                for step in steps {
                    if next.len() > MOST {
                        break;
                    }
                    self.follow(value, step, next)?;
                }
            }
            (Step::Slice { from, to, by }, Kind::Array) => {
                self.look_through(value)?;
                let count = i64::try_from(value.elements().count()).unwrap_or(i64::MAX);
                let taken = taken(*from, *to, *by, count);
                let place = next.len();
                let elements = value.elements().zip(0_i64..);
                let elements = elements.filter(|(_, at)| taken(*at));
                next.extend(elements.map(|(element, _)| element).take(left));
                if *by < 0 {
                    next[place..].reverse();
                }
            }
            (Step::Filter(test), _) => {
                for child in children(value) {
                    if next.len() > MOST {
                        break;
                    }
                    if self.evaluate(test, child)?.is_some_and(Value::counts) {
                        next.push(child);
                    }
                }
            }
            (Step::Everywhere(inner), _) => {
                self.follow(value, inner, next)?;
                for child in children(value) {
                    if next.len() > MOST {
                        break;
                    }
                    self.follow(child, step, next)?;
                }
            }
            (Step::Below(name), Kind::Object) => {
                let place = next.len();
                let mut named = None;
                for (key, member) in value.members() {
                    if key.expose() == name.as_str() {
                        named = Some(member);
                    }
                    if next.len() <= MOST {
                        self.follow(member, step, next)?;
                    }
                }
                // A direct member comes before deeper ones.
                if let Some(named) = named {
                    next.insert(place, named);
                }
            }
            (Step::Below(_), Kind::Array) => {
                for element in value.elements() {
                    if next.len() > MOST {
                        return Ok(());
                    }
                    self.follow(element, step, next)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Evaluates a test for a value. Returns `None`, so that the value fails the test, if a path in it finds nothing.
    fn evaluate<'v>(
        &mut self,
        test: &'v Test,
        current: Json<'v>,
    ) -> Result<Option<Value<'v>>, StoreError>
    where
        'r: 'v,
    {
        self.spend(1)?;
        Ok(Some(match test {
            Test::Text(text) => {
                self.spend(text.len())?;
                Value::Text(text)
            }
            Test::Number(number) => Value::Number(*number),
            Test::Bool(truth) => Value::Bool(*truth),
            Test::Path { from_root, steps } => {
                let mut value: Json<'v> = if *from_root { self.root } else { current };
                for step in steps {
                    let mut found = Vec::new();
                    self.follow(value, step, &mut found)?;
                    match found.first() {
                        Some(first) => value = *first,
                        None => return Ok(None),
                    }
                }
                Value::Part(value)
            }
            Test::Equal { wanted, sides } => {
                let (left, right) = &**sides;
                let left = self.evaluate(left, current)?;
                let right = self.evaluate(right, current)?;
                let (Some(left), Some(right)) = (left, right) else {
                    return Ok(None);
                };
                Value::Bool(self.are_equal(left, right)? == *wanted)
            }
        }))
    }

    /// Compares without conversion: a number never equals a string.
    fn are_equal<'v>(&mut self, left: Value<'v>, right: Value<'v>) -> Result<bool, StoreError> {
        for side in [left, right] {
            if let Value::Part(part) = side {
                self.look_through(part)?;
            }
        }
        Ok(match (left, right) {
            (Value::Part(left), Value::Part(right)) => written(left) == written(right),
            (Value::Text(text), Value::Part(part)) | (Value::Part(part), Value::Text(text)) => {
                part.string().is_some_and(|held| held.expose() == text)
            }
            (Value::Text(left), Value::Text(right)) => left == right,
            _ => match (left.number(), right.number()) {
                (Some(left), Some(right)) => left == right,
                (None, None) => left.truth().is_some() && left.truth() == right.truth(),
                _ => false,
            },
        })
    }
}

fn children(value: Json<'_>) -> impl Iterator<Item = Json<'_>> {
    let members = value.members().map(|(_, member)| member);
    members.chain(value.elements())
}

/// Returns which elements of an array of length `count` a slice selects. Upstream compares the bounds before it resolves
/// negative ones from the end, so `[0:-1]` selects nothing.
fn taken(from: i64, to: i64, by: i64, count: i64) -> impl Fn(i64) -> bool {
    let bound = |at: i64| {
        if at < 0 {
            (count + at).max(0)
        } else {
            at.min(count)
        }
    };
    let none = from > to;
    let (from, to) = (bound(from), bound(to));
    move |at| {
        let steps = if by < 0 { to - 1 - at } else { at - from };
        !none && (from..to).contains(&at) && (by == 0 || steps % by == 0)
    }
}

/// The value of a test or of an operand.
#[derive(Clone, Copy)]
enum Value<'a> {
    Part(Json<'a>),
    Text(&'a str),
    Number(f64),
    Bool(bool),
}

impl Value<'_> {
    /// Returns true for what upstream treats as true: `true`, a number other than 0, or a string that spells either.
    fn counts(self) -> bool {
        match self {
            Self::Text(text) => says_yes(text),
            Self::Part(part) if part.kind() == Kind::Text => {
                part.string().is_some_and(|text| says_yes(text.expose()))
            }
            _ => self.truth() == Some(true) || self.number().is_some_and(|number| number != 0.0),
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Part(part) if part.kind() == Kind::Number => {
                std::str::from_utf8(part.raw()).ok()?.parse().ok()
            }
            _ => None,
        }
    }

    fn truth(self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(truth),
            Self::Part(part) if part.kind() == Kind::Bool => Some(part.is_true()),
            _ => None,
        }
    }
}

fn says_yes(text: &str) -> bool {
    matches!(text, "true" | "TRUE") || text.parse::<f64>().is_ok_and(|number| number != 0.0)
}

/// A value in one spelling.
fn written(value: Json<'_>) -> SecretBytes {
    let mut out = SecretWriter::with_capacity(value.raw().len());
    json::encode(value, Numbers::Float, &mut out);
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Trouble;

    const DOCUMENT: &str = r#"{"a": {"b": [1, "two", {"c": "x"}]}, "c": "y", "d e": 5}"#;

    fn text(path: &str) -> Option<String> {
        let document = Json::parse(DOCUMENT.as_bytes()).unwrap();
        let found = find(document, path).unwrap()?;
        Some(String::from_utf8(found.expose().to_vec()).unwrap())
    }

    #[test]
    fn paths_find_values() {
        for (path, expected) in [
            ("$.a.b[1]", r#""two""#),
            ("$.a.b[-1].c", r#""x""#),
            ("$['d e']", "5"),
            ("a.b[0]", "1"),
            ("$.a.b[*].c", r#"["x"]"#),
            ("$..c", r#"["y","x"]"#),
            ("$", DOCUMENT),
        ] {
            assert_eq!(text(path).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(text("$.a.nothing"), None);
        assert_eq!(text("$.a.b[9]"), None);
        let document = Json::parse(DOCUMENT.as_bytes()).unwrap();
        let deep = format!("$.a[?{}1{}]", "(".repeat(40), ")".repeat(40));
        let long = format!("$[\"{}\"]", "x".repeat(70_000));
        for bad in [
            "$.a[",
            "$..",
            "$..[0:1]",
            "$[0:1:2:3]",
            "$[1:'a']",
            "$[1.5]",
            "$[0 1]",
            r#"$["a]"#,
            r#"$["\q"]"#,
            "$[(@.length)]",
            "$.a[?]",
            "$.a[?@.x<1]",
            "$.a[?@.x==1 && @.y==2]",
            "$.a[?(@.x==1]",
            "$.a[?1==1==1]",
            "$.a[?@..x==1]",
            "$.a[?@.x[?@.y]]",
            "$.a[?name]",
            &deep,
            &long,
        ] {
            let error = find(document, bad).err();
            let error = error.unwrap_or_else(|| panic!("{bad} is refused"));
            assert_eq!(error.trouble(), Trouble::Invalid, "{bad}");
        }
    }

    fn found(document: &str, path: &str) -> String {
        let document = Json::parse(document.as_bytes()).unwrap();
        let found = find(document, path).unwrap();
        let found = found.unwrap_or_else(|| panic!("{path} finds something"));
        String::from_utf8(found.expose().to_vec()).unwrap()
    }

    #[test]
    fn filters_find_what_passes() {
        let document = r#"{"secrets": [{"name": "thesecret", "value": "v", "n": 1, "on": true},
            {"name": "other", "value": "w", "n": 2.0, "on": false}, "text", null],
            "wanted": "other", "by": {"x": {"k": "1"}, "y": {"k": {"a": 1, "b": 2}}}, "same": {"b": 2, "a": 1.0}}"#;
        for (path, expected) in [
            (r#"$.secrets[?@.name=="thesecret"].value"#, r#"["v"]"#),
            (r#"$.secrets[?@.name=="thebadsecret"].value"#, "[]"),
            (r#"$.secrets[?(@.name == 'other')].value"#, r#"["w"]"#),
            (
                r#"$.secrets[?@["name"]=="th\u0065secret"].value"#,
                r#"["v"]"#,
            ),
            ("$.secrets[? @.n != 1 ].value", r#"["w"]"#),
            ("$.secrets[?2==@.n].value", r#"["w"]"#),
            (r#"$.secrets[?@.n=="1"].value"#, "[]"),
            ("$.secrets[?@.on].value", r#"["v"]"#),
            ("$.secrets[?@.on==false].value", r#"["w"]"#),
            ("$.secrets[?(@.n==1)!=true].value", r#"["w"]"#),
            ("$.secrets[?@.name==$.wanted].value", r#"["w"]"#),
            ("$.secrets[?@==`text`]", r#"["text"]"#),
            // A path that leads nowhere does not pass, whatever it is compared with, and of texts only those that say yes.
            ("$.secrets[?@.missing!=1].value", "[]"),
            ("$.secrets[?@.name].value", "[]"),
            ("$.secrets[?true][?@==1]", "[1]"),
            ("$.by[?@.k==$.same].k.b", "[2]"),
            (r#"$..[?@.k=="1"].k"#, r#"["1"]"#),
        ] {
            assert_eq!(found(document, path), expected, "{path}");
        }
    }

    #[test]
    fn slices_and_lists_of_keys_find_what_upstream_finds() {
        for (path, expected) in [
            ("$[1:3]", "[1,2]"),
            ("$[:2]", "[0,1]"),
            ("$[4:]", "[4,5]"),
            ("$[:]", "[0,1,2,3,4,5]"),
            ("$[::2]", "[0,2,4]"),
            ("$[1 : 5 : 2]", "[1,3]"),
            ("$[1:3:0]", "[1,2]"),
            ("$[::-2]", "[5,3,1]"),
            ("$[2:5:-1]", "[4,3,2]"),
            ("$[-2:]", "[4,5]"),
            ("$[-3:-1]", "[3,4]"),
            ("$[0:-1]", "[]"),
            ("$[9:12]", "[]"),
            ("$[0, 2, 9]", "[0,2]"),
        ] {
            assert_eq!(found("[0,1,2,3,4,5]", path), expected, "{path}");
        }
        let document = r#"{"a": {"b": 1}, "c": [2], "3": "x]"}"#;
        for (path, expected) in [
            (r#"$["a", "c"]"#, r#"[{"b": 1},[2]]"#),
            ("$[3]", r#""x]""#),
            (r#"$..["b", 0]"#, "[1,2]"),
            ("$..*", r#"[{"b": 1},[2],"x]",1,2]"#),
            ("$.a[0:1]", "[]"),
        ] {
            assert_eq!(found(document, path), expected, "{path}");
        }
        assert_eq!(found(r#"{"a]": 1}"#, r#"$["a]"]"#), "1");
    }

    /// A text inside of so many objects, each the member `a` of the one around it.
    fn nested(depth: usize, text: usize) -> String {
        let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
        format!("{open}\"{}\"{close}", "x".repeat(text))
    }

    fn refusal(document: &str, path: &str) -> String {
        let document = Json::parse(document.as_bytes()).unwrap();
        find(document, path).unwrap_err().reason().to_owned()
    }

    #[test]
    fn what_a_path_costs_is_limited() {
        let work =
            "`result.jsonPath` has to look at more than 8 MiB and at more than 16 times the answer";
        // Made of 190 copies of nearly the whole document.
        assert_eq!(refusal(&nested(190, 1 << 20), "$..a"), work);
        // The same objects, looked through thousands of times.
        assert_eq!(refusal(&nested(100, 1), "$..a..a..zz"), work);
        assert_eq!(
            refusal(&nested(100, 40_000), "$..a"),
            "`result.jsonPath` finds values that are together more than 1 MiB and more than twice the answer"
        );
        // Long texts that are compared for each of many elements, and the whole document for each of them.
        let list = format!("[{}1]", "1,".repeat(1_000));
        let same = format!("$[?\"{0}\"==\"{0}\"]", "x".repeat(30_000));
        assert_eq!(refusal(&list, &same), work);
        let texts = format!("[\"{}\"{}]", "x".repeat(100_000), ",[1]".repeat(1_000));
        assert_eq!(refusal(&texts, "$[?@[0]==$[0]]"), work);
        let list = format!("[{}1]", "1,".repeat(MOST));
        for path in ["$[*]", "$.*", "$[:]", "$[::-1]", "$[?1]", "$..*"] {
            assert_eq!(
                refusal(&list, path),
                "`result.jsonPath` finds too many values"
            );
        }
    }

    #[test]
    fn a_large_value_is_found_as_ever() {
        let text = format!("\"{}\"", "x".repeat(2 << 20));
        let document = format!(r#"{{"a": {{"b": [{{"c": {text}}}]}}}}"#);
        let document = Json::parse(document.as_bytes()).unwrap();
        for path in ["$.a.b[-1].c", "$..c", "$.a.b[*].c"] {
            let found = find(document, path).unwrap().unwrap();
            assert!(found.len() >= text.len(), "{path}");
        }
    }

    #[test]
    fn the_values_of_a_name_come_from_outside_to_inside() {
        let document = r#"{"x": {"a": 1}, "a": {"a": 2, "b": [{"a": 3}]}, "y": {"a": 4}}"#;
        let document = Json::parse(document.as_bytes()).unwrap();
        let found = find(document, "$..a").unwrap().unwrap();
        let expected = r#"[{"a": 2, "b": [{"a": 3}]},1,2,3,4]"#;
        assert_eq!(std::str::from_utf8(found.expose()).unwrap(), expected);
    }
}
