//! Tokens of an outside issuer, which here is another server of the same program with a certificate of its own.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    http::Client,
    server::{PASSWORD, Server, Setup},
};

/// What the trusting server calls itself.
const AUDIENCE: &str = "the-other-reeve";

async fn issuer() -> Server {
    Setup::new().arguments(&["--tls", "self-signed"]).start().await
}

fn certificate(issuer: &Server) -> std::path::PathBuf {
    issuer.data().join("tls/cert.pem")
}

/// A server that gives everybody the issuer vouches for the role of a viewer in one cluster.
async fn trusting(issuer: &Server) -> Server {
    let config = format!(
        "[identity]\nca_file = {:?}\n\n[[identity.issuer]]\nissuer = {:?}\naudience = \"{AUDIENCE}\"\n\
         username_claim = \"name\"\neverybody = {{ role = \"viewer\", scope = \"defaultproject/seen\" }}\n",
        certificate(issuer),
        issuer.url(),
    );
    Setup::new().config(&config).start().await
}

async fn token(issuer: &Server, query: &str) -> String {
    let authorities = issuer.url().starts_with("https").then(|| certificate(issuer));
    let admin = Client::new(issuer.url(), Some(("admin", PASSWORD)), authorities.as_deref());
    let answer = admin.post(&format!("/reeve/v1/token{query}"), &Value::Null).await;
    let token = answer.expect(200)["accessToken"].as_str().map(str::to_owned);
    token.unwrap_or_else(|| panic!("no token: {answer:?}"))
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|one| one["name"].as_str()).collect()
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_opens_what_the_configuration_says_and_nothing_else() {
    let issuer = issuer().await;
    let server = trusting(&issuer).await;
    let admin = server.admin();
    for name in ["seen", "hidden"] {
        let made = admin.post("/reeve/v1/clusters", &json!({"name": name})).await;
        made.expect(201);
    }
    let guest = Client::bearing(server.url(), &token(&issuer, &format!("?audience={AUDIENCE}")).await);
    let listed = guest.get("/reeve/v1/clusters").await.expect(200);
    assert_eq!(names(&listed["items"]), ["seen"], "{listed}");
    guest.get("/reeve/v1/clusters/hidden").await.expect(404);
    let through_another_dialect = guest.get("/api/v1/clusters").await.expect(200);
    assert_eq!(names(&through_another_dialect), ["seen"]);
    let refused = guest
        .attempt(Method::DELETE, "/reeve/v1/clusters/seen", None)
        .await
        .expect("an answer");
    assert_eq!(refused.status, 403, "{refused:?}");
    let own = guest.post("/reeve/v1/token", &Value::Null).await;
    assert_eq!(own.status, 403, "a foreign token buys none of ours: {own:?}");
    let audit = admin.get("/reeve/v1/audit?limit=50").await.expect(200);
    let known_as = format!("admin ({}#", issuer.url());
    assert!(audit.to_string().contains(&known_as), "{audit}");
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_with_the_reason() {
    let issuer = issuer().await;
    let server = trusting(&issuer).await;
    let stranger = Setup::new().start().await;
    let for_itself = token(&issuer, "").await;
    let for_us = token(&issuer, &format!("?audience={AUDIENCE}")).await;
    let (head, _) = for_us.rsplit_once('.').expect("a signature");
    let changed = format!("{head}.{}", "A".repeat(86));
    let by_nobody = token(&stranger, &format!("?audience={AUDIENCE}")).await;
    for (given, reason) in [
        (for_itself.as_str(), "another audience"),
        (&changed, "signature"),
        (&by_nobody, "not trusted"),
        ("no.token.atall", "malformed"),
    ] {
        let guest = Client::bearing(server.url(), given);
        for path in ["/reeve/v1/clusters", "/api/v1/clusters"] {
            let told = guest.get(path).await.expect(401);
            let message = told["message"].as_str().unwrap_or_default().to_owned();
            assert!(message.contains(reason), "{path}, {reason}: {told}");
        }
    }
    let authorities = certificate(&issuer);
    let at_home = Client::bearing_to(issuer.url(), &for_us, Some(&authorities));
    let told = at_home.get("/reeve/v1/clusters").await.expect(401);
    assert!(told.to_string().contains("another audience"), "{told}");
}

#[tokio::test]
async fn an_issuer_that_is_down_is_not_the_callers_fault_and_its_keys_are_kept() {
    let mut issuer = issuer().await;
    let mut server = trusting(&issuer).await;
    let known = token(&issuer, &format!("?audience={AUDIENCE}")).await;
    let other = token(&issuer, &format!("?audience={AUDIENCE}")).await;
    Client::bearing(server.url(), &known)
        .get("/reeve/v1/clusters")
        .await
        .expect(200);
    issuer.kill().await;
    let kept = Client::bearing(server.url(), &other).get("/reeve/v1/clusters").await;
    kept.expect(200);
    server.terminate().await;
    server.restart().await;
    for path in ["/reeve/v1/clusters", "/api/v1/clusters"] {
        let told = Client::bearing(server.url(), &known).get(path).await;
        told.expect(503);
        assert!(told.headers.contains_key("retry-after"), "{told:?}");
        assert!(!told.body.contains("127.0.0.1"), "no address for strangers: {told:?}");
    }
    server.admin().get("/reeve/v1/clusters").await.expect(200);
}
