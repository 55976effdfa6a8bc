//! The project speaks of itself alone: no path of one person's machine, no host name of a package registry.
//!
//! What is looked for is put together from pieces here, so that this file does not find itself.

use super::{Finding, Tree};

/// Beginnings of paths that exist on one machine only.
const PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/root/", ".cargo"),
    concat!("/root/", ".cache"),
    concat!("/root/", ".rustup"),
    concat!("/home/", "runner"),
    concat!("/Us", "ers/"),
];

/// Package registries: which one is used is the business of the machine that builds.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("registry.npm", "js"),
    concat!("npm", "js.com"),
    concat!("proxy.go", "lang.org"),
];

/// Files that name a place. `root` is where this checkout stands.
pub(crate) fn check(tree: &Tree, root: &str) -> Vec<Finding> {
    tree.files(|_| true)
        .flat_map(|(path, text)| check_file(path, text, root))
        .collect()
}

fn check_file(path: &str, text: &str, root: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if PATHS.iter().any(|begin| begins_path(line, begin)) || (root.len() > 1 && begins_path(line, root)) {
            findings.push(Finding::new(path, number + 1, "names a path of one machine"));
        }
        if let Some(host) = HOSTS.iter().find(|host| line.contains(*host)) {
            findings.push(Finding::new(
                path,
                number + 1,
                format!("names the package registry {host}"),
            ));
        }
    }
    findings
}

/// Does a path that begins so stand in the line, and not in the middle of a longer one?
fn begins_path(line: &str, begin: &str) -> bool {
    line.match_indices(begin).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|character| !(character.is_alphanumeric() || "_-./}".contains(character)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::shown;
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let findings = super::check(&Tree::of(&[("README.md", line)]), "/checkouts/reeve");
        assert_eq!(shown(&findings), expected);
    }

    #[test]
    fn a_path_of_one_machine_is_reported() {
        check(
            "see /checkouts/reeve/docs",
            &["README.md:1: names a path of one machine"],
        );
        check(
            concat!("(/wo", "rk/main)"),
            &["README.md:1: names a path of one machine"],
        );
    }

    #[test]
    fn the_same_folder_name_further_down_a_path_is_fine() {
        check(concat!("/var/lib/wo", "rk/x and $HOME/wo", "rk/x"), &[]);
        check("/usr/lib/postgresql/15/bin and /root/.kube/config", &[]);
    }

    #[test]
    fn a_registry_host_is_reported() {
        let host = concat!("py", "pi.org");
        check(
            &format!("https://{host}/simple"),
            &[&format!("README.md:1: names the package registry {host}")],
        );
    }
}
