//! Clusters whose machines are processes of this host: how to have one, and what is to be seen of it.

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
