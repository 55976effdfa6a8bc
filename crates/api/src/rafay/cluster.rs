//! The operations on clusters: apply, list, details, status, installer commands, delete, and approving a host.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Path, RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use reeve_control::{
    Ctx,
    cluster::{self as clusters, Selector},
    host::{self, Declaration, Declared, Managed},
};
use reeve_model::{Error, Kind, cluster::Goal};

use super::{
    auth,
    document::{self, Document},
    error::{Problem, answer, refuse, set},
    installer::{self, Facts},
    media,
    record::Record,
    status::{self, Condition, InstallerCommand, OperationState, OperationStatus, Outcome, Provision, StatusInput},
};
use crate::{App, program, request};

/// Name under which documents are kept beside clusters.
const DIALECT: &str = "rafay";
/// Architectures of installer commands in the order clients expect.
const ARCHITECTURES: [&str; 2] = ["arm64", "amd64"];
/// Largest page of a list.
const LIMIT_MAX: u64 = 1000;
const DAY: Duration = Duration::from_secs(24 * 3600);

type Answered = Result<Response, Problem>;

fn selector(project: &str, name: &str) -> Selector {
    Selector::InFolder(project.to_owned(), name.to_owned())
}

/// Adds what every answer carries.
fn reply(app: &App, headers: &HeaderMap, ctx: &Ctx, answered: Answered) -> Response {
    match answered {
        Ok(mut response) => {
            set(&mut response, "x-request-id", &ctx.request_id);
            response
        }
        Err(problem) => refuse(app, headers, problem),
    }
}

macro_rules! signed_in {
    ($app:expr, $headers:expr) => {
        match auth::context(&$app, &$headers).await {
            Ok(ctx) => ctx,
            Err(error) => return refuse(&$app, &$headers, error.into()),
        }
    };
}

/// `POST` of a document: creates or changes a cluster.
pub(super) async fn apply(
    State(app): State<App>,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let ctx = signed_in!(app, headers);
    let dry = argument(query.as_deref(), "dryRun").is_some_and(|text| text == "true");
    let answered = applied(&ctx, &project, dry, &headers, body).await;
    reply(&app, &headers, &ctx, answered)
}

async fn applied(
    ctx: &Ctx,
    project: &str,
    dry: bool,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    // Project and permission come before the body is looked at.
    clusters::may_create(ctx, project).await?;
    let body = body.map_err(Problem::Body)?;
    let document = read(project, headers, &body)?;
    let before = match host::get(ctx, project, &document.name, DIALECT).await {
        Ok(managed) => Some(managed),
        Err(error) if error.kind == Kind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if before
        .as_ref()
        .is_some_and(|managed| managed.cluster.goal == Goal::Absent)
    {
        return Err(Error::conflict(format!("cluster \"{}\" is being deleted", document.name)).into());
    }
    let now_us = ctx.now().0;
    let record = Record::apply(before.as_ref(), project, &document, ctx.core.id(), now_us)?;
    let value = if dry {
        status::render(&record.stored(project, before.as_ref()), &preview(&record, now_us))
    } else {
        let managed = store(ctx, project, &document, &record).await?;
        status::render(&record.stored(project, Some(&managed)), &record.status(&managed))
    };
    let mut response = answer(headers, StatusCode::OK, &value);
    warn(&mut response, &document);
    Ok(response)
}

fn read(project: &str, headers: &HeaderMap, body: &Bytes) -> Result<Document, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("unreadable"));
    let value = media::parse(kind, body).map_err(Problem::Document)?;
    document::parse(project, value)
        .map_err(|problems| Problem::Document(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
}

async fn store(ctx: &Ctx, project: &str, document: &Document, record: &Record) -> Result<Managed, Error> {
    let declared = |node: &document::HostNode| Declared {
        hostname: node.hostname.clone(),
        address: node.private_ip.clone(),
    };
    let declaration = Declaration {
        name: document.name.clone(),
        hosts: document.nodes.iter().map(declared).collect(),
        auto_approve: document.auto_approve_nodes,
        version: document.kubernetes_version.clone(),
        document: record.write()?,
        dialect: DIALECT,
    };
    host::declare(ctx, project, &declaration).await
}

/// The status that a dry run shows: the taskset that would be opened, if one would.
fn preview(record: &Record, now_us: i64) -> StatusInput {
    let newest = record.tasksets.first().filter(|newest| newest.created_at_us == now_us);
    let taskset = newest.map(|newest| {
        let mut taskset = newest.taskset(None, OperationState::Pending);
        taskset.id = "dry-run".to_owned();
        taskset
    });
    StatusInput {
        short_id: "dry-run".to_owned(),
        created_at_us: now_us,
        conditions: std::array::from_fn(|_| Condition::pending()),
        provision: Provision::InProgress,
        operation: OperationStatus {
            state: Outcome::Submitted,
            updated_at_us: now_us,
        },
        tasksets: taskset.into_iter().collect(),
        nodes: Vec::new(),
    }
}

/// Tells what was dropped, and other remarks, in one header.
fn warn(response: &mut Response, document: &Document) {
    let ignored = (!document.ignored.is_empty()).then(|| format!("ignored: {}", document.ignored.join(", ")));
    let remarks: Vec<String> = ignored.into_iter().chain(document.warnings.iter().cloned()).collect();
    if remarks.is_empty() {
        return;
    }
    let plain = |letter: char| {
        if (' '..='~').contains(&letter) && !"\"\\".contains(letter) {
            letter
        } else {
            '?'
        }
    };
    let quoted = |text: &String| format!("299 - \"{}\"", text.chars().map(plain).collect::<String>());
    set(
        response,
        "warning",
        &remarks.iter().map(quoted).collect::<Vec<_>>().join(", "),
    );
    tracing::info!(cluster.name = document.name, remarks = ?remarks, "a document was taken with remarks");
}

/// `GET` of all clusters of a project, by name.
pub(super) async fn list(
    State(app): State<App>,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = listed(&ctx, &project, query.as_deref(), &headers).await;
    reply(&app, &headers, &ctx, answered)
}

async fn listed(ctx: &Ctx, project: &str, query: Option<&str>, headers: &HeaderMap) -> Answered {
    let limit = number(query, "limit")?.unwrap_or(0);
    let offset = number(query, "offset")?.unwrap_or(0);
    if limit > LIMIT_MAX {
        return Err(Error::invalid("limit", format!("limit: {limit} is more than {LIMIT_MAX}")).into());
    }
    let mut items = Vec::new();
    let managed = clusters::list_folder(ctx, project)
        .await?
        .into_iter()
        .filter(|cluster| cluster.aspects.managed);
    for cluster in managed {
        match host::get(ctx, project, &cluster.name, DIALECT).await {
            Ok(managed) => items.push(status::render_details(
                &Record::read(&managed)?.stored(project, Some(&managed)),
            )),
            // Deleted since the list was read.
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let take = if limit == 0 {
        usize::MAX
    } else {
        usize::try_from(limit).unwrap_or(usize::MAX)
    };
    let page = items.into_iter().skip(skip).take(take).collect();
    Ok(answer(
        headers,
        StatusCode::OK,
        &status::render_list(page, count, limit, offset),
    ))
}

/// `GET` of one cluster as declared.
pub(super) async fn details(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = shown(&ctx, &project, &name, &headers, false).await;
    reply(&app, &headers, &ctx, answered)
}

/// `GET` of one cluster with its status.
pub(super) async fn status(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = shown(&ctx, &project, &name, &headers, true).await;
    reply(&app, &headers, &ctx, answered)
}

async fn shown(ctx: &Ctx, project: &str, name: &str, headers: &HeaderMap, with_status: bool) -> Answered {
    let managed = host::get(ctx, project, name, DIALECT).await?;
    let record = Record::read(&managed)?;
    let stored = record.stored(project, Some(&managed));
    let value = if with_status {
        status::render(&stored, &record.status(&managed))
    } else {
        status::render_details(&stored)
    };
    Ok(answer(headers, StatusCode::OK, &value))
}

/// `GET` of the commands that bring hosts in.
pub(super) async fn installer_commands(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = commands(&app, &ctx, &project, &name, &headers).await;
    reply(&app, &headers, &ctx, answered)
}

async fn commands(app: &App, ctx: &Ctx, project: &str, name: &str, headers: &HeaderMap) -> Answered {
    let managed = host::get(ctx, project, name, DIALECT).await?;
    if managed.cluster.goal == Goal::Absent {
        return Err(Error::conflict(format!("cluster \"{name}\" is being deleted")).into());
    }
    let record = Record::read(&managed)?;
    let days = document::restore(project, &record.details).map_or(365, |document| document.installer_ttl_days);
    let (_, token, expires) = host::join_token(ctx, &selector(project, name), DAY * days).await?;
    let mut server = request::base_url(app, headers);
    if !installer::harmless(&server) {
        app.settings.server_url.trim_end_matches('/').clone_into(&mut server);
    }
    let sum = program::sha256().await?;
    let command = |arch: &str| InstallerCommand {
        arch: arch.to_owned(),
        command: installer::command(&Facts {
            server: &server,
            token: &token,
            arch,
            sha256: (arch == program::architecture()).then_some(sum),
            ca_sha256: app.settings.ca_sha256.as_deref(),
        }),
        expires_at_us: Some(expires.0),
    };
    let value = status::installer_commands(name, project, &ARCHITECTURES.map(command));
    Ok(answer(headers, StatusCode::OK, &value))
}

/// `DELETE` of a cluster; accepted when answered.
pub(super) async fn delete(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = deleted(&ctx, &project, &name).await;
    reply(&app, &headers, &ctx, answered)
}

async fn deleted(ctx: &Ctx, project: &str, name: &str) -> Answered {
    // A cluster of another kind is none of this dialect's.
    host::get(ctx, project, name, DIALECT).await?;
    clusters::delete(ctx, &selector(project, name)).await?;
    Ok(Response::new(Body::empty()))
}

/// `POST` that approves a host.
pub(super) async fn approve(
    State(app): State<App>,
    Path((project, name, hostname)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = approved(&ctx, &project, &name, &hostname).await;
    reply(&app, &headers, &ctx, answered)
}

async fn approved(ctx: &Ctx, project: &str, name: &str, hostname: &str) -> Answered {
    host::get(ctx, project, name, DIALECT).await?;
    host::approve(ctx, &selector(project, name), hostname).await?;
    Ok(Response::new(Body::empty()))
}

/// `GET` of a manifest that only imported clusters have.
pub(super) async fn bootstrap(
    State(app): State<App>,
    Path((project, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let ctx = signed_in!(app, headers);
    let answered = match host::get(&ctx, &project, &name, DIALECT).await {
        Ok(_) => Err(Error::invalid(
            "",
            "only imported clusters have a bootstrap manifest; use installercmds",
        )
        .into()),
        Err(error) => Err(error.into()),
    };
    reply(&app, &headers, &ctx, answered)
}

/// The last value of a query parameter.
fn argument(query: Option<&str>, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query?).ok()?;
    pairs
        .into_iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// A query parameter that is a whole number, not negative.
fn number(query: Option<&str>, name: &str) -> Result<Option<u64>, Error> {
    argument(query, name)
        .map(|text| {
            text.parse()
                .map_err(|_| Error::invalid(name, format!("{name}: \"{text}\" is not a whole number from 0")))
        })
        .transpose()
}
