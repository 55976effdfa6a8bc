//! A vendor's word appears only in its dialect: the core has its own nouns.
//!
//! Looked at are the sources, SQL and pages below `crates/`, comments included, since a word that is explained in a
//! comment soon becomes a name. Tests and documents may say what they like.

use super::{Finding, Tree, dialects, source};

/// A word and where it may be said besides the dialect that owns it.
struct Word {
    /// Lower case, without separators: `node_array`, `NodeArray` and `node-array` are all `nodearray`.
    text: &'static str,
    /// The dialect whose word it is.
    owner: &'static str,
    /// Crates that may say it too.
    also: &'static [&'static str],
}

/// Names of vendors: whoever wires the dialects up, or explains a command by them, must say them.
const WIRING: &[&str] = &["bin"];
/// A noun of the core as well, though only one dialect shows it: pool × machine type.
const CORE_NOUN: &[&str] = &["model", "store", "control", "wire", "bin"];

const WORDS: &[Word] = &[
    Word {
        text: "runai",
        owner: "runai",
        also: WIRING,
    },
    Word {
        text: "runapy",
        owner: "runai",
        also: &[],
    },
    Word {
        text: "rafay",
        owner: "rafay",
        also: WIRING,
    },
    Word {
        text: "k8smgmt",
        owner: "rafay",
        also: &[],
    },
    Word {
        text: "mks",
        owner: "rafay",
        also: &[],
    },
    Word {
        text: "taskset",
        owner: "rafay",
        also: &[],
    },
    Word {
        text: "blueprint",
        owner: "rafay",
        also: &[],
    },
    Word {
        text: "cyclecloud",
        owner: "cyclecloud",
        also: WIRING,
    },
    Word {
        text: "nodearray",
        owner: "cyclecloud",
        also: &[],
    },
    Word {
        text: "scaleset",
        owner: "cyclecloud",
        also: &[],
    },
    Word {
        text: "scalelib",
        owner: "cyclecloud",
        also: &[],
    },
    Word {
        text: "azslurm",
        owner: "cyclecloud",
        also: &[],
    },
    Word {
        text: "bucket",
        owner: "cyclecloud",
        also: CORE_NOUN,
    },
];

/// Vendor words outside their dialect.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files(is_guarded)
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn is_guarded(path: &str) -> bool {
    let source = [".rs", ".sql", ".html", ".toml"]
        .iter()
        .any(|ending| path.ends_with(ending));
    let test = path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("/benches/");
    // This program must name the words in order to guard them.
    source && !test && path.starts_with("crates/") && !path.starts_with("crates/xtask/")
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source::without_unit_tests(text).lines().enumerate() {
        let said = words_of(line);
        for word in WORDS
            .iter()
            .filter(|word| !may_say(path, word) && says(&said, word.text))
        {
            let message = format!("`{}` is {}'s word; say it in the core's noun", word.text, word.owner);
            findings.push(Finding::new(path, number + 1, message));
        }
    }
    findings
}

fn may_say(path: &str, word: &Word) -> bool {
    let folder = path.trim_start_matches("crates/").split('/').next().unwrap_or_default();
    match dialects::dialect_of(path) {
        // The native dialect and its console are the core's own voice.
        Some("native" | "console") => word.also.contains(&"wire"),
        Some(dialect) => dialect == word.owner,
        // The root of `api` mounts the dialects by name.
        None if folder == "api" => word.also == WIRING || word.also == CORE_NOUN,
        None => word.also.contains(&folder),
    }
}

/// Words of a line in lower case, with camel case, underscores and hyphens taken apart.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for character in line.chars() {
        let boundary = !character.is_alphanumeric() || (character.is_uppercase() && previous.is_lowercase());
        if boundary && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        previous = character;
    }
    words
}

/// Is the word there, alone or written as two, in the singular or plural?
fn says(words: &[String], wanted: &str) -> bool {
    let same = |text: &str| text == wanted || text.strip_suffix('s') == Some(wanted);
    words.iter().any(|word| same(word)) || words.windows(2).any(|pair| same(&pair.concat()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(shown(&super::check(&Tree::of(&[(path, text)]))), expected);
    }

    const IN_STORE: &str = "crates/store/src/pool.rs:1: `nodearray` is cyclecloud's word; say it in the core's noun";

    #[test]
    fn a_vendor_word_in_the_core_is_reported_however_it_is_spelled() {
        for text in [
            "struct NodeArray;",
            "let node_arrays = 1;",
            "// a nodearray",
            "NODEARRAY",
            "node-array",
        ] {
            check("crates/store/src/pool.rs", text, &[IN_STORE]);
        }
    }

    #[test]
    fn words_that_only_contain_one_are_fine() {
        check(
            "crates/model/src/a.rs",
            "// checksum, trunks, blueprinted, marksman, nodes array2\n",
            &[],
        );
    }

    #[test]
    fn a_dialect_says_its_own_words_and_not_another_ones() {
        check("crates/api/src/cyclecloud/node.rs", "struct NodeArray;\n", &[]);
        let expected = ["crates/api/src/rafay/node.rs:1: `nodearray` is cyclecloud's word; say it in the core's noun"];
        check("crates/api/src/rafay/node.rs", "struct NodeArray;\n", &expected);
    }

    #[test]
    fn wiring_names_the_dialects_but_not_their_nouns() {
        check("crates/api/src/lib.rs", "pub mod runai;\npub mod rafay;\n", &[]);
        check("crates/bin/src/main.rs", "/// Reads a CycleCloud template.\n", &[]);
        let expected = ["crates/bin/src/main.rs:1: `taskset` is rafay's word; say it in the core's noun"];
        check("crates/bin/src/main.rs", "fn taskset() {}\n", &expected);
    }

    #[test]
    fn a_bucket_is_a_noun_of_the_core_but_not_of_a_provider() {
        check("crates/model/src/capacity.rs", "pub struct Bucket;\n", &[]);
        let expected = ["crates/provider/src/fake.rs:1: `bucket` is cyclecloud's word; say it in the core's noun"];
        check("crates/provider/src/fake.rs", "struct TokenBucket;\n", &expected);
    }

    #[test]
    fn tests_and_documents_may_say_anything() {
        check("crates/bin/tests/it/main.rs", "// runapy and nodearrays\n", &[]);
        check(
            "crates/control/src/node.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { /* rafay */ }\n",
            &[],
        );
        check("docs/cyclecloud.md", "nodearray", &[]);
    }
}
