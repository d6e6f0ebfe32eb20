//! `WWW-Authenticate`: RFC 6750 section 3, RFC 9449 section 7.1, RFC 9470 section 3, RFC 9728 section 5.1.

use std::fmt::Write;
use std::time::Duration;

use http::HeaderValue;

use crate::authn::DPOP_ALGORITHMS;
use crate::identity::Reason;

/// A challenge being written.
#[derive(Debug)]
pub(super) struct Challenge {
    scheme: &'static str,
    parameters: Vec<(&'static str, String)>,
}

impl Challenge {
    /// Says only that a bearer token is wanted: nothing was wrong with one (RFC 6750 section 3.1).
    pub(super) const fn plain() -> Self {
        Self { scheme: "Bearer", parameters: Vec::new() }
    }

    /// Names the error of a bearer token.
    pub(super) fn error(code: &str) -> Self {
        Self { scheme: "Bearer", parameters: vec![("error", code.into())] }
    }

    /// Names the error of a DPoP proof.
    pub(super) fn dpop(code: &str) -> Self {
        let algorithms = DPOP_ALGORITHMS.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" ");
        Self { scheme: "DPoP", parameters: vec![("error", code.into()), ("algs", algorithms)] }
    }

    /// Adds the scopes that would do.
    pub(super) fn scopes(mut self, scopes: &[Box<str>]) -> Self {
        if !scopes.is_empty() {
            self.parameters.push(("scope", scopes.join(" ")));
        }
        self
    }

    /// Adds the sign-in that would do.
    pub(super) fn step_up(mut self, acr: &[Box<str>], max_age: Option<Duration>) -> Self {
        if !acr.is_empty() {
            self.parameters.push(("acr_values", acr.join(" ")));
        }
        if let Some(max_age) = max_age {
            self.parameters.push(("max_age", max_age.as_secs().to_string()));
        }
        self
    }

    /// Adds the sentence of `reason`, when there is an error to describe, and where the metadata of the resource is.
    pub(super) fn about(mut self, reason: Reason, authority: Option<&str>) -> Self {
        if !self.parameters.is_empty() {
            self.parameters.push(("error_description", reason.summary().trim_end_matches('.').into()));
        }
        if let Some(authority) = authority {
            let metadata = format!("https://{authority}/.well-known/oauth-protected-resource");
            self.parameters.push(("resource_metadata", metadata));
        }
        self
    }

    /// The field's value. A parameter that cannot stand in a quoted string is left out.
    pub(super) fn render(&self) -> Option<HeaderValue> {
        let mut text = String::from(self.scheme);
        let mut separator = ' ';
        for (name, value) in &self.parameters {
            if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
                let _ = write!(text, "{separator}{}{name}=\"{value}\"", if separator == ',' { " " } else { "" });
                separator = ',';
            }
        }
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Challenge, Reason};

    #[test]
    fn challenges_have_the_form_that_their_rfcs_show() {
        let shown = |challenge: Challenge| challenge.render().unwrap().to_str().unwrap().to_owned();
        assert_eq!(shown(Challenge::plain()), "Bearer");
        assert_eq!(
            shown(Challenge::plain().about(Reason::CredentialMissing, Some("a.example"))),
            "Bearer resource_metadata=\"https://a.example/.well-known/oauth-protected-resource\""
        );
        assert_eq!(
            shown(Challenge::error("insufficient_scope").scopes(&["a".into(), "b:c".into()])),
            "Bearer error=\"insufficient_scope\", scope=\"a b:c\""
        );
        let step_up = Challenge::error("insufficient_user_authentication");
        assert_eq!(
            shown(step_up.step_up(&["mfa".into()], Some(Duration::from_secs(300)))),
            "Bearer error=\"insufficient_user_authentication\", acr_values=\"mfa\", max_age=\"300\""
        );
    }

    #[test]
    fn what_cannot_be_quoted_is_left_out() {
        let challenge = Challenge::error("invalid_token").scopes(&["a\"b".into()]);
        assert_eq!(challenge.render().unwrap(), "Bearer error=\"invalid_token\"");
    }
}
