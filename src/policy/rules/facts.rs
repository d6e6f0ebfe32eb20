//! All that a decision may look at. No request, no body, no socket: evaluating facts can be repeated and explained.

use std::net::IpAddr;

use http::HeaderMap;

use crate::identity::{PathParams, PeerFacts, TokenFacts};

/// The facts of one request, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is asked.
    pub request: RequestFacts<'a>,
    /// The verified token, when one was presented. `None` means anonymous.
    pub token: Option<&'a TokenFacts>,
    /// The verified client certificate, when one was shown: the `device` and the `workload` of the rules.
    pub peer: Option<&'a PeerFacts>,
    /// Where from: the connection's address, or the one that a trusted proxy states.
    pub source: IpAddr,
}

/// The request line and the header fields.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The method, case-sensitive.
    pub method: &'a str,
    /// The host, lower case, without port and trailing dot.
    pub host: &'a str,
    /// The path exactly as it is forwarded.
    pub path: &'a str,
    /// The query exactly as it is forwarded, without `?`.
    pub query: Option<&'a str>,
    /// What the route's pattern matched.
    pub params: &'a PathParams,
    /// The header fields, without the credential.
    pub headers: &'a HeaderMap,
}
