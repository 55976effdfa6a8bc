//! Credentials: users, applications and API keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A credential without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// `user`, `application`, `api-key` or `agent`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it may do, and where.
    pub roles: Vec<RoleAt>,
    /// When it was made.
    pub created_at: String,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

/// A role somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleAt {
    /// Name of the role.
    pub role: String,
    /// `/` the tenant, `FOLDER` or `FOLDER/CLUSTER`; ids stand in for names that are gone.
    pub scope: String,
}

/// Makes a credential.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialCreate {
    /// `user`, `application` or `api-key`.
    pub kind: String,
    /// Its name: 1 to 128 of `A-Z a-z 0-9 - . _ @`.
    pub name: String,
    /// Name of its role.
    pub role: String,
    /// Where: absent or `/` the tenant, `FOLDER`, or `FOLDER/CLUSTER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How long it works, seconds; until revoked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// A user's password; made up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A credential just made. Its secret is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialCreated {
    /// Its id, to revoke it by.
    pub id: String,
    /// `user`, `application` or `api-key`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What an application signs in as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// An application's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// An API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// A user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// An access token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// The token, for `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// How long it works, seconds.
    pub expires_in: u64,
}
