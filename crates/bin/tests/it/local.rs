//! Clusters whose machines are processes of this host: how to have one, and what is to be seen of it.

use std::path::Path;

use serde_json::{Value, json};

use crate::http::Client;

/// Imports and starts a cluster with one pool `execute` of up to `max_count` machines on `local`; `more` are further
/// lines of the pool's section.
pub(crate) async fn import(admin: &Client, name: &str, max_count: u32, more: &str) {
    let template = format!(
        "[cluster {name}]\n\n[[nodearray execute]]\nRegion = local\nMachineType = local\nCredentials = local\n\
         MaxCount = {max_count}\n{more}\n"
    );
    let wish = json!({"name": name, "template": template, "start": true});
    admin.post("/reeve/v1/clusters/import", &wish).await.expect(200);
}

/// All nodes of a cluster, as the native API shows them.
pub(crate) async fn nodes(admin: &Client, cluster: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/reeve/v1/clusters/{cluster}/nodes?limit=500{cursor}");
        let page = admin.get(&path).await.expect(200);
        all.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// The token of the machine that is this folder.
pub(crate) fn token(folder: &Path) -> String {
    let name = folder.file_name().expect("a folder with a name");
    name.to_str().expect("a token").to_owned()
}

/// Id of the node that a token was made for.
pub(crate) fn node(token: &str) -> String {
    let (node, _incarnation) = token.rsplit_once('-').expect("a token");
    node.to_owned()
}

/// What is left of local machines below a data folder: the names of their folders, half-made and half-removed ones
/// too. Each holds the machine's address.
pub(crate) fn folders(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("local")).expect("the folder of all machines");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| ![".lock", ".released"].contains(&&**name))
        .collect()
}
