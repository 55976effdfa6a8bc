//! Signing in: every kind of credential becomes the same [`Actor`]; and the life of credentials.
//!
//! A verified credential is remembered for a minute by its keyed hash, so that not every call pays for a password hash
//! or a signature. Revoking forgets it at once here, and within the minute on other servers.

use std::{sync::Arc, time::Duration};

use reeve_model::{
    Error, Kind, Result, Timestamp,
    actor::{Actor, Grant, IdentityKind},
    id::{FolderId, GrantId, IdentityId, TenantId},
    permission::{Action, Resource},
    scope::Scope,
};
use reeve_provider::Clock;
use reeve_store::{
    self as store,
    cluster::Folder,
    engine::{Conn, Store},
    identity::Identity,
};

use crate::{
    cluster::{self, FOLDER_DEFAULT, Selector},
    core::{Core, lock, stored},
    ctx::Ctx,
    record,
    secret::{
        Secret, ServerKey, issuer,
        jwt::{self, Claims, SigningKey},
        password, token,
    },
};

mod outside;

/// Name of the first user.
pub const ADMIN: &str = "admin";
/// Number of the first tenant, for dialects that number tenants.
pub const TENANT_NUMBER: i32 = 1001;

/// Reads the server's keys, making them at the first start.
///
/// # Errors
/// `Unavailable` when the database does not answer, `Internal` when a key cannot be read.
pub async fn prepare(store: &Store, clock: &dyn Clock) -> Result<(ServerKey, Vec<SigningKey>)> {
    let fresh = ServerKey::generate().map_err(Error::internal)?;
    let mut tx = store.begin().await.map_err(stored("begin"))?;
    store::identity::keep_server_secret(&mut tx, "server-key", fresh.to_base64().expose())
        .await
        .map_err(stored("keep server key"))?;
    let kept = store::identity::server_secret(&mut tx, "server-key")
        .await
        .map_err(stored("load server key"))?;
    let key = ServerKey::from_base64(&kept.unwrap_or_default()).map_err(Error::internal)?;
    let now_s = clock.now_us() / 1_000_000;
    let mut signing = load_signing(&mut tx).await?;
    let plan = jwt::rotate(&signing, now_s);
    if plan.make_new {
        let made = SigningKey::generate(now_s).map_err(Error::internal)?;
        let row = (
            made.kid.clone(),
            made.private.expose().to_owned(),
            Timestamp(made.created_at * 1_000_000),
        );
        store::identity::add_signing_key(&mut tx, &row)
            .await
            .map_err(stored("keep signing key"))?;
        signing.insert(0, made);
    }
    tx.commit().await.map_err(stored("commit"))?;
    Ok((key, signing))
}

async fn load_signing(db: &mut Conn) -> Result<Vec<SigningKey>> {
    let rows = store::identity::signing_keys(db)
        .await
        .map_err(stored("load signing keys"))?;
    Ok(rows
        .into_iter()
        .map(|(kid, private, made)| SigningKey {
            kid,
            private: private.into(),
            created_at: made.0 / 1_000_000,
        })
        .collect())
}

/// Makes the first tenant, folder and user; answers the password it made up, if it made one up.
///
/// # Errors
/// `Unavailable`, `Internal`.
pub async fn bootstrap(core: &Core, password: Option<Secret>) -> Result<(TenantId, Option<Secret>)> {
    let mut db = core.store.read().await.map_err(stored("read"))?;
    if let Some((tenant, _, _)) = store::identity::tenants(&mut db)
        .await
        .map_err(stored("list tenants"))?
        .first()
    {
        return Ok((*tenant, None));
    }
    drop(db);
    let (chosen, made) = match password {
        Some(given) => (given, None),
        None => {
            let made = password::generate().map_err(Error::internal)?;
            (made.clone(), Some(made))
        }
    };
    let hash = hash(chosen).await?;
    let now = core.now();
    let tenant = TenantId(core.id());
    let admin = IdentityId(core.id());
    let mut tx = core.store.begin().await.map_err(stored("begin"))?;
    store::identity::insert_tenant(&mut tx, tenant, TENANT_NUMBER, "default", now)
        .await
        .map_err(stored("tenant"))?;
    let folder = Folder {
        id: FolderId(core.id()),
        name: FOLDER_DEFAULT.into(),
        created_at: now,
    };
    store::cluster::insert_folder(&mut tx, tenant, &folder)
        .await
        .map_err(stored("folder"))?;
    let identity = Identity {
        id: admin,
        tenant,
        kind: IdentityKind::User,
        name: ADMIN.into(),
        secret_hash: hash,
        created_at: now,
        expires_at: None,
        revoked_at: None,
    };
    store::identity::insert(&mut tx, &identity)
        .await
        .map_err(stored("insert user"))?;
    let scope = Scope::tenant(tenant);
    store::identity::grant(&mut tx, GrantId(core.id()), admin, "admin", &scope, now)
        .await
        .map_err(stored("grant"))?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok((tenant, made))
}

async fn hash(secret: Secret) -> Result<String> {
    tokio::task::spawn_blocking(move || password::hash(secret.expose()))
        .await
        .map_err(Error::internal)?
        .map_err(|error| Error::invalid("password", error.to_string()))
}

fn unauthenticated() -> Error {
    Error::new(Kind::Unauthenticated, "the credentials are missing or wrong")
}

/// A verified caller, with the end of what proved it.
#[derive(Debug, Clone)]
pub struct Known {
    actor: Arc<Actor>,
    ends_s: i64,
}

/// Looks in memory first; else lets `check` find the caller and remembers what comes of it.
async fn remembered(core: &Core, hash: String, check: impl Future<Output = Result<Known>>) -> Result<Arc<Actor>> {
    let now_s = core.now().0 / 1_000_000;
    let began = {
        let memory = lock(&core.remembered);
        if let Some(known) = memory.get(&hash, now_s).filter(|known| now_s < known.ends_s) {
            return Ok(Arc::clone(&known.actor));
        }
        memory.moment()
    };
    let known = check.await?;
    let actor = Arc::clone(&known.actor);
    lock(&core.remembered).put(began, hash, known, now_s);
    Ok(actor)
}

/// The caller that a stored identity stands for, unless it works no more.
async fn known(core: &Core, identity: &Identity) -> Result<Known> {
    if !identity.valid(core.now()) {
        return Err(unauthenticated());
    }
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let grants = store::identity::grants(&mut db, identity.id)
        .await
        .map_err(stored("load grants"))?
        .into_iter()
        .filter_map(|(role, scope)| {
            Some(Grant {
                role: Arc::clone(core.roles.get(&role.to_lowercase())?),
                scope,
            })
        })
        .collect();
    let actor = Actor {
        id: identity.id,
        kind: identity.kind,
        name: identity.name.clone(),
        tenant: identity.tenant,
        grants,
    };
    Ok(Known {
        actor: Arc::new(actor),
        ends_s: identity.expires_at.map_or(i64::MAX, |at| at.0 / 1_000_000),
    })
}

/// Verifies a name and a password: of a user, or an application's id and secret.
///
/// # Errors
/// `Unauthenticated`.
pub async fn basic(core: &Core, name: &str, password: &Secret) -> Result<Arc<Actor>> {
    let hash = core.key.keyed_hash(
        "remember-basic",
        &format!("{}:{name}:{}", name.len(), password.expose()),
    );
    remembered(core, hash, check_basic(core, name, password)).await
}

async fn check_basic(core: &Core, name: &str, given: &Secret) -> Result<Known> {
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let named = store::identity::find_by_name(&mut db, name)
        .await
        .map_err(stored("find identity"))?;
    drop(db);
    let application = named.iter().find(|identity| {
        identity.kind == IdentityKind::Application
            && core.key.verify("client-secret", given.expose(), &identity.secret_hash)
    });
    if let Some(application) = application {
        return known(core, application).await;
    }
    let user = named.into_iter().find(|identity| identity.kind == IdentityKind::User);
    let stored_hash = user.as_ref().map(|user| user.secret_hash.clone());
    let given = given.clone();
    let _turn = core.hashing.acquire().await.map_err(Error::internal)?;
    let good = tokio::task::spawn_blocking(move || password::verify(given.expose(), stored_hash.as_deref()))
        .await
        .map_err(Error::internal)?
        .unwrap_or(false);
    known(core, &user.filter(|_| good).ok_or_else(unauthenticated)?).await
}

/// Verifies an API key.
///
/// # Errors
/// `Unauthenticated`.
pub async fn api_key(core: &Core, key: &Secret) -> Result<Arc<Actor>> {
    let hash = core.key.keyed_hash("api-key", key.expose());
    let find = async {
        let mut db = core.store.read().await.map_err(stored("read"))?;
        let found = store::identity::find_by_secret(&mut db, &hash)
            .await
            .map_err(stored("find API key"))?;
        drop(db);
        known(core, &found.ok_or_else(unauthenticated)?).await
    };
    remembered(core, hash.clone(), find).await
}

/// Verifies an access token that this server, or one beside it, or a trusted outside issuer issued.
///
/// # Errors
/// `Unauthenticated`, which says what is wrong with the token; `Unavailable` when the issuer's keys cannot be had.
pub async fn bearer(core: &Core, given: &Secret) -> Result<Arc<Actor>> {
    let hash = core.key.keyed_hash("remember-bearer", given.expose());
    remembered(core, hash, check_bearer(core, given)).await
}

async fn check_bearer(core: &Core, given: &Secret) -> Result<Known> {
    if let Some(issuers) = &core.issuers
        && issuers.claims_to_know(given.expose())
    {
        return outside::check(core, issuers, given).await;
    }
    let claims = own_claims(core, given).await?;
    let id: IdentityId = claims.sub.parse().map_err(|_| unauthenticated())?;
    let mut db = core.store.read().await.map_err(stored("read"))?;
    let identity = store::identity::find(&mut db, id)
        .await
        .map_err(stored("find identity"))?
        .ok_or_else(unauthenticated)?;
    drop(db);
    let known = known(core, &identity).await?;
    Ok(Known {
        ends_s: known.ends_s.min(claims.exp),
        ..known
    })
}

async fn own_claims(core: &Core, given: &Secret) -> Result<Claims> {
    let now_s = core.now().0 / 1_000_000;
    let keys = lock(&core.signing).clone();
    let verified = match jwt::verify(given.expose(), &keys, now_s, 0) {
        Err(jwt::TokenError::UnknownKey) => {
            // Another server beside this one may have made a new key since.
            let mut db = core.store.read().await.map_err(stored("read"))?;
            let fresh = load_signing(&mut db).await?;
            let verified = jwt::verify(given.expose(), &fresh, now_s, 0);
            *lock(&core.signing) = fresh;
            verified
        }
        other => other,
    };
    verified.map_err(|error| {
        let foreign = issuer::claimed_issuer(given.expose()).is_some_and(|named| named != core.settings.server_url);
        match error {
            // Not signed here, and it does not say so either.
            jwt::TokenError::UnknownKey | jwt::TokenError::Malformed if foreign => {
                outside::refused(&issuer::OutsideError::WrongIssuer)
            }
            error => Error::new(Kind::Unauthenticated, error.to_string()),
        }
    })
}

/// An access token for a verified caller, with its life; for this installation, or for the `audience` that is named.
///
/// # Errors
/// `Forbidden` for somebody an outside issuer vouches for: their issuer decides how long that holds. `Internal` when no
/// token can be signed.
pub fn issue(core: &Core, actor: &Actor, audience: Option<&str>) -> Result<(Secret, Duration)> {
    if actor.kind == IdentityKind::Outsider {
        return Err(Error::new(
            Kind::Forbidden,
            "a token of an outside issuer is not exchanged for one of ours: use it as it is",
        ));
    }
    let now_s = core.now().0 / 1_000_000;
    let life = core.settings.token_life;
    let own = &core.settings.server_url;
    let claims = Claims {
        iss: own.clone(),
        aud: audience.unwrap_or(own).to_owned(),
        sub: actor.id.to_string(),
        name: actor.name.clone(),
        tenant_id: actor.tenant.to_string(),
        iat: now_s,
        exp: now_s + i64::try_from(life.as_secs()).unwrap_or(i64::MAX),
        jti: core.id().to_string(),
    };
    let keys = lock(&core.signing).clone();
    let key = keys.first().ok_or_else(|| Error::internal("there is no signing key"))?;
    let text = jwt::issue(key, &claims).map_err(Error::internal)?;
    Ok((Secret::new(text), life))
}

/// Public halves of the signing keys, as a JWKS document.
#[must_use]
pub fn jwks(core: &Core) -> serde_json::Value {
    jwt::jwks(&lock(&core.signing))
}

/// A credential to make.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// User, application or API key.
    pub kind: IdentityKind,
    /// Its name.
    pub name: String,
    /// Name of the role it gets.
    pub role: String,
    /// Where: empty or `/` the tenant, `FOLDER`, or `FOLDER/CLUSTER`.
    pub scope: String,
    /// How long it works.
    pub life: Option<Duration>,
    /// A user's password; made up when absent.
    pub password: Option<Secret>,
}

/// A credential just made, with what is shown once.
#[derive(Debug)]
pub struct Made {
    /// The identity.
    pub identity: Identity,
    /// The application's or user's secret, or the API key.
    pub secret: Secret,
}

/// Makes a credential with a role.
///
/// # Errors
/// `Forbidden`, `Invalid` for an unknown role or scope, `AlreadyExists`.
pub async fn create(ctx: &Ctx, wanted: Wanted) -> Result<Made> {
    ctx.check_root(Resource::Identity, Action::Create, "credentials")
        .await?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-._@".contains(letter);
    if wanted.name.is_empty() || wanted.name.len() > 128 || !wanted.name.chars().all(legal) {
        return Err(Error::invalid(
            "name",
            "a credential's name has 1 to 128 of A-Z a-z 0-9 - . _ @",
        ));
    }
    let role = ctx.core.roles.get(&wanted.role.to_lowercase()).ok_or_else(|| {
        let known = ctx
            .core
            .roles
            .values()
            .map(|role| role.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        Error::invalid(
            "role",
            format!("there is no role \"{}\"; known are: {known}", wanted.role),
        )
    })?;
    let scope = scope(ctx, &wanted.scope).await?;
    let make = |kind: token::Kind| kind.generate().map_err(Error::internal);
    let (secret, secret_hash) = match wanted.kind {
        IdentityKind::User => {
            let secret = match wanted.password {
                Some(password) => password,
                None => password::generate().map_err(Error::internal)?,
            };
            let hash = hash(secret.clone()).await?;
            (secret, hash)
        }
        IdentityKind::Application => {
            let secret = make(token::Kind::ClientSecret)?;
            let hash = ctx.core.key.keyed_hash("client-secret", secret.expose());
            (secret, hash)
        }
        IdentityKind::ApiKey => {
            let secret = make(token::Kind::ApiKey)?;
            let hash = ctx.core.key.keyed_hash("api-key", secret.expose());
            (secret, hash)
        }
        IdentityKind::Agent | IdentityKind::Outsider | IdentityKind::System => {
            return Err(Error::invalid("kind", "users, applications and API keys can be made"));
        }
    };
    let now = ctx.now();
    let identity = Identity {
        id: IdentityId(ctx.core.id()),
        tenant: ctx.tenant(),
        kind: wanted.kind,
        name: wanted.name,
        secret_hash,
        created_at: now,
        expires_at: wanted.life.map(|life| now + life),
        revoked_at: None,
    };
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    store::identity::insert(&mut tx, &identity)
        .await
        .map_err(stored("insert credential"))?;
    store::identity::grant(&mut tx, GrantId(ctx.core.id()), identity.id, &role.name, &scope, now)
        .await
        .map_err(stored("grant role"))?;
    let detail = format!("{} with role {}", identity.kind.word(), role.name);
    record::done(ctx, &mut tx, "create-credential", &identity.name, detail).await?;
    tx.commit().await.map_err(stored("commit"))?;
    Ok(Made { identity, secret })
}

async fn scope(ctx: &Ctx, text: &str) -> Result<Scope> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let unknown = || {
        Error::invalid(
            "scope",
            format!("there is no scope \"{text}\": give FOLDER or FOLDER/CLUSTER"),
        )
    };
    match parts[..] {
        [] => Ok(ctx.root()),
        [folder] => cluster::folders(ctx)
            .await?
            .into_iter()
            .find(|known| known.name == folder)
            .map(|known| Scope::folder(ctx.tenant(), known.id))
            .ok_or_else(unknown),
        [folder, name] => cluster::get(ctx, &Selector::InFolder(folder.into(), name.into()))
            .await
            .map(|cluster| cluster.scope())
            .map_err(|_| unknown()),
        _ => Err(unknown()),
    }
}

/// A credential without its secret.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The identity; its hash stays here.
    pub identity: Identity,
    /// Roles with their scopes.
    pub grants: Vec<(String, Scope)>,
}

/// Credentials of the tenant, oldest first.
///
/// # Errors
/// `Forbidden`.
pub async fn list(ctx: &Ctx) -> Result<Vec<Shown>> {
    ctx.check_root(Resource::Identity, Action::Read, "credentials").await?;
    let mut db = ctx.core.store.read().await.map_err(stored("read"))?;
    let identities = store::identity::list(&mut db, ctx.tenant())
        .await
        .map_err(stored("list credentials"))?;
    let mut shown = Vec::with_capacity(identities.len());
    for identity in identities {
        let grants = store::identity::grants(&mut db, identity.id)
            .await
            .map_err(stored("load grants"))?;
        shown.push(Shown { identity, grants });
    }
    Ok(shown)
}

/// Revokes a credential at once.
///
/// # Errors
/// `Forbidden`, `NotFound`.
pub async fn revoke(ctx: &Ctx, id: IdentityId) -> Result<()> {
    ctx.check_root(Resource::Identity, Action::Delete, "credentials")
        .await?;
    let mut tx = ctx.core.store.begin().await.map_err(stored("begin"))?;
    if !store::identity::revoke(&mut tx, ctx.tenant(), id, ctx.now())
        .await
        .map_err(stored("revoke"))?
    {
        return Err(Error::not_found("credential", id));
    }
    record::done(ctx, &mut tx, "revoke-credential", &id.to_string(), String::new()).await?;
    tx.commit().await.map_err(stored("commit"))?;
    lock(&ctx.core.remembered).forget_all();
    Ok(())
}
