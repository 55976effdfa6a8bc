//! Addresses of the network interfaces, asked from the kernel over route netlink.
//!
//! The standard library cannot list them and `/proc` tells those of IPv6 only. The question and the answer are a
//! few fixed-size records, so they are written and read here, byte by byte and without `unsafe`, rather than by a
//! further dependency. Names of the interfaces are the caller's business.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_socket_timeout;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// `nlmsghdr`: length, type, flags, sequence, port.
const HEADER_BYTES: usize = 16;
/// `ifaddrmsg`: family, prefix length, flags, scope, interface index.
const RECORD_BYTES: usize = 8;
const TYPE_ERROR: u16 = 2;
const TYPE_DONE: u16 = 3;
const TYPE_NEW_ADDRESS: u16 = 20;
const TYPE_GET_ADDRESS: u16 = 22;
/// Request, and all of them.
const FLAGS_DUMP: u16 = 0x1 | 0x300;
/// The address itself; on point-to-point links that of the other end.
const ATTRIBUTE_ADDRESS: u16 = 1;
/// The address of this end.
const ATTRIBUTE_LOCAL: u16 = 2;

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Index of the interface.
    pub(super) interface: u32,
    /// The address.
    pub(super) ip: IpAddr,
    /// Length of the network prefix, bits.
    pub(super) prefix: u8,
}

/// All addresses of this machine's interfaces.
pub(super) fn list() -> io::Result<Vec<Address>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(
        &socket,
        rustix::net::sockopt::Timeout::Recv,
        Some(std::time::Duration::from_secs(1)),
    )?;
    sendto(&socket, &question(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut found = Vec::new();
    let mut buffer = vec![0u8; 32 << 10];
    loop {
        let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if length == 0 || parse(&buffer[..length], &mut found)? {
            return Ok(found);
        }
    }
}

fn question() -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + RECORD_BYTES).expect("a small constant");
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(TYPE_GET_ADDRESS.to_ne_bytes());
    bytes.extend(FLAGS_DUMP.to_ne_bytes());
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend([0; RECORD_BYTES]);
    bytes
}

/// Reads one packet; true when it was the last.
fn parse(mut packet: &[u8], found: &mut Vec<Address>) -> io::Result<bool> {
    while packet.len() >= HEADER_BYTES {
        let length = usize::try_from(word(packet, 0)).unwrap_or(0);
        let message = packet.get(HEADER_BYTES..length).ok_or(io::ErrorKind::InvalidData)?;
        match half(packet, 4) {
            TYPE_DONE => return Ok(true),
            TYPE_ERROR => return Err(io::ErrorKind::Other.into()),
            TYPE_NEW_ADDRESS => found.extend(parse_address(message)),
            _ => {}
        }
        packet = packet.get(aligned(length)..).unwrap_or_default();
    }
    Ok(false)
}

fn parse_address(message: &[u8]) -> Option<Address> {
    let mut attributes = message.get(RECORD_BYTES..)?;
    let (prefix, interface) = (message[1], word(message, 4));
    let (mut address, mut local) = (None, None);
    while attributes.len() >= 4 {
        let length = usize::from(half(attributes, 0));
        let value = attributes.get(4..length)?;
        match half(attributes, 2) {
            ATTRIBUTE_ADDRESS => address = parse_ip(value),
            ATTRIBUTE_LOCAL => local = parse_ip(value),
            _ => {}
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Some(Address {
        interface,
        ip: local.or(address)?,
        prefix,
    })
}

fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))))
        .ok()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u16::from_ne_bytes)
}

/// Netlink pads everything to four bytes.
fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_its_address() {
        let found = list().expect("ask the kernel for addresses");
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(
            found
                .iter()
                .any(|address| address.ip == loopback && address.prefix == 8),
            "{found:?}"
        );
    }

    #[test]
    fn a_packet_that_lies_about_its_length_is_refused() {
        let mut packet = question();
        packet[0] = 200;
        assert!(parse(&packet, &mut Vec::new()).is_err());
    }
}
