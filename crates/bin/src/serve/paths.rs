//! Forgives slashes: clients that join a base URL ending in `/` to a path starting with `/` reach the same route, and
//! so do those that end a path in `/`. The console keeps its trailing slash, as relative links depend on it.

use axum::{
    Router,
    extract::Request,
    http::{Uri, uri::PathAndQuery},
    middleware,
};

/// Wraps `inner` so that paths are put right before a route is looked for.
pub(super) fn normalizing(inner: Router) -> Router {
    Router::new()
        .fallback_service(inner)
        .layer(middleware::map_request(normalize))
}

async fn normalize(mut request: Request) -> Request {
    if let Some(better) = better(request.uri()) {
        *request.uri_mut() = better;
    }
    request
}

/// The URI to use instead, if another is better.
fn better(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let rest = path.trim_start_matches('/');
    let rest = match rest.split('/').next() {
        Some("console") => rest,
        _ => rest.trim_end_matches('/'),
    };
    if path.len() == rest.len() + 1 {
        return None;
    }
    let text = match uri.query() {
        Some(query) => format!("/{rest}?{query}"),
        None => format!("/{rest}"),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::better;

    #[test]
    fn slashes_too_many_at_either_end_go() {
        let cases = [
            ("//clusters", Some("/clusters")),
            ("/clusters/demo/", Some("/clusters/demo")),
            ("///a//b//?x=/", Some("/a//b?x=/")),
            ("//", Some("/")),
            ("/", None),
            ("/clusters?a=b/", None),
            ("/console/", None),
            ("//console/", Some("/console/")),
        ];
        for (given, wanted) in cases {
            let uri = given.parse().expect("a path");
            assert_eq!(better(&uri).map(|uri| uri.to_string()).as_deref(), wanted, "{given}");
        }
    }
}
