//! A dialect's routes as a table, from which both the router and the list of routes are made.
//!
//! A router can not be asked what it answers to; whoever must know every route (the permission matrix, the coverage
//! pages) reads the table. It knows nothing of what a route does.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodRouter, delete, get, post, put},
};

use crate::App;

/// One route.
struct Route {
    method: &'static str,
    path: String,
    answer: MethodRouter<App>,
}

/// Routes of a dialect in the order in which people read them.
#[derive(Default)]
pub struct Table {
    routes: Vec<Route>,
    slashed: bool,
}

impl Table {
    /// A table without routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route that reads; it answers to HEAD as well.
    #[must_use]
    pub fn get<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.with("GET", path, get(handler))
    }

    /// Adds a route for POST.
    #[must_use]
    pub fn post<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.with("POST", path, post(handler))
    }

    /// Adds a route for PUT.
    #[must_use]
    pub fn put<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.with("PUT", path, put(handler))
    }

    /// Adds a route for DELETE.
    #[must_use]
    pub fn delete<H: Handler<T, App>, T: 'static>(self, path: &str, handler: H) -> Self {
        self.with("DELETE", path, delete(handler))
    }

    fn with(mut self, method: &'static str, path: &str, answer: MethodRouter<App>) -> Self {
        self.routes.push(Route {
            method,
            path: path.to_owned(),
            answer,
        });
        self
    }

    /// Lets every route be called with a slash at its end too.
    #[must_use]
    pub fn slashed(mut self) -> Self {
        self.slashed = true;
        self
    }

    /// Method and path of every route; `prefix` is where the router will be nested, or empty.
    pub fn rows(&self, prefix: &str) -> Vec<(&'static str, String)> {
        let row = |route: &Route| (route.method, format!("{prefix}{}", route.path));
        self.routes.iter().map(row).collect()
    }

    /// The router that answers to exactly these routes.
    pub fn router(self) -> Router<App> {
        let slashed = self.slashed;
        self.routes.into_iter().fold(Router::new(), |router, route| {
            let router = if slashed {
                router.route(&format!("{}/", route.path), route.answer.clone())
            } else {
                router
            };
            router.route(&route.path, route.answer)
        })
    }
}
