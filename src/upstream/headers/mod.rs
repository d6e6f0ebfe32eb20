//! The journey of the header fields, in one order that is the whole defence: first what belongs to the client's
//! connection goes, then what only the gateway may say, then the configured rules apply, and last the gateway sets its
//! own. `Connection: X-Auth-User` (GHSA-w9mr-28mw-j8hg) therefore removes the client's field and never ours.

mod identity;
mod names;
mod origin;
mod reserved;

use http::header::{AUTHORIZATION, TE};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) use self::identity::LONGEST;
pub(super) use self::origin::Origin;
pub use self::reserved::is_owned;
pub(super) use self::reserved::{Reserved, strip_response, strip_response_trailers};
use super::assertion::Speaker;
use super::error::ForwardError;
use super::settings::{HeaderRules, Settings};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// What a request's head is made from.
pub(super) struct Journey<'a> {
    pub(super) settings: &'a Settings,
    pub(super) reserved: &'a Reserved,
    pub(super) origin: Origin<'a>,
    /// Who asks.
    pub(super) speaker: Speaker<'a>,
    /// `Authorization` of the service's own.
    pub(super) authorization: Option<HeaderValue>,
    /// `authorization = "pass"` on the route.
    pub(super) pass_authorization: bool,
    /// Header fields that rules set or remove: none of them is a client's, in any spelling.
    pub(super) owned: &'a [HeaderName],
    /// Header fields that the rule that allowed sets.
    pub(super) granted: Vec<(HeaderName, HeaderValue)>,
}

impl Journey<'_> {
    /// Makes the client's header fields the service's.
    pub(super) fn walk(self, headers: &mut HeaderMap) -> Result<(), ForwardError> {
        // A service that has tokens of its own never sees a client's.
        let passes = self.pass_authorization && self.settings.token_exchange.is_none();
        let withheld = if passes { &[][..] } else { &[AUTHORIZATION, DPOP] };
        let takes_trailers = self.reserved.strip(headers, self.owned, withheld);
        apply(&self.settings.request_headers, headers);
        headers.extend(self.granted);
        origin::set(headers, self.settings.origin, self.origin);
        identity::set(headers, &self.settings.identity, &self.speaker)?;
        if let Some(authorization) = self.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        if takes_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(())
    }
}

/// Makes the service's header fields the client's.
pub(super) fn answer(headers: &mut HeaderMap, rules: &HeaderRules) {
    strip_response(headers);
    apply(rules, headers);
}

fn apply(rules: &HeaderRules, headers: &mut HeaderMap) {
    for name in &rules.remove {
        headers.remove(name);
    }
    for (name, value) in &rules.set {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &rules.add {
        headers.append(name.clone(), value.clone());
    }
}
