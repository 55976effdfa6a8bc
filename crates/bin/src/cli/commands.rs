//! The commands: each is one call, its answer, and with `--wait` the looking after it.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    Connection, Failure, USAGE,
    client::{Client, Target},
    login,
    output::{self, CLUSTERS, CREDENTIALS, Column, Format, NODES, OPERATIONS},
    wait,
};

/// Time between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Commands of the client.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sign in and remember it
    Login(login::Login),
    /// Show how the server does
    Status(Watch),
    /// Clusters
    #[command(subcommand)]
    Cluster(Cluster),
    /// Nodes
    #[command(subcommand)]
    Node(Node),
    /// Operations: what was asked and what became of it
    #[command(subcommand)]
    Operation(Operation),
    /// Users, applications and API keys
    #[command(subcommand)]
    Credential(Credential),
}

/// What can be done with clusters.
#[derive(Subcommand)]
pub(crate) enum Cluster {
    /// Define a cluster by a template
    Import {
        /// File with the template; - reads standard input
        template: PathBuf,
        /// Name of the cluster
        #[arg(long)]
        name: String,
        /// JSON file with values of the template's parameters
        #[arg(long, value_name = "FILE")]
        parameters: Option<PathBuf>,
        /// Replace the definition of an existing cluster
        #[arg(long)]
        force: bool,
        /// Start it at once
        #[arg(long)]
        start: bool,
    },
    /// Show clusters
    List(Watch),
    /// Show one cluster
    Get {
        /// Its name
        name: String,
        #[command(flatten)]
        watch: Watch,
    },
    /// Start a cluster
    Start {
        /// Its name
        name: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// End all nodes of a cluster; its definition stays
    Stop {
        /// Its name
        name: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// End all nodes of a cluster and forget it
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        wait: Wait,
    },
}

/// What can be done with nodes.
#[derive(Subcommand)]
pub(crate) enum Node {
    /// Show the nodes of a cluster
    List {
        /// The cluster
        cluster: String,
        #[command(flatten)]
        watch: Watch,
    },
    /// Show one node
    Get {
        /// The cluster
        cluster: String,
        /// Name of the node
        node: String,
        #[command(flatten)]
        watch: Watch,
    },
    /// Make nodes
    Create {
        /// The cluster
        cluster: String,
        /// The pool
        #[arg(long)]
        pool: String,
        /// How many
        #[arg(long, short, default_value_t = 1)]
        count: u32,
        /// Machine size, when it is not to be the first of the pool with room
        #[arg(long)]
        size: Option<String>,
        /// Format of names, like gpu-%03d
        #[arg(long)]
        name_format: Option<String>,
        /// Placement group
        #[arg(long)]
        placement_group: Option<String>,
        /// Text that makes sure this is done only once
        #[arg(long)]
        request_key: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Start nodes that are off
    Start(Named),
    /// Give the machines of nodes back
    Terminate(Named),
    /// Give the machines of nodes back and forget the nodes
    Remove(Named),
}

/// Nodes by name.
#[derive(Args)]
pub(crate) struct Named {
    /// The cluster
    cluster: String,
    /// Names of nodes
    #[arg(required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

/// What can be done with operations.
#[derive(Subcommand)]
pub(crate) enum Operation {
    /// Show operations, newest first
    List(Watch),
    /// Show one operation
    Get {
        /// Its id
        id: String,
    },
    /// Look on until an operation has ended
    Watch {
        /// Its id
        id: String,
        /// Seconds to look on at most
        #[arg(long, default_value_t = 3600)]
        timeout: u64,
    },
}

/// What can be done with credentials.
#[derive(Subcommand)]
pub(crate) enum Credential {
    /// Make a credential; its secret is shown this once
    Create {
        /// user, application or api-key
        #[arg(long)]
        kind: String,
        /// Its name
        #[arg(long)]
        name: String,
        /// Its role: admin, operator, viewer, or one of a dialect
        #[arg(long)]
        role: String,
        /// Where: FOLDER or FOLDER/CLUSTER; everywhere when absent
        #[arg(long, value_name = "PATH")]
        scope: Option<String>,
        /// Seconds until it ends by itself
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
    },
    /// Show credentials
    List(Watch),
    /// End a credential
    Revoke {
        /// Its id
        id: String,
    },
}

/// Looking again and again.
#[derive(Args)]
pub(crate) struct Watch {
    /// Show it again every two seconds
    #[arg(long, short)]
    watch: bool,
}

/// Waiting for the end.
#[derive(Args)]
pub(crate) struct Wait {
    /// Wait until it has happened
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, default_value_t = 3600, requires = "wait")]
    timeout: u64,
}

/// Runs a command.
pub(super) async fn run(connection: &Connection, command: Command) -> Result<(), Failure> {
    if let Command::Login(flags) = command {
        return login::run(connection, flags).await;
    }
    let session = Session {
        client: Client::new(Target::find(connection)?)?,
        format: connection.output,
    };
    match command {
        Command::Login(_) => Ok(()),
        Command::Status(watch) => session.get(&["status"], &watch).await,
        Command::Cluster(command) => session.cluster(command).await,
        Command::Node(command) => session.node(command).await,
        Command::Operation(command) => session.operation(command).await,
        Command::Credential(command) => session.credential(command).await,
    }
}

/// A client and how it shows things.
struct Session {
    client: Client,
    format: Format,
}

impl Session {
    async fn cluster(&self, command: Cluster) -> Result<(), Failure> {
        match command {
            Cluster::Import {
                template,
                name,
                parameters,
                force,
                start,
            } => {
                let parameters = parameters.as_deref().map(read_parameters).transpose()?;
                let mut body = json!({"name": name, "template": read(&template)?, "force": force, "start": start});
                put(&mut body, "parameters", parameters.map(Value::Object));
                let answer = self
                    .client
                    .call(Method::POST, &["clusters", "import"], Some(&body))
                    .await?;
                for warning in answer.get("warnings").and_then(Value::as_array).into_iter().flatten() {
                    eprintln!("reeve: warning: {}", warning.as_str().unwrap_or_default());
                }
                self.show(answer.get("cluster").unwrap_or(&answer))
            }
            Cluster::List(watch) => self.list(&["clusters"], CLUSTERS, &watch).await,
            Cluster::Get { name, watch } => self.get(&["clusters", &name], &watch).await,
            Cluster::Start { name, wait } => self.change(&["clusters", &name, "start"], None, &wait).await,
            Cluster::Stop { name, wait } => self.change(&["clusters", &name, "stop"], None, &wait).await,
            Cluster::Delete { name, wait } => {
                let path = ["clusters", name.as_str()];
                let answer = self.client.call(Method::DELETE, &path, None).await?;
                let ending = answer.get("gone") == Some(&Value::Bool(false));
                if wait.wait && ending {
                    wait::gone(&self.client, &path, Duration::from_secs(wait.timeout)).await?;
                }
                match self.format {
                    Format::Json | Format::Yaml => self.show(&answer),
                    _ if ending && !wait.wait => output::print("its machines are ending; it goes with the last\n"),
                    _ => output::print("deleted\n"),
                }
            }
        }
    }

    async fn node(&self, command: Node) -> Result<(), Failure> {
        match command {
            Node::List { cluster, watch } => self.list(&["clusters", &cluster, "nodes"], NODES, &watch).await,
            Node::Get { cluster, node, watch } => self.get(&["clusters", &cluster, "nodes", &node], &watch).await,
            Node::Create {
                cluster,
                pool,
                count,
                size,
                name_format,
                placement_group,
                request_key,
                wait,
            } => {
                let mut body = json!({"pool": pool, "count": count});
                put(&mut body, "size", size.map(Value::String));
                put(&mut body, "nameFormat", name_format.map(Value::String));
                put(&mut body, "placementGroup", placement_group.map(Value::String));
                put(&mut body, "requestKey", request_key.map(Value::String));
                self.change(&["clusters", &cluster, "nodes"], Some(&body), &wait).await
            }
            Node::Start(named) => self.named(named, "start").await,
            Node::Terminate(named) => self.named(named, "terminate").await,
            Node::Remove(named) => self.named(named, "remove").await,
        }
    }

    async fn named(&self, named: Named, verb: &str) -> Result<(), Failure> {
        let body = json!({"names": named.nodes});
        self.change(&["clusters", &named.cluster, "nodes", verb], Some(&body), &named.wait)
            .await
    }

    async fn operation(&self, command: Operation) -> Result<(), Failure> {
        match command {
            Operation::List(watch) => self.list(&["operations"], OPERATIONS, &watch).await,
            Operation::Get { id } => self.show(&self.client.get(&["operations", &id]).await?),
            Operation::Watch { id, timeout } => {
                let ended = wait::operation(&self.client, &id, Duration::from_secs(timeout)).await?;
                self.show(&ended)
            }
        }
    }

    async fn credential(&self, command: Credential) -> Result<(), Failure> {
        match command {
            Credential::Create {
                kind,
                name,
                role,
                scope,
                expires_in,
            } => {
                let mut body = json!({"kind": kind, "name": name, "role": role});
                put(&mut body, "scope", scope.map(Value::String));
                put(&mut body, "expiresInS", expires_in.map(Value::from));
                let answer = self.client.call(Method::POST, &["credentials"], Some(&body)).await?;
                match self.format {
                    Format::Json | Format::Yaml => self.show(&secret(&answer)),
                    _ => self.show(&answer),
                }
            }
            Credential::List(watch) => self.list(&["credentials"], CREDENTIALS, &watch).await,
            Credential::Revoke { id } => {
                self.client.call(Method::DELETE, &["credentials", &id], None).await?;
                output::print("revoked\n")
            }
        }
    }

    /// A request for change: its answer is shown once it has happened, or at once without `--wait`.
    async fn change(&self, path: &[&str], body: Option<&Value>, wait: &Wait) -> Result<(), Failure> {
        let answer = self.client.call(Method::POST, path, body).await?;
        if let Some(message) = answer.get("message").and_then(Value::as_str) {
            eprintln!("reeve: {message}");
        }
        let operation = answer.get("operation").and_then(Value::as_str);
        if wait.wait
            && let Some(operation) = operation
        {
            wait::operation(&self.client, operation, Duration::from_secs(wait.timeout)).await?;
        }
        self.show(&answer)?;
        refused(&answer)
    }

    fn show(&self, item: &Value) -> Result<(), Failure> {
        output::print(&output::one(self.format, item)?)
    }

    async fn get(&self, path: &[&str], watch: &Watch) -> Result<(), Failure> {
        repeat(watch, async || output::one(self.format, &self.client.get(path).await?)).await
    }

    async fn list(&self, path: &[&str], columns: &[Column], watch: &Watch) -> Result<(), Failure> {
        repeat(watch, async || {
            output::list(self.format, columns, &self.client.list(path).await?)
        })
        .await
    }
}

/// Prints what `look` answers, once or again and again. On a terminal each look takes the place of the one before.
async fn repeat(watch: &Watch, look: impl AsyncFn() -> Result<String, Failure>) -> Result<(), Failure> {
    if !watch.watch {
        return output::print(&look().await?);
    }
    let clear = if std::io::stdout().is_terminal() {
        "\u{1b}[2J\u{1b}[H"
    } else {
        ""
    };
    let mut beat = tokio::time::interval(WATCH_EVERY);
    loop {
        beat.tick().await;
        let text = look().await?;
        output::print(&format!("{clear}{text}"))?;
    }
}

/// A failure when a node among those asked for was refused.
fn refused(answer: &Value) -> Result<(), Failure> {
    let nodes = answer.get("nodes").and_then(Value::as_array).into_iter().flatten();
    let words = |node: &Value| {
        let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (node.get("ok") == Some(&Value::Bool(false))).then(|| format!("{}: {}", text("name"), text("error")))
    };
    let refused: Vec<String> = nodes.filter_map(words).collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(super::CONFLICT, refused.join("\n"))),
    }
}

/// The fields that hold the secret, and no other.
fn secret(answer: &Value) -> Value {
    let keys: &[&str] = match answer.get("kind").and_then(Value::as_str) {
        Some("application") => &["clientId", "clientSecret"],
        Some("api-key") => &["apiKey"],
        _ => &["name", "password"],
    };
    keys.iter()
        .filter_map(|key| Some(((*key).to_owned(), answer.get(*key)?.clone())))
        .collect::<Map<_, _>>()
        .into()
}

fn put(body: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        body[key] = value;
    }
}

fn read(file: &std::path::Path) -> Result<String, Failure> {
    let text = match file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(file),
    };
    text.map_err(|error| Failure::new(USAGE, format!("can not read {}: {error}", file.display())))
}

fn read_parameters(file: &std::path::Path) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&read(file)?)
        .map_err(|error| Failure::new(USAGE, format!("{} is no JSON object: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::{refused, secret};
    use serde_json::json;

    #[test]
    fn a_new_credential_is_printed_as_its_secret_alone() {
        let application = json!({"id": "1", "kind": "application", "name": "a", "clientId": "i", "clientSecret": "s"});
        assert_eq!(
            secret(&application).to_string(),
            r#"{"clientId":"i","clientSecret":"s"}"#
        );
        let key = json!({"id": "1", "kind": "api-key", "name": "a", "apiKey": "k"});
        assert_eq!(secret(&key).to_string(), r#"{"apiKey":"k"}"#);
    }

    #[test]
    fn a_refused_node_makes_the_command_fail() {
        assert!(refused(&json!({"operation": "1", "nodes": [{"name": "a", "ok": true}]})).is_ok());
        assert!(refused(&json!({"nodes": [{"name": "a", "ok": false, "error": "kept alive"}]})).is_err());
    }
}
