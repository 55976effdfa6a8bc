//! Bodies in and out: JSON and YAML, chosen by `Content-Type` and `Accept`.
//!
//! Knows media types and the two notations; does not know what a cluster is, nor HTTP beyond two header values.
//! Error texts are meant for the caller and never repeat the body, which may hold secrets.

use serde_json::Value;

/// What the caller says the body is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    Json,
    Yaml,
    Unsaid,
}

/// Reads a request body by its `Content-Type`.
///
/// Parameters of the type are ignored. Without a type JSON is tried, then YAML.
///
/// # Errors
///
/// A sentence for the caller: unsupported type, text that is not UTF-8, bad syntax, or more than one YAML document.
pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Value, String> {
    let notation = notation_of(content_type)?;
    let text = std::str::from_utf8(body).map_err(|_| "the body is not valid UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err("the body is empty".to_owned());
    }
    match notation {
        Notation::Json => json(text),
        Notation::Yaml => yaml(text),
        // A body that opens like JSON was meant as JSON, so its author wants to hear of the JSON mistake.
        Notation::Unsaid => json(text).or_else(|problem| match text.trim_start().starts_with(['{', '[']) {
            true => yaml(text).map_err(|_| problem),
            false => yaml(text),
        }),
    }
}

/// Whether the caller ranks YAML above JSON in `Accept`.
///
/// A tie, a wildcard, an absent header and a header that names neither all mean JSON.
pub fn wants_yaml(accept: Option<&str>) -> bool {
    let (mut json, mut yaml) = (0.0_f32, 0.0_f32);
    for range in accept.unwrap_or_default().split(',') {
        let mut parts = range.split(';');
        let name = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let weight = parts.find_map(quality).unwrap_or(1.0);
        match name.as_str() {
            "application/json" | "application/*" | "*/*" => json = json.max(weight),
            name if is_yaml(name) => yaml = yaml.max(weight),
            _ => {}
        }
    }
    yaml > json
}

/// Writes a value as one YAML document, keys in the value's own order.
pub fn to_yaml(value: &Value) -> String {
    // JSON is YAML, so the second arm is an answer too; values that serialise as JSON do not reach it.
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// Reads one YAML document, with aliases expanded up to a bound.
///
/// # Errors
///
/// A sentence for the caller, without a piece of the text.
pub(crate) fn yaml(text: &str) -> Result<Value, String> {
    // Small enough that a body of one mebibyte cannot grow past a few mebibytes of values.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 200,
            max_anchors: 200,
            max_nodes: 100_000,
            max_depth: 64,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.location() {
        Some(place) => format!(
            "the YAML is malformed or too complex near line {}, column {}; it must hold exactly one document",
            place.line(),
            place.column()
        ),
        None => "the YAML is malformed or too complex; it must hold exactly one document".to_owned(),
    })
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        format!(
            "the JSON is malformed at line {}, column {}",
            error.line(),
            error.column()
        )
    })
}

fn notation_of(content_type: Option<&str>) -> Result<Notation, String> {
    let name = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match name.as_str() {
        "" => Ok(Notation::Unsaid),
        "application/json" => Ok(Notation::Json),
        name if is_yaml(name) => Ok(Notation::Yaml),
        _ => Err("unsupported content type: send application/json or application/yaml".to_owned()),
    }
}

fn is_yaml(name: &str) -> bool {
    matches!(
        name,
        "application/yaml" | "text/yaml" | "application/x-yaml" | "text/x-yaml"
    )
}

fn quality(parameter: &str) -> Option<f32> {
    let (key, value) = parameter.split_once('=')?;
    key.trim()
        .eq_ignore_ascii_case("q")
        .then(|| value.trim().parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_content_type_decides_and_its_parameters_do_not() {
        assert_eq!(
            parse(Some("application/json; charset=utf-8"), b"{\"a\":1}"),
            Ok(json!({"a": 1}))
        );
        assert_eq!(parse(Some("Text/X-YAML"), b"a: 1\n"), Ok(json!({"a": 1})));
        assert!(parse(Some("application/json"), b"a: 1").unwrap_err().contains("JSON"));
        assert!(parse(Some("text/plain"), b"{}").unwrap_err().contains("unsupported"));
    }

    #[test]
    fn without_a_type_both_notations_are_tried() {
        assert_eq!(parse(None, b"{\"a\": [1]}"), Ok(json!({"a": [1]})));
        assert_eq!(parse(None, b"a:\n- 1\n"), Ok(json!({"a": [1]})));
        assert!(parse(None, b"{\"a\": ").unwrap_err().contains("JSON"));
    }

    #[test]
    fn broken_utf8_and_empty_bodies_are_refused() {
        assert!(
            parse(Some("application/yaml"), b"a: \xff")
                .unwrap_err()
                .contains("UTF-8")
        );
        assert!(parse(None, b"  ").unwrap_err().contains("empty"));
    }

    #[test]
    fn yaml_keeps_the_difference_between_text_and_number() {
        let read = yaml("port: 22\nquoted: \"22\"\nversion: 3.26.1\nanswer: yes\nflag: true\nnone: ~\n").unwrap();
        assert_eq!(
            read,
            json!({"port": 22, "quoted": "22", "version": "3.26.1", "answer": "yes", "flag": true, "none": null})
        );
    }

    #[test]
    fn two_documents_are_refused() {
        assert!(yaml("a: 1\n---\nb: 2\n").unwrap_err().contains("exactly one document"));
    }

    #[test]
    fn aliases_expand_but_not_without_bound() {
        assert_eq!(yaml("a: &x [1]\nb: *x\n"), Ok(json!({"a": [1], "b": [1]})));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..8 {
            let earlier = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![earlier; 10].join(", ")));
        }
        assert!(yaml(&bomb).is_err());
    }

    #[test]
    fn accept_ranks_the_two_notations() {
        assert!(!wants_yaml(None));
        assert!(!wants_yaml(Some("*/*")));
        assert!(wants_yaml(Some("application/yaml")));
        assert!(wants_yaml(Some("application/json;q=0.5, application/x-yaml")));
        assert!(!wants_yaml(Some("application/yaml;q=0.5, */*")));
        assert!(!wants_yaml(Some("image/png")));
    }

    #[test]
    fn what_is_written_as_yaml_reads_back_the_same() {
        let value = json!({"b": "22", "a": [1, true, null, {"x": "true"}], "t": "line\nline\n", "e": {}, "n": "~"});
        assert_eq!(yaml(&to_yaml(&value)), Ok(value));
    }
}
