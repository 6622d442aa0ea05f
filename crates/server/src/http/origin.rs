//! From where a request may come: our own hosts, our own page.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, header};

/// The names by which this server may be called.
#[derive(Debug)]
pub(crate) struct Origins {
    names: Vec<String>,
    /// Any literal address is ours: the server listens on all of this machine's.
    any_address: bool,
    /// The page is served with TLS.
    pub(crate) tls: bool,
    /// Where it is served.
    pub(crate) port: u16,
}

impl Origins {
    /// Loopback names always; on an address that others reach also that address, this machine's name and what was configured.
    pub(crate) fn new(listen: SocketAddr, configured: &[String], tls: bool) -> Self {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"]
            .map(str::to_owned)
            .into();
        names.extend(configured.iter().map(|name| name.to_lowercase()));
        if !listen.ip().is_loopback() {
            if !listen.ip().is_unspecified() {
                names.push(match listen.ip() {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                });
            }
            let hostname = crate::capabilities::host().hostname.to_lowercase();
            if !hostname.is_empty() {
                names.push(hostname);
            }
        }
        Self {
            names,
            any_address: listen.ip().is_unspecified(),
            tls,
            port: listen.port(),
        }
    }

    /// The request names one of our hosts. A foreign name is another site that had its name lead here (DNS rebinding).
    /// On `0.0.0.0` any literal address is ours: such a page's origin cannot be rebound.
    pub(crate) fn host_is_ours(&self, headers: &HeaderMap) -> bool {
        let Some(host) = single(headers, &header::HOST) else {
            return false;
        };
        let name = host_name(host).to_lowercase();
        let literal = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok();
        self.names.contains(&name) || (literal && self.any_address)
    }

    /// The request comes from our own page, by every mark that a browser sets.
    pub(crate) fn is_same_site(&self, method: &Method, is_api: bool, headers: &HeaderMap) -> bool {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let upgrades = headers.contains_key(header::UPGRADE);
        let site = headers
            .get("sec-fetch-site")
            .map(|site| site.to_str().unwrap_or("?"));
        let site_is_fine = match site {
            None | Some("same-origin") => true,
            Some("none") => reads,
            // A link on another page may open the page, not the API.
            Some(_) => reads && !upgrades && !is_api,
        };
        if reads && !upgrades {
            return site_is_fine;
        }
        // A browser sends this header for a page of another site only after it asked us, and we never allow it.
        let is_program =
            headers.contains_key(header::AUTHORIZATION) && !headers.contains_key(header::ORIGIN);
        site_is_fine && (is_program || self.origin_is_ours(headers))
    }

    fn origin_is_ours(&self, headers: &HeaderMap) -> bool {
        let (Some(origin), Some(host)) = (
            single(headers, &header::ORIGIN),
            single(headers, &header::HOST),
        ) else {
            return false;
        };
        let scheme = if self.tls { "https://" } else { "http://" };
        origin
            .strip_prefix(scheme)
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }
}

/// A header that is there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(only), None) => only.to_str().ok(),
        _ => None,
    }
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.split(':').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn local() -> Origins {
        Origins::new(
            "127.0.0.1:8090".parse().unwrap(),
            &["box.lan".into()],
            false,
        )
    }

    #[test]
    fn only_our_own_names_are_hosts() {
        for host in ["localhost:8090", "127.0.0.1:8090", "[::1]:8090", "BOX.lan"] {
            assert!(local().host_is_ours(&headers(&[("host", host)])), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""] {
            assert!(!local().host_is_ours(&headers(&[("host", host)])), "{host}");
        }
        assert!(!local().host_is_ours(&headers(&[])));
        assert!(!local().host_is_ours(&headers(&[("host", "localhost"), ("host", "localhost")])));
    }

    #[test]
    fn a_literal_address_is_a_host_only_where_all_are_listened_on() {
        let all = Origins::new("0.0.0.0:8090".parse().unwrap(), &[], false);
        let one = Origins::new("10.0.0.5:8090".parse().unwrap(), &[], true);
        let host = |name: &'static str| headers(&[("host", name)]);
        assert!(
            all.host_is_ours(&host("192.168.1.9:8090"))
                && all.host_is_ours(&host("[fd00::1]:8090"))
        );
        assert!(
            one.host_is_ours(&host("10.0.0.5:8090")) && !one.host_is_ours(&host("10.0.0.6:8090"))
        );
        assert!(!all.host_is_ours(&host("evil.example:8090")));
    }

    proptest::proptest! {
        #[test]
        fn no_other_name_is_ever_a_host_and_no_other_origin_ours(
            host in "[a-z0-9.:\\[\\]@/-]{0,24}",
            before in "[a-z0-9.-]{0,6}",
            after in "[a-z0-9.@/-]{0,6}",
        ) {
            let one = |text: &str| {
                let mut headers = HeaderMap::new();
                headers.insert(header::HOST, text.parse().unwrap());
                headers
            };
            let name = host.split(':').next().unwrap_or_default().to_owned();
            let ours = ["localhost", "127.0.0.1", "box.lan"].contains(&name.as_str()) || host.starts_with("[::1]");
            proptest::prop_assert_eq!(local().host_is_ours(&one(&host)), ours);
            let mut headers = one("127.0.0.1:8090");
            let origin = format!("{before}http://127.0.0.1:8090{after}");
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            let fine = local().is_same_site(&Method::POST, true, &headers);
            proptest::prop_assert_eq!(fine, before.is_empty() && after.is_empty());
        }
    }

    #[test]
    fn writes_and_upgrades_need_our_own_origin() {
        let host = ("host", "127.0.0.1:8090");
        let own = ("origin", "http://127.0.0.1:8090");
        let post = |pairs: &[_]| local().is_same_site(&Method::POST, true, &headers(pairs));
        assert!(post(&[host, own]));
        assert!(post(&[host, own, ("sec-fetch-site", "same-origin")]));
        for bad in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "https://127.0.0.1:8090")],
            &[host, ("origin", "http://127.0.0.1:9")],
            &[host, own, ("sec-fetch-site", "cross-site")],
            &[host, own, ("sec-fetch-site", "none")],
            &[host, own, own],
        ] {
            assert!(!post(bad), "{bad:?}");
        }
        let bearer = ("authorization", "Bearer cos_x");
        assert!(post(&[host, bearer]) && post(&[host, bearer, own]));
        assert!(!post(&[host, bearer, ("origin", "http://evil.example")]));
        assert!(!post(&[host, bearer, ("sec-fetch-site", "cross-site")]));
        let get = |pairs: &[_]| local().is_same_site(&Method::GET, true, &headers(pairs));
        assert!(get(&[host]) && get(&[host, ("sec-fetch-site", "none")]));
        assert!(!get(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!get(&[host, ("upgrade", "websocket")]));
        assert!(!get(&[host, ("upgrade", "websocket"), ("origin", "null")]));
        assert!(get(&[host, own, ("upgrade", "websocket")]));
    }
}
