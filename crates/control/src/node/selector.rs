//! Which nodes of a cluster a request means.

use reeve_store::node::Full;

use crate::cluster::{self};

/// Which nodes of a cluster: the union of everything given.
#[derive(Default)]
pub struct Selector<'a> {
    /// Exact names.
    pub names: Vec<String>,
    /// Ids.
    pub ids: Vec<String>,
    /// Host names without domain, without case.
    pub hostnames: Vec<String>,
    /// Addresses.
    pub addresses: Vec<String>,
    /// A dialect's own test.
    pub filter: Option<Filter<'a>>,
}

/// A dialect's own test of a node, on one consistent view of the cluster.
pub type Filter<'a> = Box<dyn Fn(&cluster::Status, &Full) -> bool + Send + Sync + 'a>;

impl Selector<'_> {
    /// Nothing was selected; never to be read as *everything*.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
            && self.ids.is_empty()
            && self.hostnames.is_empty()
            && self.addresses.is_empty()
            && self.filter.is_none()
    }

    pub(super) fn takes(&self, status: &cluster::Status, full: &Full) -> bool {
        let node = &full.node;
        self.names.contains(&node.name)
            || (!self.ids.is_empty() && self.ids.iter().any(|id| id.eq_ignore_ascii_case(&node.id.to_string())))
            || node.seen.hostname.as_deref().is_some_and(|hostname| {
                let short = hostname.split('.').next().unwrap_or(hostname);
                self.hostnames.iter().any(|wanted| wanted.eq_ignore_ascii_case(short))
            })
            || node
                .seen
                .address
                .is_some_and(|address| self.addresses.contains(&address.to_string()))
            || self.filter.as_ref().is_some_and(|filter| filter(status, full))
    }
}
