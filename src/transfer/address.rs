//! Which addresses a download may connect to.
//!
//! The URL of a transfer comes from whoever proposes a deal, so it must not reach what only this box can reach: the
//! router, the miner, the chain node. The check is on the address that is connected to, not on the name (the reference
//! looks at literal addresses only, spec boost-mk12 11 #23), so a name that resolves differently later gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks of the IANA special-purpose registry (RFC 6890 and later) that are not globally reachable, and multicast.
const CLOSED_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),           // "this network", unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, cloud metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// Blocks inside 2000::/3 that are not open either. Everything outside 2000::/3 is closed already, except NAT64.
const CLOSED_V6: [(Ipv6Addr, u32); 4] = [
    // Protocol assignments: Teredo, benchmarking, ORCHID and the like.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16),      // the old 6bone
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),      // documentation
];

/// The global unicast block: the only one that is assigned to the public internet.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// The well-known NAT64 prefix (RFC 6052): the last 32 bits are the IPv4 address that is really reached.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
/// 6to4 (RFC 3056): bits 16 to 48 are the IPv4 address that is really reached.
const SIX_TO_FOUR: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);

/// Whether this is an address on the public internet.
///
/// Private, shared, loopback, link-local, unique-local, multicast, unspecified, documentation and reserved addresses are
/// not, and neither are the IPv6 forms that lead to such an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !CLOSED_V4.iter().any(|&(block, bits)| {
        starts_with(address.to_bits().into(), block.to_bits().into(), bits, 32)
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let within = |(block, length): (Ipv6Addr, u32)| starts_with(bits, block.to_bits(), length, 128);
    if let Some(v4) = address.to_ipv4_mapped() {
        // The operating system connects to the IPv4 address itself.
        return is_public_v4(v4);
    }
    if within(NAT64) {
        return is_public_v4(low_32(bits));
    }
    if within(SIX_TO_FOUR) {
        return is_public_v4(low_32(bits >> 80));
    }
    within(GLOBAL_V6) && !CLOSED_V6.into_iter().any(within)
}

/// The IPv4 address in the last 32 bits.
fn low_32(bits: u128) -> Ipv4Addr {
    let [.., a, b, c, d] = bits.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// Whether the first `length` of `width` bits agree.
fn starts_with(address: u128, block: u128, length: u32, width: u32) -> bool {
    let rest = width.saturating_sub(length);
    (address ^ block).checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, public: bool) {
        assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
    }

    #[test]
    fn v4_blocks_are_closed_to_their_last_address() {
        for (first, last, after) in [
            ("0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.114.0"),
        ] {
            check(first, false);
            check(last, false);
            check(after, true);
        }
        for closed in [
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            check(closed, false);
        }
        for open in [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "172.15.255.255",
            "223.255.255.255",
        ] {
            check(open, true);
        }
    }

    #[test]
    fn v6_is_open_in_the_global_block_only() {
        for open in [
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a01::1",
            "2001:200::1",
            "3ffd::1",
        ] {
            check(open, true);
        }
        for closed in [
            "::",
            "::1",
            "::2",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "1fff::1",
            "64:ff9b:1::1",
        ] {
            check(closed, false);
        }
    }

    #[test]
    fn v6_forms_of_v4_addresses_are_judged_by_what_they_reach() {
        for (form, public) in [
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.1.2.3", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:8.8.8.8", true),
            ("::127.0.0.1", false),
            ("::8.8.8.8", false),
            ("64:ff9b::127.0.0.1", false),
            ("64:ff9b::192.168.1.1", false),
            ("64:ff9b::8.8.8.8", true),
            ("2002:7f00:1::", false),
            ("2002:c0a8:101::1", false),
            ("2002:808:808::1", true),
        ] {
            check(form, public);
        }
    }
}
