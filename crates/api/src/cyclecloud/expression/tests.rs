//! The language by its table of examples and by the rules around it, and that no text makes it panic.

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;

fn node() -> Map<String, Json> {
    let node = json!({
        "Name": "htc-1", "State": "Started", "Template": "htc", "PrivateIp": null, "CoreCount": 4, "Price": 0.5,
        "Configuration": { "slurm": { "hpc": true, "Partition": "main" } }, "Sizes": ["a", "b"],
    });
    node.as_object().cloned().expect("an object literal")
}

fn value(text: &str) -> Value {
    evaluate(&parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), &node())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[track_caller]
fn check(text: &str, expected: Value) {
    let found = value(text);
    assert!(found.identical(&expected), "{text} is {found:?} and not {expected:?}");
}

#[track_caller]
fn check_error(text: &str) {
    assert!(matches!(value(text), Value::Error(_)), "{text} is {:?}", value(text));
}

#[track_caller]
fn check_parse_error(text: &str, line: u32, column: u32, message: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    assert!(error.message.contains(message), "{text}: {error}");
}

const TRUE: Value = Value::Boolean(true);
const FALSE: Value = Value::Boolean(false);

#[test]
fn examples_of_the_specification_have_their_values() {
    let rows = [
        (r#"State === "Started""#, TRUE),
        (r#"state == "STARTED""#, TRUE),
        (r#"State === "STARTED""#, FALSE),
        ("KeepAlive == true", Value::Undefined),
        ("KeepAlive =!= true", TRUE),
        ("!(KeepAlive == true)", Value::Undefined),
        (r#"State == "Started" && Name in {"htc-1", "htc-2"}"#, TRUE),
        (r#"State is undefined || State == "Terminated""#, FALSE),
        (r#"regexp("^htc-[0-9]+$", Name)"#, TRUE),
        (r#"PrivateIp in {"10.1.0.7"} || Template == "hpc""#, Value::Undefined),
        (r#"PrivateIp in {"10.1.0.7"} || Template == "htc""#, TRUE),
    ];
    for (expression, expected) in rows {
        let parsed = parse(expression).expect(expression);
        assert_eq!(matches(&parsed, &node()), expected == TRUE, "{expression}");
        check(expression, expected);
    }
    check_parse_error(r#"State = "Started""#, 1, 7, "unexpected \"=\"");
}

#[test]
fn only_true_matches() {
    for expression in ["undefined", "error", "1", "\"true\"", "{true}", "false"] {
        assert!(!matches(&parse(expression).expect(expression), &node()), "{expression}");
    }
    assert!(matches(&parse("TRUE").expect("a literal"), &node()));
}

#[test]
fn logic_has_three_values_and_the_deciding_side_wins() {
    check("undefined && false", FALSE);
    check("error && false", FALSE);
    check("undefined && true", Value::Undefined);
    check("undefined || true", TRUE);
    check("error || true", TRUE);
    check("undefined || false", Value::Undefined);
    check_error("undefined && error");
    check_error("1 && true");
    check("true || false && false", TRUE);
    check("!undefined", Value::Undefined);
    check("undefined ? 1 : 2", Value::Undefined);
    check("true ? 1 : false ? 2 : 3", Value::Integer(1));
}

#[test]
fn identity_has_types_and_case_and_equality_has_neither() {
    check("1 === 1.0", FALSE);
    check("1 == 1.0", TRUE);
    check("1 =?= 1", TRUE);
    check(r#""a" isnt "A""#, TRUE);
    check(r#""a" != "A""#, FALSE);
    check("undefined === undefined", TRUE);
    check("undefined == undefined", Value::Undefined);
    check(r#"{1, "a"} == {1.0, "A"}"#, TRUE);
    check(r#"[a = 1] === [A = 1]"#, TRUE);
    check_error(r#"1 == "1""#);
    check("PrivateIp is undefined", TRUE);
}

#[test]
fn order_is_for_numbers_and_strings() {
    check("CoreCount >= 4 && CoreCount < 4.5", TRUE);
    check(r#""Abc" < "abD""#, TRUE);
    check("Missing < 1", Value::Undefined);
    check_error(r#"1 < "2""#);
    check_error("true < false");
}

#[test]
fn membership_compares_as_equality_does() {
    check(r#"name in {"HTC-1"}"#, TRUE);
    check(r#"Name in {1, undefined}"#, FALSE);
    check("Missing in {1}", Value::Undefined);
    check("1 in {}", FALSE);
    check_error("1 in 2");
}

#[test]
fn arithmetic_truncates_joins_and_refuses_zero() {
    check("7 / 2", Value::Integer(3));
    check("-7 / 2", Value::Integer(-3));
    check("7 % 4", Value::Integer(3));
    check("7 / 2.0", Value::Real(3.5));
    check("2 + 3 * 4 - 1", Value::Integer(13));
    check("10 - 3 - 2", Value::Integer(5));
    check("--1 + +1", Value::Integer(2));
    check(r#""a" + "b""#, text("ab"));
    check("1e3", Value::Real(1000.0));
    check_error("1 / 0");
    check_error("1.0 % 0");
    check_error("9223372036854775807 + 1");
    check_error("1e308 * 10");
    check_error(r#""a" - "b""#);
}

#[test]
fn members_and_indexes_reach_inside_and_end_in_undefined() {
    check("configuration.SLURM.hpc", TRUE);
    check("Configuration.slurm.nothing.deeper", Value::Undefined);
    check("Name.part", Value::Undefined);
    check("Sizes[1]", text("b"));
    check("Sizes[2]", Value::Undefined);
    check("Sizes[-1]", Value::Undefined);
    check(r#"Configuration["slurm"].partition"#, text("main"));
    check("[a = 1; is = {2, 3}].is[0]", Value::Integer(2));
    check("'Name'", text("htc-1"));
    check("'true'", Value::Undefined);
}

#[test]
fn functions_do_what_the_table_says() {
    check("isUndefined(KeepAlive)", TRUE);
    check("IFUNDEFINED(KeepAlive, 5)", Value::Integer(5));
    check("ifUndefined(CoreCount, 5)", Value::Integer(4));
    check("ifThenElse(CoreCount > 2, \"big\", \"small\")", text("big"));
    check("ifThenElse(KeepAlive, 1, 2)", Value::Undefined);
    check(r#"regexp("TC", Name)"#, FALSE);
    check(r#"regexp("TC", Name, "i")"#, TRUE);
    check(r#"regexp("x", KeepAlive)"#, Value::Undefined);
    check_error(r#"regexp("x", {1})"#);
    check(r#"regexps("([a-z]+)-", Name, "<\\1>$1")"#, text("<htc>$11"));
    check(r#"regexps("", "ab", "-")"#, text("-a-b-"));
    check(r#"strcat(Name, "/", 1, true)"#, text("htc-1/1true"));
    check(r#"strcat(Name, KeepAlive)"#, Value::Undefined);
    check(r#"strjoin(",", Sizes, "c")"#, text("a,b,c"));
    check(r#"substr("hello", 1)"#, text("ello"));
    check(r#"substr("hello", 1, 3)"#, text("ell"));
    check(r#"substr("hello", -3, 2)"#, text("ll"));
    check(r#"substr("hello", 1, -1)"#, text("ell"));
    check(r#"substr("hello", 9)"#, text(""));
    check(r#"trim("  a ") + toUpper("b") + toLower("C")"#, text("aBc"));
    check(r#"size("größe") + size({1, 2})"#, Value::Integer(7));
    check_error("size(1)");
}

#[test]
fn mistakes_are_told_with_their_place() {
    check_parse_error("", 1, 1, "found the end");
    check_parse_error("a ==\n  == b", 2, 3, "expected a value");
    check_parse_error("nothing(1)", 1, 1, "unknown function");
    check_parse_error("size(1, 2)", 1, 1, "size takes 1 arguments");
    check_parse_error("1 + \"a", 1, 5, "not closed");
    check_parse_error(r#""\d""#, 1, 1, "unknown escape");
    check_parse_error("''", 1, 1, "empty");
    check_parse_error(r#"true && regexp("(", Name)"#, 1, 9, "not a regular expression");
    check_parse_error(r#"regexp("a", Name, "x")"#, 1, 1, "option");
    check_parse_error("(1", 1, 3, "expected \")\"");
    check_parse_error("a b", 1, 3, "expected an operator");
    check_parse_error("größe § 1", 1, 7, "unexpected character");
    check_parse_error("99999999999999999999", 1, 1, "out of range");
    check_parse_error("[a = 1; A = 2]", 1, 9, "two members");
}

#[test]
fn length_and_depth_are_limited() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    check(&nested(DEPTH_MAX - 1), Value::Integer(1));
    check_parse_error(&nested(DEPTH_MAX), 1, 101, "nested deeper");
    assert!(parse(&" ".repeat(LENGTH_MAX + 1)).is_err_and(|error| error.message.contains("longer")));
    check_error(&format!("regexps(\"\", \"{0}\", \"{0}\")", "x".repeat(1000)));
}

#[test]
fn the_longest_and_deepest_expressions_need_little_stack() {
    let long = vec!["1"; LENGTH_MAX / 2].join("+");
    let denied = format!("{}true", "!".repeat(LENGTH_MAX - 4));
    let members = format!("a{}", ".a".repeat(LENGTH_MAX / 2 - 1));
    let open = "{1+2*(".repeat(DEPTH_MAX / 2 - 1);
    let deep = format!("size({open}{{}}{})", ")}".repeat(DEPTH_MAX / 2 - 1));
    let run = move || {
        assert!(value(&long).identical(&Value::Integer(32_768)));
        assert!(value(&denied).identical(&TRUE));
        assert!(value(&members).identical(&Value::Undefined));
        assert!(value(&deep).identical(&Value::Integer(1)));
    };
    let thread = std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(run)
        .expect("a thread starts");
    thread.join().expect("a small stack is enough");
}

#[test]
fn names_are_those_the_expression_reads() {
    let parsed = parse("a.b + size(c) > d[e] ? {f} : [g = 'h i']").expect("an expression");
    assert_eq!(parsed.names(), ["a", "c", "d", "e", "f", "h i"]);
}

/// Texts made of the language's own pieces get much further into the parser than random characters.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Name",
        "CoreCount",
        "missing",
        "true",
        "undefined",
        "error",
        "1",
        "0",
        "2.5",
        "\"a\"",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        ".",
        "=",
        "==",
        "===",
        "=!=",
        " is ",
        " in ",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "?",
        ":",
        "<",
        "size(",
        "regexp(",
        "substr(",
        "strcat(",
        "'x'",
        "\"",
        "'",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn json_scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "[a-cA-C]{0,3}".prop_map(Json::from),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_sequence_of_pieces_makes_parser_or_evaluation_panic(text in pieces()) {
        if let Ok(expression) = parse(&text) {
            let _ = evaluate(&expression, &node());
        }
    }

    #[test]
    fn identity_is_always_decided_and_negates_itself(a in json_scalar(), b in json_scalar()) {
        let mut record = Map::new();
        record.insert("a".into(), a);
        record.insert("b".into(), b);
        let of = |text: &str| evaluate(&parse(text).expect("an expression"), &record);
        prop_assert_eq!(of("a === b") == TRUE, of("a =!= b") == FALSE);
        prop_assert_eq!(of("a === a"), TRUE);
        prop_assert!(of("a == b").identical(&of("b == a")));
    }
}
