//! Which machine has which address of 127.0.0.0/8.
//!
//! The addresses in use are those in the machines' folders; nothing else remembers them. Two state folders on one
//! host begin at different places, chosen by a hash of their path, so that they rarely meet.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::folder::Root;
use crate::error::{Error, ErrorKind};

/// Addresses of one state folder. Only true while the folder's lock is held.
pub(super) struct Addresses {
    network: u8,
    first_block: u8,
    used: HashSet<Ipv4Addr>,
}

impl Addresses {
    /// Reads who has what.
    pub(super) fn read(root: &Root) -> Result<Self, Error> {
        let records = root.tokens()?.into_iter().map(|token| root.record(&token));
        let used = records.filter_map(Result::transpose).map(|record| Ok(record?.address));
        let (network, first_block) = place(root.path());
        Ok(Self {
            network,
            first_block,
            used: used.collect::<Result<_, Error>>()?,
        })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u64 {
        self.used.len() as u64
    }

    /// Takes the lowest address that no machine has and that can be bound.
    pub(super) fn lowest_free(&mut self) -> Result<Ipv4Addr, Error> {
        let network = self.network;
        let blocks = (0..=u8::MAX).map(|block| self.first_block.wrapping_add(block));
        let mut all = blocks.flat_map(|block| (1..255).map(move |host| Ipv4Addr::new(127, network, block, host)));
        let free = all.find(|address| !self.used.contains(address) && TcpListener::bind((*address, 0)).is_ok());
        let address = free.ok_or_else(|| Error::new(ErrorKind::OutOfCapacity, "no loopback address is free"))?;
        self.used.insert(address);
        Ok(address)
    }
}

/// Second and third byte of the first address; the second is never 0, where other programs live.
fn place(path: &Path) -> (u8, u8) {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in path.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    ((hash % 254 + 1) as u8, (hash >> 32) as u8)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Addresses, place};

    #[test]
    fn the_lowest_free_address_is_given_and_never_one_of_the_first_network() {
        let (network, first_block) = place(Path::new("/var/lib/reeve/local"));
        assert_ne!(network, 0);
        let mut addresses = Addresses {
            network,
            first_block,
            used: std::collections::HashSet::new(),
        };
        let first = addresses.lowest_free().expect("free");
        let second = addresses.lowest_free().expect("free");
        assert_eq!((first.octets()[3], second.octets()[3]), (1, 2));
        addresses.used.remove(&first);
        assert_eq!(addresses.lowest_free().expect("free"), first);
    }
}
