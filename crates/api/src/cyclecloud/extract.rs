//! The parts of a request as handlers want them, with every refusal in this dialect's error form.

use axum::{
    body,
    extract::{self, FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::error::Failure;
use crate::App;

/// The parameters of a path; refused when they are no UTF-8.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let read = extract::Path::<T>::from_request_parts(parts, app).await;
        read.map(|extract::Path(value)| Self(value))
            .map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))
    }
}

/// The bytes of a body, whatever its content type says; refused when there are too many.
#[derive(Debug)]
pub struct Bytes(pub body::Bytes);

impl FromRequest<App> for Bytes {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let read = body::Bytes::from_request(request, app).await;
        read.map(Self)
            .map_err(|rejection| Failure::new(rejection.status(), rejection.body_text()))
    }
}
