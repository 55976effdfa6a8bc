//! Tests of the rules that all lists share.

use super::*;

const FIELDS: [Field; 5] = [
    Field {
        name: "name",
        kind: Kind::Text,
        searched: true,
    },
    Field {
        name: "nameLong",
        kind: Kind::Text,
        searched: false,
    },
    Field {
        name: "status",
        kind: Kind::Word,
        searched: true,
    },
    Field {
        name: "gpus",
        kind: Kind::Number,
        searched: false,
    },
    Field {
        name: "createdAt",
        kind: Kind::Time,
        searched: false,
    },
];

#[derive(Debug, Clone)]
struct Thing(&'static str, &'static str, Option<f64>, i64);

impl Row for Thing {
    fn value(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::Text(self.0.into())),
            "status" => Some(Value::Text(self.1.into())),
            "gpus" => self.2.map(Value::Number),
            "createdAt" => Some(Value::Time(Timestamp(self.3 * 1_000_000))),
            _ => None,
        }
    }

    fn place(&self) -> (Timestamp, String) {
        (Timestamp(self.3 * 1_000_000), self.0.into())
    }
}

fn things() -> Vec<Thing> {
    vec![
        Thing("beta,two", "Ready", Some(8.0), 30),
        Thing("Alpha", "NotReady", None, 20),
        Thing("gamma", "Ready", Some(2.0), 10),
    ]
}

fn ask(query: &str) -> Result<Vec<&'static str>> {
    let query = Query::read(&Params::parse(query)?, &FIELDS)?;
    Ok(query.page(things()).into_iter().map(|thing| thing.0).collect())
}

#[test]
fn without_an_order_the_oldest_comes_first() {
    assert_eq!(ask("").expect("plain"), ["gamma", "Alpha", "beta,two"]);
}

#[test]
fn parameters_without_a_value_and_unknown_ones_are_ignored() {
    assert_eq!(
        ask("filterBy=&search=&sortBy=&limit=&colour=blue")
            .expect("empty")
            .len(),
        3
    );
}

#[test]
fn a_page_out_of_bounds_is_refused_and_one_beyond_the_end_is_empty() {
    for bad in [
        "limit=0",
        "limit=501",
        "limit=x",
        "offset=-1",
        "offset=3000000000",
        "sortBy=colour",
        "sortOrder=up",
    ] {
        assert!(ask(bad).is_err(), "{bad}");
    }
    assert_eq!(ask("offset=1&limit=1").expect("page"), ["Alpha"]);
    assert!(ask("offset=9").expect("beyond").is_empty());
}

#[test]
fn an_enum_may_come_with_its_class_and_without_its_separators() {
    assert_eq!(
        ask("sortBy=ThingSortFields.GPUS&sortOrder=SortOrder.DESC").expect("class"),
        ["beta,two", "gamma", "Alpha"]
    );
    let params = Params::parse("sortBy=ProjectFilterSortFields.AVGGPUALLOCATION24H").expect("query");
    assert_eq!(
        params.choice("sortBy", &["x", "avgGpuAllocation24h"]).expect("choice"),
        Some("avgGpuAllocation24h")
    );
}

#[test]
fn rows_that_lack_the_field_come_last_in_both_orders() {
    assert_eq!(ask("sortBy=gpus").expect("up"), ["gamma", "beta,two", "Alpha"]);
    assert_eq!(
        ask("sortBy=gpus&sortOrder=desc").expect("down"),
        ["beta,two", "gamma", "Alpha"]
    );
}

#[test]
fn filters_all_hold_and_words_compare_without_case() {
    assert_eq!(
        ask("filterBy=status%3D%3Dready%2Cgpus%3E%3D4").expect("two"),
        ["beta,two"]
    );
    assert_eq!(
        ask("filterBy=status%3D%3Dready&filterBy=gpus%3C%3D4").expect("repeated"),
        ["gamma"]
    );
    assert!(ask("filterBy=name%3D%3Dalpha").expect("exact").is_empty());
    assert_eq!(ask("filterBy=name%3D%40ALPH").expect("contains"), ["Alpha"]);
    assert_eq!(ask("filterBy=name%3D%5Eal").expect("starts"), ["Alpha"]);
    assert_eq!(ask("filterBy=name%3D%24MMA").expect("ends"), ["gamma"]);
    assert_eq!(ask("filterBy=name%21%40a,t").expect("lacks").len(), 2);
}

#[test]
fn a_comma_inside_a_value_belongs_to_the_value() {
    assert_eq!(ask("filterBy=name%3D%3Dbeta%2Ctwo").expect("comma"), ["beta,two"]);
    assert_eq!(
        ask("filterBy=name%3D%3Dbeta%2Ctwo%2Cstatus%21%3DNotReady").expect("comma"),
        ["beta,two"]
    );
}

#[test]
fn a_row_without_the_field_passes_only_negations() {
    assert_eq!(ask("filterBy=gpus%21%3D2").expect("unequal"), ["Alpha", "beta,two"]);
    assert_eq!(ask("filterBy=nameLong%21%40x").expect("lacks").len(), 3);
    assert!(ask("filterBy=nameLong%3D%3Dx").expect("longest name wins").is_empty());
}

#[test]
fn times_are_compared_as_instants() {
    let query = "filterBy=createdAt%3E%3D1970-01-01T01%3A00%3A20%2B01%3A00";
    assert_eq!(ask(query).expect("time"), ["Alpha", "beta,two"]);
}

#[test]
fn filters_that_break_the_grammar_are_refused() {
    for bad in [
        "name",
        "name%3D",
        "name%3D%3D",
        "colour%3D%3Dx",
        "gpus%3D%40x",
        "gpus%3D%3Dx",
        "createdAt%3C%3Dx",
        "%2Cname%3D%3Dx",
    ] {
        assert!(ask(&format!("filterBy={bad}")).is_err(), "{bad}");
    }
}

#[test]
fn search_looks_into_the_searched_fields_without_case() {
    assert_eq!(ask("search=NOTREADY").expect("status"), ["Alpha"]);
    assert!(ask("search=8").expect("not into numbers").is_empty());
}

#[test]
fn flags_take_the_spellings_of_all_clients() {
    let params = Params::parse("a=True&b=0&c=yes&d=").expect("query");
    assert!(params.flag("a").expect("a"));
    assert!(!params.flag("b").expect("b") && !params.flag("d").expect("d") && !params.flag("e").expect("e"));
    assert!(params.flag("c").is_err());
}
