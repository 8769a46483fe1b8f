//! The keys that tokens are counted for. Every key is small and has the same size, so that long input from an attacker
//! costs no memory, and the text of an account is not stored.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use crate::ids::UserId;

/// Whom tokens are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A registered user, by id.
    User(UserId),
    /// An address, or the network of one customer (IPv6: /64).
    Network(u128),
    /// An account name as entered, whether or not the account exists.
    Account(u128),
    /// An account and the network that the attempt came from.
    Pair(u128),
    /// Shared by all addresses and account names with the same number, if there are too many to count each.
    Crowd(u16),
}

impl Key {
    /// Returns the key of a user.
    pub fn user(id: UserId) -> Self {
        Self::User(id)
    }

    /// Returns the key of an address. Without an address, which does not happen for clients, all share one key.
    pub fn address(address: Option<IpAddr>) -> Self {
        Self::Network(match address.map(|it| it.to_canonical()) {
            None => 0,
            Some(IpAddr::V4(address)) => u128::from(address.to_ipv6_mapped()),
            Some(IpAddr::V6(address)) => u128::from(address) >> 64 << 64,
        })
    }

    /// Returns the key of an account as entered into a login form: a phone number, an e-mail address or a username.
    /// Equivalent spellings have the same key.
    pub fn account(text: &str) -> Self {
        let text = text.trim().to_lowercase();
        let phone = |c: char| c.is_ascii_digit() || "+-() ".contains(c);
        let text = if text.chars().all(phone) {
            text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
        } else {
            text
        };
        Self::Account(digest(&[text.as_bytes()]))
    }

    /// Returns the key of an account, registered or as entered, together with a network.
    pub fn pair(account: Self, network: Self) -> Self {
        Self::Pair(digest(&[account.name().as_bytes(), network.name().as_bytes()]))
    }

    /// Returns the name of the key for storage outside of this process.
    pub fn name(&self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::Network(bits) => format!("network:{bits:032x}"),
            Self::Account(digest) => format!("account:{digest:032x}"),
            Self::Pair(digest) => format!("pair:{digest:032x}"),
            Self::Crowd(number) => format!("crowd:{number}"),
        }
    }

    /// Returns the shared key that this key falls into; users never share one.
    pub(super) fn crowd(self) -> Self {
        match self {
            Self::Network(bits) => {
                let mixed = ((bits >> 64) as u64 ^ bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                Self::Crowd((mixed >> 48) as u16)
            }
            Self::Account(bits) | Self::Pair(bits) => Self::Crowd(bits as u16),
            other => other,
        }
    }
}

/// Returns 128 bits of SHA-256: the same on every node, and an attacker cannot construct a collision.
fn digest(parts: &[&[u8]]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Key {
        Key::address(Some(text.parse().expect("an address")))
    }

    #[test]
    fn ipv6_counts_by_the_network_of_one_customer_and_ipv4_by_the_address() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"), "one client, two spellings");
        assert_ne!(address("192.0.2.1"), Key::address(None));
    }

    #[test]
    fn spellings_of_one_account_are_one_key() {
        for (one, other) in
            [("alice", " Alice "), ("A@Example.org", "a@example.ORG"), ("+7 (912) 000-11", "+791200011")]
        {
            assert_eq!(Key::account(one), Key::account(other), "{one} {other}");
        }
        for (one, other) in [("alice", "bob"), ("7912", "+7912"), ("a b", "ab"), ("", "x")] {
            assert_ne!(Key::account(one), Key::account(other), "{one} {other}");
        }
        assert_ne!(
            Key::pair(Key::account("a"), address("::1")),
            Key::pair(Key::account("b"), address("::1"))
        );
    }

    #[test]
    fn strangers_share_at_most_so_many_crowds_and_users_none() {
        assert!(matches!(address("192.0.2.1").crowd(), Key::Crowd(_)));
        assert_ne!(address("192.0.2.1").crowd(), address("192.0.2.2").crowd());
        assert_eq!(Key::user(UserId(1)).crowd(), Key::user(UserId(1)));
    }
}
