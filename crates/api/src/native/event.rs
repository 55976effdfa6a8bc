//! Events as a stream that can be resumed, and never ends unless the caller asks for what has happened only.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream};
use reeve_control::{
    Ctx,
    journal::{self, Bell, Event},
};
use utoipa::IntoParams;

use super::{
    auth::Caller,
    error::answer,
    input::{self, Query},
    render,
};
use crate::{App, request};

/// How long to trust the bell alone: one of another server may get lost.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where to begin.
#[derive(Debug, Default, serde::Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct From {
    /// After this event; 0: from the oldest that is kept; absent: only what happens from now on. A `Last-Event-ID`
    /// header comes first.
    pub cursor: Option<String>,
    /// Go on with what happens; true when absent. When false, the stream ends with the last event that has happened.
    pub follow: Option<bool>,
}

/// Events of clusters the caller may see, as server-sent events whose data is an `Event`.
#[utoipa::path(get, path = "/reeve/v1/events", tag = "server", params(From),
    responses((status = 200, body = reeve_wire::native::Event, content_type = "text/event-stream")))]
pub async fn watch(
    Caller(ctx): Caller,
    State(app): State<App>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Response {
    let bell = Bell::hang(&app.store);
    answer(&ctx.clone(), async {
        let last = headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty());
        let after = match last.or(from.cursor.as_deref()) {
            given @ Some(_) => input::cursor(given, 0)?,
            None => journal::events_end(&ctx).await?,
        };
        let watch = Watch {
            app,
            headers,
            ctx,
            bell,
            after,
            follow: from.follow.unwrap_or(true),
            ready: VecDeque::new(),
        };
        Ok(Sse::new(events(watch)).keep_alive(KeepAlive::default()).into_response())
    })
    .await
}

struct Watch {
    app: App,
    headers: HeaderMap,
    ctx: Ctx,
    bell: Bell,
    after: i64,
    follow: bool,
    ready: VecDeque<Event>,
}

fn events(watch: Watch) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(watch, |mut watch| async move {
        let event = render::event(watch.next().await?);
        let line = sse::Event::default()
            .id(event.sequence.to_string())
            .event(event.kind.clone());
        let data = serde_json::to_string(&event).ok()?;
        Some((Ok(line.data(data)), watch))
    })
}

impl Watch {
    /// The next event; `None` ends the stream, and a caller who follows resumes it elsewhere.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // A credential may have been revoked, or lost a role, while its stream was open.
            let actor = request::actor(&self.app, request::authorization(&self.headers))
                .await
                .ok()?;
            self.ctx.actor = actor;
            let (events, next) = journal::events_after(&self.ctx, self.after).await.ok()?;
            let more = next != self.after;
            self.after = next;
            self.ready.extend(events);
            if more {
                continue;
            }
            if !self.follow {
                return None;
            }
            tokio::select! {
                () = self.app.closing.cancelled() => return None,
                rang = tokio::time::timeout(LOOK_EVERY, self.bell.rang()) => if !rang.unwrap_or(true) {
                    return None;
                }
            }
        }
    }
}
