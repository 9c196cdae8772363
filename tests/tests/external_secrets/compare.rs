//! Comparing a picture with a recorded one.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every difference that counts, in words; none if the pictures are the same.
pub(crate) fn differences(expected: &Value, actual: &Value, flaky: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let (expected, mut actual) = (normal(expected), normal(actual));
    // Only the last picture of a case shows the vault.
    if expected.get("vault").is_none() {
        actual.as_object_mut().unwrap().remove("vault");
    }
    compare(&expected, &actual, "", flaky, &mut found);
    found
}

fn compare(
    expected: &Value,
    actual: &Value,
    path: &str,
    flaky: &[String],
    found: &mut Vec<String>,
) {
    if flaky.iter().any(|flaky| flaky == path) {
        return;
    }
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let names: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
            for name in names {
                let path = format!("{path}/{name}");
                if flaky.contains(&path) {
                    continue;
                }
                match (expected.get(name), actual.get(name)) {
                    (Some(expected), Some(actual)) => {
                        compare(expected, actual, &path, flaky, found);
                    }
                    // A column without a value is as good as none.
                    (None, Some(Value::Null)) if path.starts_with("/columns/") => {}
                    (Some(expected), None) => found.push(format!("{path} is missing: {expected}")),
                    (None, actual) => {
                        found.push(format!("{path} is too much: {}", actual.unwrap()));
                    }
                }
            }
        }
        // The recorder read numbers as binary fractions.
        (Value::Number(expected), Value::Number(actual))
            if expected.as_f64() == actual.as_f64() => {}
        _ if expected == actual => {}
        _ => found.push(format!("{path} is {actual}\n      instead of {expected}")),
    }
}

/// The times at which a vault was written to, which it tells in the metadata of a value.
const CREATED: &str = "created_time";

/// Replaces the times in what a vault says about a value.
fn timeless(data: &mut Value) {
    for (key, value) in data.as_object_mut().into_iter().flatten() {
        let Some(bytes) = value
            .as_str()
            .and_then(|text| sealwright_crypto::sealing::base64::decode(text.as_bytes()).ok())
        else {
            continue;
        };
        if key == CREATED {
            *value = "<time>".into();
        } else if let Ok(mut object) = serde_json::from_slice::<Value>(&bytes)
            && object.get(CREATED).is_some()
        {
            object[CREATED] = "<time>".into();
            *value = object;
        }
    }
}

/// Takes out what is not compared: texts of Warning events, and of failed conditions behind their first colon.
fn normal(picture: &Value) -> Value {
    let mut picture = picture.clone();
    let fields = picture.as_object_mut().unwrap();
    fields.retain(|name, part| match part {
        Value::Object(fields) => !fields.is_empty() || name == "vault",
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
    for (name, part) in fields.iter_mut() {
        if name == "events" {
            let events = part.as_object().unwrap().iter();
            let events = events.map(|(title, component)| {
                let mut words = title.splitn(5, ' ');
                let (kind, object, severity, reason) = (
                    words.next().unwrap(),
                    words.next().unwrap(),
                    words.next().unwrap(),
                    words.next().unwrap(),
                );
                let title = match severity {
                    "Warning" => format!("{kind} {object} {severity} {reason}"),
                    _ => title.clone(),
                };
                (title, component.clone())
            });
            *part = Value::Object(events.collect());
            continue;
        }
        if let Some(data) = part.get_mut("data") {
            timeless(data);
        }
        let Some(status) = part.get_mut("status") else {
            continue;
        };
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            if condition["status"] == "False"
                && let Some(message) = condition["message"].as_str()
            {
                let fixed = message.split(':').next().unwrap_or_default().to_owned();
                condition["message"] = fixed.into();
            }
        }
        for failed in status["failedNamespaces"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            failed.as_object_mut().unwrap().remove("reason");
        }
    }
    picture
}
