//! Settings for rate limits and trusted proxies.

use std::time::Duration;

use ipnet::IpNet;

use super::Environment;
use super::reader::{BadSetting, Reader};

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens added per period.
    pub count: u32,
    /// The period.
    pub period: Duration,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

/// All rate limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Whether they apply.
    pub on: bool,
    /// Logins per account and per address.
    pub login: Rate,
    /// Registrations, per address.
    pub register: Rate,
    /// Mails caused by requests, per account and per address.
    pub mail: Rate,
    /// `send_message`, per user.
    pub send: Rate,
    /// All other events, per user.
    pub event: Rate,
    /// Photos and files, per user or address.
    pub upload: Rate,
    /// REST requests that only read, per user.
    pub read: Rate,
    /// Maximum number of connections per user.
    pub user_sockets: usize,
    /// Maximum number of connections per address.
    pub address_sockets: usize,
    /// Maximum number of unauthenticated connections per address.
    pub pending_sockets: usize,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
}

pub(super) fn read(r: &mut Reader<'_>, environment: Environment) -> Result<Rates, BadSetting> {
    let on = r
        .optional_flag("RATE_LIMIT", "whether the limits below apply [on in dev and prod]")?
        .unwrap_or(matches!(environment, Environment::Dev | Environment::Prod));
    let mut rate = |name, default, meaning| {
        r.read(name, default, meaning, "COUNT/s, /min or /h, optionally with a burst, such as 20/s:60", parse)
    };
    let login = rate("RATE_LOGIN", "10/min", "logins per account and per address")?;
    let register = rate("RATE_REGISTER", "30/h", "registrations per address")?;
    let mail = rate(
        "RATE_MAIL",
        "5/h",
        "mails caused by requests, per account and per address; and by registrations, per account",
    )?;
    let send = rate("RATE_SEND", "20/s:60", "messages per user")?;
    let event = rate("RATE_EVENT", "50/s", "all other events per user")?;
    let upload = rate("RATE_UPLOAD", "60/min", "uploads per user, or per address before login")?;
    let read = rate("RATE_READ", "50/s:300", "REST requests that only read, per user")?;
    let user_sockets = r.number("MAX_SOCKETS_PER_USER", 100, "most connections of one user", 1, 1_000_000)?;
    let address_sockets =
        r.number("MAX_SOCKETS_PER_ADDRESS", 2_000, "most connections of one address", 1, 1_000_000)?;
    let pending_sockets = r.number(
        "MAX_PENDING_SOCKETS",
        100,
        "most connections of one address that have not authenticated",
        1,
        1_000_000,
    )?;
    let trusted_proxies = r.read(
        "TRUSTED_PROXIES",
        "",
        "comma-separated addresses and networks of proxies whose X-Forwarded-For is trusted",
        "a comma-separated list such as 10.0.0.0/8, 192.168.1.7",
        |value| {
            value
                .split(',')
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(|it| it.parse().ok().or_else(|| it.parse::<std::net::IpAddr>().ok().map(IpNet::from)))
                .collect()
        },
    )?;
    Ok(Rates {
        on,
        login,
        register,
        mail,
        send,
        event,
        upload,
        read,
        user_sockets,
        address_sockets,
        pending_sockets,
        trusted_proxies,
    })
}

/// Parses `20/s:60`: 20 per second with a burst of 60. Without a burst, the burst is the count.
fn parse(text: &str) -> Option<Rate> {
    let (rate, burst) = match text.split_once(':') {
        Some((rate, burst)) => (rate, Some(burst.trim().parse().ok()?)),
        None => (text, None),
    };
    let (count, unit) = rate.split_once('/')?;
    let count: u32 = count.trim().parse().ok()?;
    let period = match unit.trim() {
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    let burst = burst.unwrap_or(count);
    let fits = |number: u32| (1..=1_000_000).contains(&number);
    (fits(count) && fits(burst)).then_some(Rate { count, period, burst })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_count_a_period_and_a_burst() {
        let rate = |count, secs, burst| Some(Rate { count, period: Duration::from_secs(secs), burst });
        assert_eq!(parse("20/s:60"), rate(20, 1, 60));
        assert_eq!(parse("10/min"), rate(10, 60, 10));
        assert_eq!(parse(" 5 / h : 1 "), rate(5, 3_600, 1));
        for wrong in ["", "5", "5/d", "0/s", "5/s:0", "-1/s", "x/s", "5/s:x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
