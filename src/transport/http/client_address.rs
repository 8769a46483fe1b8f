//! The address of the client. Behind a proxy the TCP peer is the proxy, and `X-Forwarded-For` names the client. But
//! every client can send that header, so it is trusted only if the peer is one of `TRUSTED_PROXIES`, and only the
//! addresses that a trusted proxy added count.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use crate::config::Settings;
use crate::transport::http::listener::Peer;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, determined once per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Stores the address in the request's extensions before any other code sees the request.
pub async fn note(State(settings): State<Arc<Settings>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.address.ip());
    if let Some(peer) = peer {
        let address = client_address(peer, request.headers(), &settings.rates.trusted_proxies);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// Returns the stored address.
pub fn noted(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().map(|it| it.0)
}

/// Returns the peer's address or, if the peer is a trusted proxy, the right-most address of `X-Forwarded-For` that is
/// not a trusted proxy. Each proxy appends the address that it received the request from, so everything left of that
/// address is unverified. If an entry is not an address, the header is ignored and the peer's address is returned.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    let mut nearest = peer;
    for hop in hops.filter(|hop| !hop.trim().is_empty()) {
        let Some(address) = parse(hop) else { return peer };
        if !is_trusted(&address) {
            return address;
        }
        // The client may be in the proxies' own network.
        nearest = address;
    }
    nearest
}

/// Parses an address as proxies write it: bare, with a port, in brackets, or quoted.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn seen(peer: &str, lines: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).expect("a header"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().expect("a network")).collect();
        client_address(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "2001:db8:aa::/48"];

    #[test]
    fn the_header_of_a_stranger_is_not_believed() {
        assert_eq!(seen("203.0.113.9", &["192.0.2.1"], &PROXIES), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1"], &[]), "10.0.0.1");
        assert_eq!(seen("127.0.0.1", &["192.0.2.1"], &PROXIES), "127.0.0.1");
    }

    #[test]
    fn of_a_proxys_header_only_what_proxies_added_counts() {
        assert_eq!(seen("10.0.0.1", &["192.0.2.1"], &PROXIES), "192.0.2.1");
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.7, 192.0.2.1"], &PROXIES),
            "192.0.2.1",
            "a client's own claim"
        );
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, 192.0.2.1, 10.0.0.2,10.9.9.9"], &PROXIES), "192.0.2.1");
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.7", "192.0.2.1", "10.0.0.2"], &PROXIES),
            "192.0.2.1",
            "lines join"
        );
        assert_eq!(
            seen("10.0.0.1", &["10.0.0.5, 10.0.0.2"], &PROXIES),
            "10.0.0.5",
            "a client beside the proxies"
        );
        assert_eq!(seen("2001:db8:aa::1", &["2001:db8:bb::7"], &PROXIES), "2001:db8:bb::7");
        assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], &PROXIES), "192.0.2.1", "mapped addresses");
    }

    #[test]
    fn addresses_come_with_ports_brackets_and_quotes() {
        for (hop, address) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(seen("10.0.0.1", &[hop], &PROXIES), address, "{hop}");
        }
    }

    #[test]
    fn garbage_leaves_the_peers_address() {
        for garbage in
            ["unknown", "192.0.2.1, nonsense", "192.0.2", "1.2.3.4.5", "::g", "\u{e9}", "_hidden", "[", ""]
        {
            assert_eq!(seen("10.0.0.1", &[garbage], &PROXIES), "10.0.0.1", "{garbage}");
        }
        assert_eq!(seen("10.0.0.1", &[], &PROXIES), "10.0.0.1");
    }
}
