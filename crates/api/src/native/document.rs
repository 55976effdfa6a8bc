//! The OpenAPI document of the native API, made from the handlers.

use axum::Json;
use reeve_wire::native::Problem;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, Content, Ref, ResponseBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{auth, cluster, credential, event, folder, journal, node, server, usage};

/// Path of a cluster's nodes.
const NODES: &str = "/reeve/v1/clusters/{cluster}/nodes";

#[derive(OpenApi)]
#[openapi(
    info(title = "Reeve", description = "The native API of Reeve."),
    paths(
        server::alive, server::ready, server::metrics, server::jwks, server::discovery, server::status, auth::token, show,
        cluster::list, cluster::create, cluster::import, cluster::get, cluster::delete, cluster::start, cluster::stop,
        cluster::pools, node::list, node::create, node::get, node::manage, journal::operations, journal::operation,
        folder::list, folder::create, credential::list, credential::create, credential::revoke, journal::audit,
        event::watch, usage::of_cluster, usage::of_all, usage::budgets, usage::budget, usage::set_budget,
        usage::drop_budget,
    ),
    components(schemas(Problem)),
    modifiers(&Common)
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/reeve/v1/openapi.json", tag = "health", responses((status = 200, body = Object)))]
pub async fn show() -> Json<openapi::OpenApi> {
    Json(document())
}

/// What all operations have in common: segments of their path, how to sign in, how they refuse.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut openapi::OpenApi) {
        if let Some(components) = api.components.as_mut() {
            for (name, scheme) in [("basic", HttpAuthScheme::Basic), ("bearer", HttpAuthScheme::Bearer)] {
                let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
                components.add_security_scheme(name, scheme);
            }
        }
        spell_out_verbs(&mut api.paths);
        for (path, item) in &mut api.paths.paths {
            let segments: Vec<_> = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete]
                .into_iter()
                .flatten()
            {
                let open = operation
                    .tags
                    .as_ref()
                    .is_some_and(|tags| tags.iter().any(|tag| tag == "health"));
                complete(operation, &segments, open);
            }
        }
    }
}

/// Two paths must not differ in the name of a segment only, so the verbs on nodes stand one by one.
fn spell_out_verbs(paths: &mut openapi::Paths) {
    let Some(item) = paths.paths.remove(&format!("{NODES}/{{verb}}")) else {
        return;
    };
    for verb in node::VERBS {
        let mut item = item.clone();
        if let Some(operation) = item.post.as_mut() {
            operation.operation_id = Some(verb.word().to_owned());
            operation.summary = Some(format!("Asks selected nodes to {}.", verb.word()));
            operation.description = None;
        }
        paths.paths.insert(format!("{NODES}/{}", verb.word()), item);
    }
}

fn complete(operation: &mut Operation, segments: &[&str], open: bool) {
    // The names of handlers are unique beside their noun only.
    let noun = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    operation.operation_id = operation.operation_id.take().map(|name| format!("{noun}_{name}"));
    let parameters = operation.parameters.get_or_insert_with(Vec::new);
    parameters.splice(0..0, segments.iter().map(|name| segment(name).into()));
    if !open {
        let none: [String; 0] = [];
        operation.security = Some(
            ["basic", "bearer"]
                .map(|scheme| SecurityRequirement::new(scheme, none.clone()))
                .into(),
        );
    }
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let refused = ResponseBuilder::new()
        .description("Refused")
        .content("application/json", problem)
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), refused.into());
}

fn segment(name: &str) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .schema(Some(text))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_an_id_of_its_own_and_says_how_it_refuses() {
        let mut ids = BTreeSet::new();
        for (path, item) in document().paths.paths {
            for operation in [item.get, item.post, item.put, item.delete].into_iter().flatten() {
                let id = operation.operation_id.expect("an id");
                assert!(ids.insert(id.clone()), "{id} stands twice");
                assert!(operation.responses.responses.contains_key("default"), "{id}");
                let named = operation.parameters.map_or(0, |parameters| parameters.len());
                assert!(named >= path.matches('{').count(), "{path}");
            }
        }
    }
}
