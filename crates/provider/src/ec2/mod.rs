//! Machines that are EC2 instances, of the cloud itself or of another that speaks the same interface.
//!
//! One account here is one region and one owner: a tag that all its machines carry. A machine is found again by the
//! tag of its token; nothing that cannot be found again is kept in memory. The client is small and ours
//! (`docs/decisions/0008-a-small-client-for-ec2.md` says why), makes one attempt per call and never sleeps.
//!
//! Start reading at [`Ec2`]; `launch` makes machines, `instance` reads them, `refusal` knows the error codes,
//! `client` makes one signed call.

mod boot;
mod client;
mod credentials;
mod group;
mod instance;
mod launch;
mod refusal;
mod settings;
mod sign;
mod xml;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use self::client::{Client, Parameters};
use self::credentials::Credentials;
use self::group::Groups;
use self::instance::{Instance, OWNER, TOKEN};
pub use self::settings::{GivenKeys, Program, Settings};
use self::sign::Keys;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::machines::{
    Capabilities, Cores, Described, Launch, Machine, Machines, Page, Quota, State, Token, check_token,
};

/// Word of the catalogue for sizes of this cloud.
const CLOUD: &str = "aws";
/// Most values that the cloud takes in one filter.
const VALUES_MAX: usize = 200;
/// Fewest and most instances of a page, by the cloud's rules.
const PAGE: (usize, usize) = (5, 1000);
/// Most instances of one order: a larger one is slow to answer.
const ORDER_MAX: usize = 100;
/// What an instance that holds anything may be doing.
const HOLDING: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];

/// EC2 instances of one account in one region.
pub struct Ec2 {
    capabilities: Capabilities,
    catalogue: Catalogue,
    settings: Settings,
    client: Client,
    groups: Groups,
}

impl Ec2 {
    /// An account with the sizes that `catalogue` has for this cloud. Nothing is called.
    ///
    /// # Errors
    /// `Invalid` for settings that make no sense, `Failed` when the system has no TLS to offer.
    pub fn open(settings: Settings, catalogue: &Catalogue, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        check(&settings)?;
        let region = &settings.region;
        let own = format!("https://ec2.{region}.amazonaws.com");
        let endpoint = settings.endpoint.clone().unwrap_or(own);
        let http = http()?;
        let credentials = match &settings.keys {
            Some(keys) => Credentials::Given(Keys {
                id: keys.id.clone(),
                secret: keys.secret.clone(),
                session: keys.session.clone(),
            }),
            None => Credentials::lent(http.clone(), &settings.metadata, Arc::clone(&clock)),
        };
        let sizes = catalogue.sizes().iter().filter(|size| size.cloud == CLOUD).cloned();
        Ok(Self {
            capabilities: Capabilities {
                simulated: false,
                guest_reports: false,
                stop_keeps_disk: true,
                restart: true,
                spot: true,
                placement_groups: true,
                quotas: false,
                settle: settings.settle,
            },
            catalogue: Catalogue::of(sizes.collect()),
            client: Client::new(http, &endpoint, &settings.region, credentials, clock),
            groups: Groups::default(),
            settings,
        })
    }

    /// The instances of these tokens, by token; those that are unknown are not in it.
    async fn find(&self, tokens: &[Token]) -> Result<HashMap<Token, Instance>, Error> {
        let mut found: HashMap<Token, Instance> = HashMap::new();
        // What is no token is no machine's; and a filter would read some of its characters as wild cards.
        let tokens: Vec<&Token> = tokens.iter().filter(|token| check_token(token).is_ok()).collect();
        let chunks = tokens.chunks(VALUES_MAX).map(|chunk| async move {
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let mut parameters = self.ours();
                parameters.filter(2, &format!("tag:{TOKEN}"), chunk);
                let (page, next) = self.page(parameters, PAGE.1, cursor).await?;
                seen.extend(page);
                cursor = next;
                if cursor.is_none() {
                    return Ok::<_, Error>(seen);
                }
            }
        });
        for chunk in join_all(chunks).await {
            for instance in chunk? {
                let better = found
                    .get(&instance.machine.token)
                    .is_none_or(|known| !instance::prefer(&known.machine, &instance.machine));
                if better {
                    found.insert(instance.machine.token.clone(), instance);
                }
            }
        }
        Ok(found)
    }

    /// The filter that keeps other people's machines out.
    fn ours(&self) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.filter(1, &format!("tag:{OWNER}"), &[&self.settings.owner]);
        parameters
    }

    async fn page(
        &self,
        mut parameters: Parameters,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<(Vec<Instance>, Option<String>), Error> {
        parameters.set("MaxResults", limit.clamp(PAGE.0, PAGE.1).to_string());
        if let Some(cursor) = cursor {
            parameters.set("NextToken", cursor);
        }
        let answer = self.client.call("DescribeInstances", parameters).await;
        let answer = answer.map_err(|fault| fault.error)?;
        let instances = instance::all(&answer, &self.catalogue);
        for group in instances.iter().filter_map(|seen| seen.group.as_deref()) {
            self.groups.seen(group);
        }
        Ok((instances, answer.text(&["nextToken"]).map(str::to_owned)))
    }

    /// Gives one order for many machines. `told` answers for a machine that needs none, or is not there.
    async fn order(
        &self,
        action: &'static str,
        tokens: &[Token],
        told: impl Fn(Option<&Machine>) -> Option<Result<State, Error>>,
    ) -> Vec<Result<State, Error>> {
        let known: Vec<Token> = tokens.iter().filter(|token| !token.is_empty()).cloned().collect();
        if known.is_empty() {
            return tokens
                .iter()
                .map(|_| told(None).unwrap_or_else(|| Err(unknown())))
                .collect();
        }
        let found = match self.find(&known).await {
            Ok(found) => found,
            Err(error) => return tokens.iter().map(|_| Err(error.clone())).collect(),
        };
        let machine = |token: &Token| found.get(token).map(|found| &found.machine);
        let mut ids: Vec<String> = tokens
            .iter()
            .filter_map(machine)
            .filter(|machine| told(Some(machine)).is_none())
            .map(|machine| machine.id.clone())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let orders = ids.chunks(ORDER_MAX).map(|chunk| self.order_ids(action, chunk));
        let answers: HashMap<String, Result<State, Error>> = join_all(orders).await.into_iter().flatten().collect();
        let answer = |token: &Token| {
            let machine = machine(token);
            told(machine).unwrap_or_else(|| {
                let answer = machine.and_then(|machine| answers.get(&machine.id).cloned());
                answer.unwrap_or_else(|| Err(unknown()))
            })
        };
        tokens.iter().map(answer).collect()
    }

    /// One order for these instances. The cloud carries out all of it or nothing; one that it does not know spoils
    /// the order for the others, so those are asked for by themselves.
    async fn order_ids(&self, action: &'static str, ids: &[String]) -> Vec<(String, Result<State, Error>)> {
        let mut parameters = Parameters::default();
        parameters.list("InstanceId", ids);
        match self.client.call(action, parameters).await {
            Ok(answer) => {
                let states: BTreeMap<&str, &str> = answer
                    .items(&["instancesSet"])
                    .filter_map(|item| Some((item.text(&["instanceId"])?, item.text(&["currentState", "name"])?)))
                    .collect();
                let state = |id: &String| match states.get(id.as_str()) {
                    Some(name) => Ok(state_of(name)),
                    None => Err(Error::new(
                        ErrorKind::Unanswered,
                        format!("{action} says nothing of {id}"),
                    )),
                };
                ids.iter().map(|id| (id.clone(), state(id))).collect()
            }
            Err(fault) if ids.len() > 1 && !waits(fault.error.kind) => {
                let each = ids.chunks(1).map(|one| self.order_ids(action, one));
                Box::pin(join_all(each)).await.into_iter().flatten().collect()
            }
            Err(fault) => ids.iter().map(|id| (id.clone(), Err(fault.error.clone()))).collect(),
        }
    }

    /// One page of everything that holds something. The cloud's pages have at least five instances; smaller ones are
    /// cut from them, so a cursor is a place in a page and the cloud's own token.
    async fn list_page(&self, cursor: Option<String>, limit: usize) -> Result<Page, Error> {
        let (skip, token) = match &cursor {
            None => (0, None),
            Some(cursor) => {
                let wrong = || Error::new(ErrorKind::Invalid, "the cursor did not come from here");
                let (skip, token) = cursor.split_once(':').ok_or_else(wrong)?;
                let skip: usize = skip.parse().map_err(|_| wrong())?;
                (skip, Some(token.to_owned()).filter(|token| !token.is_empty()))
            }
        };
        let mut parameters = self.ours();
        parameters.filter(2, "instance-state-name", &HOLDING);
        let (instances, next) = self.page(parameters, limit, token.clone()).await?;
        let whole = instances.len();
        let machines: Vec<Machine> = instances
            .into_iter()
            .skip(skip)
            .take(limit.max(1))
            .map(|instance| instance.machine)
            .collect();
        let end = skip + machines.len();
        let next = match next {
            _ if end < whole => Some(format!("{end}:{}", token.unwrap_or_default())),
            next => next.map(|next| format!("0:{next}")),
        };
        if next.is_none() {
            let settings = &self.settings;
            self.groups
                .tidy(&self.client, &settings.owner, settings.group_idle)
                .await;
        }
        Ok(Page { machines, next })
    }
}

/// Whether an order that failed so is better left alone than given again in pieces.
fn waits(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Throttled { .. } | ErrorKind::Unanswered)
}

fn state_of(name: &str) -> State {
    match name {
        "running" => State::Running,
        "stopping" => State::Stopping,
        "stopped" => State::Stopped,
        "shutting-down" => State::Releasing,
        "terminated" => State::Gone,
        _ => State::Pending,
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "the cloud has no such machine")
}

fn check(settings: &Settings) -> Result<(), Error> {
    let plain = |text: &str| {
        text.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
    };
    let invalid = |message: &str| Err(Error::new(ErrorKind::Invalid, message));
    if settings.region.is_empty() || !plain(&settings.region) {
        return invalid("region is a name like eu-west-1");
    }
    if settings.owner.is_empty() || settings.owner.len() > 64 || !plain(&settings.owner) {
        return invalid("owner has 1 to 64 characters out of A-Z a-z 0-9 . _ -");
    }
    if settings.image.is_empty() {
        return invalid("image is the id of a machine image, like ami-0123456789abcdef0");
    }
    let url = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    if !settings.endpoint.as_deref().is_none_or(url) || !url(&settings.metadata) {
        return invalid("endpoint and metadata are URLs that begin with http:// or https://");
    }
    Ok(())
}

fn http() -> Result<reqwest::Client, Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing this race is fine: everything in this program installs the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(3))
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(Duration::from_secs(20))
        .build()
        .map_err(|error| Error::failed("prepare the HTTP client", &error))
}

impl Machines for Ec2 {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The limits that the settings name, for every family alike: this interface does not tell the account's.
    fn quota<'a>(&'a self, _region: &'a str) -> BoxFuture<'a, Result<Quota, Error>> {
        let families = self.catalogue.sizes().iter().map(|size| size.family.clone());
        let cores = self.settings.cores_max;
        let quota = Quota {
            regional_cores: cores,
            spot_cores: self.settings.spot_cores_max,
            family_cores: families.map(|family| (family, cores)).collect(),
            used_by_others: Cores::default(),
        };
        async move { Ok(quota) }.boxed()
    }

    fn launch<'a>(&'a self, requests: &'a [Launch]) -> BoxFuture<'a, Vec<Result<Machine, Error>>> {
        async move {
            if requests.is_empty() {
                return Vec::new();
            }
            self.launch_all(requests).await
        }
        .boxed()
    }

    fn describe<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Result<Described, Error>> {
        async move {
            let mut found = self.find(tokens).await?;
            let mut seen = BTreeMap::new();
            for token in tokens {
                if let Some(instance) = found.remove(token) {
                    seen.insert(token.clone(), instance.machine);
                }
            }
            Ok(tokens
                .iter()
                .map(|token| (token.clone(), seen.get(token).cloned()))
                .collect())
        }
        .boxed()
    }

    fn list(&self, cursor: Option<String>, limit: usize) -> BoxFuture<'_, Result<Page, Error>> {
        self.list_page(cursor, limit).boxed()
    }

    fn stop<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        let told = |machine: Option<&Machine>| match machine.map(|machine| machine.state) {
            Some(State::Pending | State::Running) => None,
            Some(state @ (State::Stopping | State::Stopped)) => Some(Ok(state)),
            None | Some(State::Releasing | State::Gone | State::Evicted) => Some(Err(unknown())),
        };
        self.order("StopInstances", tokens, told).boxed()
    }

    fn start<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        let told = |machine: Option<&Machine>| match machine.map(|machine| machine.state) {
            Some(State::Stopping | State::Stopped) => None,
            Some(state @ (State::Pending | State::Running)) => Some(Ok(state)),
            None | Some(State::Releasing | State::Gone | State::Evicted) => Some(Err(unknown())),
        };
        self.order("StartInstances", tokens, told).boxed()
    }

    fn release<'a>(&'a self, tokens: &'a [Token]) -> BoxFuture<'a, Vec<Result<State, Error>>> {
        async move {
            let told = |machine: Option<&Machine>| match machine.map(|machine| machine.state) {
                None | Some(State::Gone) => Some(Ok(State::Gone)),
                Some(State::Releasing) => Some(Ok(State::Releasing)),
                Some(_) => None,
            };
            let answers = self.order("TerminateInstances", tokens, told).await;
            let gone = |answer: Result<State, Error>| match answer {
                Err(error) if error.kind == ErrorKind::NotFound => Ok(State::Gone),
                answer => answer,
            };
            answers.into_iter().map(gone).collect()
        }
        .boxed()
    }
}
