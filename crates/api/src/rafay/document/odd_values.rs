//! Whatever a client puts into whatever place, the answer is a document or a list of problems with paths.

use serde_json::{Value, json};

use super::{Problem, diff, parse};
use crate::rafay::media;

/// Every place in a value, as a pointer.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let pointer = format!("{at}/{key}");
        pointers(child, &pointer, found);
        found.push(pointer);
    }
}

fn odd_values() -> Vec<Value> {
    let texts = ["", "not found", "v1.4294967295.0", "0.0.0.0/0", "::/0", "é"].map(Value::from);
    let others = [
        json!(null),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(true),
        json!(false),
        json!([]),
        json!([[]]),
        json!([null, {}]),
        json!({}),
        json!({"code 404": {"does not exist": []}}),
    ];
    texts.into_iter().chain(others).collect()
}

#[test]
fn any_value_in_any_place_gives_a_document_or_problems_with_paths() {
    let requests = [
        include_str!("../../../tests/data/rafay/apply_ha_dedicated.yaml"),
        include_str!("../../../tests/data/rafay/apply_dual_stack.yaml"),
    ];
    for text in requests {
        let (original, mut places) = (media::yaml(text).expect("the text parses"), Vec::new());
        pointers(&original, "", &mut places);
        for (place, new) in places
            .iter()
            .flat_map(|place| odd_values().into_iter().map(move |new| (place, new)))
        {
            let mut document = original.clone();
            *document.pointer_mut(place).expect("the place exists") = new;
            check(&original, document);
        }
    }
}

fn check(original: &Value, changed: Value) {
    let stored = parse("defaultproject", original.clone()).expect("the original is valid");
    match parse("defaultproject", changed) {
        Ok(document) => {
            let again = parse("defaultproject", document.details.clone()).expect("an echo is valid");
            assert_eq!(again.details.to_string(), document.details.to_string());
            let answers = [
                diff::compare(&stored, &document, true),
                diff::compare(&document, &stored, true),
            ];
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().err().is_none_or(|found| !found.is_empty()))
            );
        }
        Err(found) => {
            assert!(!found.is_empty() && found.iter().all(|problem| !problem.path.is_empty()));
            let text = found.iter().map(Problem::to_string).collect::<String>().to_lowercase();
            let gone = ["not found", "does not exist", "code 404"];
            assert!(!gone.iter().any(|words| text.contains(words)), "{text}");
        }
    }
}
