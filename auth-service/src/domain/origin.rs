use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest `user-agent` that is kept, in bytes.
pub const MAX_USER_AGENT_BYTES: usize = 256;

/// Where a login came from, as far as it is kept: enough for a person to recognize it, not enough to follow them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    user_agent: String,
    ip_prefix: String,
}

impl Origin {
    /// The origin of a call with this `user-agent` from this address.
    #[must_use]
    pub fn new(user_agent: &str, address: Option<IpAddr>) -> Self {
        Self { user_agent: cut(user_agent), ip_prefix: address.map(prefix).unwrap_or_default() }
    }

    /// An origin as it was stored.
    #[must_use]
    pub const fn stored(user_agent: String, ip_prefix: String) -> Self {
        Self { user_agent, ip_prefix }
    }

    /// The `user-agent`, without control characters, cut at [`MAX_USER_AGENT_BYTES`].
    #[must_use]
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The network in CIDR form, an IPv4 /24 or an IPv6 /48; empty if unknown.
    #[must_use]
    pub fn ip_prefix(&self) -> &str {
        &self.ip_prefix
    }
}

fn cut(user_agent: &str) -> String {
    let mut kept: String = user_agent.chars().filter(|char| !char.is_control()).collect();
    kept.truncate(kept.floor_char_boundary(MAX_USER_AGENT_BYTES));
    kept
}

fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: &str) {
        assert_eq!(Origin::new("", address.parse().ok()).ip_prefix(), expected);
    }

    #[test]
    fn an_address_is_kept_as_its_network() {
        check("203.0.113.77", "203.0.113.0/24");
        check("::ffff:203.0.113.77", "203.0.113.0/24");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48");
        check("::1", "::/48");
        check("unknown", "");
    }

    #[test]
    fn a_user_agent_is_cut_at_256_bytes_between_characters() {
        assert_eq!(Origin::new(&"a".repeat(257), None).user_agent(), "a".repeat(256));
        assert_eq!(Origin::new(&format!("a{}", "é".repeat(200)), None).user_agent().len(), 255);
        assert_eq!(Origin::new("curl/8\r\n\u{1b}[31m", None).user_agent(), "curl/8[31m");
    }
}
