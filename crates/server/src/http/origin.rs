//! Who is asking: keeps other web sites from using a server through a visitor's browser.
//!
//! A page of another site can make a browser send forms to a server on the visitor's machine (cross-site request
//! forgery), or make its own name resolve to it and read the answers (DNS rebinding). A browser says in `Origin` which site
//! asks and in `Host` which name it used. What is open to anyone on this machine only is given out only under its local
//! names; what needs a key, or is public on purpose, is safe under any.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Failure};

/// Refuses requests that another site's page sent, and foreign names of a server that is open to this machine only.
pub(crate) async fn check_origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let any_name = app.keys.protects_reading() || app.public && app.keys.protects_writing();
    let local_only = app.address.ip().is_loopback() && !any_name;
    match check(request.method(), request.headers(), local_only) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn check(method: &Method, headers: &HeaderMap, local_only: bool) -> Result<(), Failure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST);
    if local_only && !host.is_none_or(is_local) {
        return Err(Failure::foreign_host());
    }
    let origin = headers.contains_key(ORIGIN).then(|| text(ORIGIN).unwrap_or_default());
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match (origin, host) {
        (Some(origin), Some(host)) if changes && !is_same(origin, host) => Err(Failure::foreign_origin()),
        (Some(_), None) if changes => Err(Failure::foreign_origin()),
        _ => Ok(()),
    }
}

/// `http://HOST` or `https://HOST`.
fn is_same(origin: &str, host: &str) -> bool {
    let after_scheme = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    after_scheme.is_some_and(|name| name.eq_ignore_ascii_case(host))
}

/// A name of this machine, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(method: Method, host: &str, origin: Option<&str>, local_only: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        check(&method, &headers, local_only).is_ok()
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let own = "localhost:7878";
        assert!(allowed(Method::POST, own, None, true), "a program, not a page");
        assert!(allowed(Method::POST, own, Some("http://localhost:7878"), true));
        assert!(!allowed(Method::POST, own, Some("http://localhost:9999"), true));
        assert!(!allowed(Method::POST, own, Some("https://evil.example"), true));
        assert!(!allowed(Method::DELETE, own, Some("null"), false));
        assert!(allowed(Method::GET, own, Some("https://evil.example"), true), "it cannot read the answer");
    }

    #[test]
    fn a_local_server_answers_only_to_local_names() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:80", true),
            ("127.0.0.1:7878", true),
            ("[::1]:7878", true),
            ("rebound.example:7878", false),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(allowed(Method::GET, host, None, true), expected, "{host}");
            assert!(allowed(Method::GET, host, None, false), "behind keys any name will do: {host}");
        }
    }
}
