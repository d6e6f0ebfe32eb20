//! WebSocket (RFC 6455): an HTTP/1.1 upgrade, or an HTTP/2 extended CONNECT (RFC 8441) that is bridged to one.
//!
//! Nothing of what the client sends after its request reaches the service before the service has answered 101 with the
//! proof that it understood (RUSTSEC-2026-0033). The connection is its own: never from a pool, never back to one.

use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Extensions, HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use tokio::sync::oneshot;

use super::body::Body;
use super::error::ForwardError;
use super::headers;
use super::pool::Hold;
use super::settings::Settings;
use super::tunnel::Tunnel;
use crate::lease::{Ended, Lease};
use crate::request;

/// RFC 6455 section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client's wish to speak WebSocket.
pub(super) struct Upgrade {
    client: OnUpgrade,
    key: HeaderValue,
    /// The client speaks HTTP/2: the service is asked in HTTP/1.1 on its behalf.
    bridged: bool,
    /// What else came with the request: whoever put it there counts on it for as long as the tunnel lives.
    along: Extensions,
}

impl Upgrade {
    /// Reads the wish out of a request's head; every other upgrade is no wish, and its fields go with the hop-by-hop ones.
    pub(super) fn asked(parts: &mut http::request::Parts, body: &request::Body) -> Result<Option<Self>, ForwardError> {
        if parts.method == Method::CONNECT {
            let websocket = parts.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
            let client = parts.extensions.remove::<OnUpgrade>().filter(|_| websocket);
            let client = client.ok_or(ForwardError::UpgradeUnsupported)?;
            let along = std::mem::take(&mut parts.extensions);
            return Ok(Some(Self { client, key: random_key()?, bridged: true, along }));
        }
        // The library has looked for an upgrade already: most requests have none.
        let wished = parts.extensions.get::<OnUpgrade>().is_some()
            && parts.method == Method::GET
            && has_token(&parts.headers, CONNECTION, b"upgrade")
            && has_token(&parts.headers, UPGRADE, b"websocket")
            && http_body::Body::is_end_stream(body);
        if !wished {
            return Ok(None);
        }
        let Some(key) = parts.headers.get(SEC_WEBSOCKET_KEY).cloned() else { return Ok(None) };
        let Some(client) = parts.extensions.remove::<OnUpgrade>() else { return Ok(None) };
        let along = std::mem::take(&mut parts.extensions);
        Ok(Some(Self { client, key, bridged: false, along }))
    }

    /// Puts the wish into the request for the service.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_KEY, self.key.clone());
    }

    /// The service has answered 101: checks that it means it, answers the client and starts the tunnel.
    pub(super) fn granted(
        self,
        mut response: Response<Incoming>,
        hold: Hold,
        settings: &Settings,
        lease: Rc<Lease>,
        endpoint: &Arc<str>,
    ) -> Result<(Response<Body>, oneshot::Receiver<Ended>), ForwardError> {
        let proof = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if !has_token(response.headers(), UPGRADE, b"websocket") || proof != Some(self.accept().as_bytes()) {
            let detail = "a 101 without the proof that it speaks WebSocket".into();
            return Err(ForwardError::Protocol { endpoint: endpoint.clone(), detail });
        }
        let service = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        headers::answer(&mut parts.headers, &settings.response_headers);
        parts.extensions.clear();
        if self.bridged {
            parts.status = StatusCode::OK;
            parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
        } else {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        let (told, tunnel) = oneshot::channel();
        let (client, along, idle) = (self.client, self.along, settings.timeouts.tunnel_idle);
        let work = Tunnel { client, service, hold, lease, idle, along };
        tokio::task::spawn_local(async move {
            // Nobody listening means that nobody wants to know.
            let _ = told.send(work.run().await);
        });
        Ok((Response::from_parts(parts, Body::default()), tunnel))
    }

    fn accept(&self) -> String {
        let text = [self.key.as_bytes(), ACCEPT_SUFFIX].concat();
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
    }
}

fn random_key() -> Result<HeaderValue, ForwardError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ForwardError::UpgradeUnsupported)?;
    HeaderValue::try_from(STANDARD.encode(bytes)).map_err(|_| ForwardError::UpgradeUnsupported)
}

fn has_token(headers: &HeaderMap, name: http::HeaderName, wanted: &[u8]) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(wanted))
    })
}
