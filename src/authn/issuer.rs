//! One issuer: its rules and its keys.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::runtime::Handle;

use super::error::AuthnError;
use super::jwks::{Asked, KeySource};
use super::jwt::{self, Compact, Wanted};
use super::settings::IssuerSettings;
use super::status::SourceState;
use crate::identity::TokenFacts;
use crate::telemetry::Clock;

/// Verifies the tokens of one issuer.
#[derive(Clone, Debug)]
pub(super) struct IssuerVerifier {
    settings: Arc<IssuerSettings>,
    keys: Arc<KeySource>,
}

/// A token of the issuer.
pub(super) struct VerifiedJwt {
    pub(super) facts: TokenFacts,
    pub(super) not_before: Option<Timestamp>,
    /// The generation of the keys that verified it.
    pub(super) keys: u64,
}

impl IssuerVerifier {
    /// Opens the issuer, with the keys of a predecessor where they fit.
    pub(super) fn open(
        settings: &IssuerSettings,
        keys: Option<Arc<KeySource>>,
        control: &Handle,
        clock: &Clock,
    ) -> Result<Self, String> {
        let open = || KeySource::open(&settings.keys, &settings.algorithms, control, clock).map(Arc::new);
        let keys = keys.map_or_else(open, Ok).map_err(|error| error.to_string())?;
        Ok(Self { settings: Arc::new(settings.clone()), keys })
    }

    pub(super) fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// Its keys, where another issuer's settings would fetch the same ones.
    pub(super) fn keys_for(&self, other: &IssuerSettings) -> Option<Arc<KeySource>> {
        let same = self.settings.keys == other.keys && self.settings.algorithms == other.algorithms;
        same.then(|| self.keys.clone())
    }

    /// Verifies a token that claims to be this issuer's. Waits only where its key is not known.
    pub(super) async fn verify(
        &self,
        token: Compact<'_>,
        now: Timestamp,
        clock: &Clock,
    ) -> Result<VerifiedJwt, AuthnError> {
        let wanted = jwt::check_header(&token, &self.settings)?;
        let (keys, now) = match self.signature(&token, &wanted) {
            Err(AuthnError::KeyUnknown) => {
                (self.signature_with_fresh_keys(&token, &wanted).await?, clock.now().max(now))
            }
            verified => (verified?, now),
        };
        let verified = jwt::check_claims(token.claims, &self.settings, now)?;
        Ok(VerifiedJwt { facts: verified.facts, not_before: verified.not_before, keys })
    }

    /// Has the keys fetched, unless the wanted one is known to be false, and holds the signature against them.
    pub(super) async fn signature_with_fresh_keys(
        &self,
        token: &Compact<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<u64, AuthnError> {
        match self.keys.ask_for(wanted.key_id, wanted.algorithm).await {
            Asked::Refreshed => self.signature(token, wanted),
            Asked::Unavailable => Err(self.unavailable()),
        }
    }

    /// Waits until the keys were fetched for the first time, or could not be.
    pub(super) async fn first_keys(&self) {
        self.keys.first_attempt().await;
    }

    /// Holds the signature against the keys of this moment and gives their generation.
    pub(super) fn signature(&self, token: &Compact<'_>, wanted: &Wanted<'_>) -> Result<u64, AuthnError> {
        let current = self.keys.current();
        let keys = current.keys.as_ref().ok_or_else(|| self.unavailable())?;
        jwt::check_signature(token, wanted, keys)?;
        Ok(current.generation)
    }

    fn unavailable(&self) -> AuthnError {
        AuthnError::IssuerUnavailable { issuer: self.settings.name.clone(), retry_after: self.keys.retry_after() }
    }

    pub(super) fn key_generation(&self) -> u64 {
        self.keys.current().generation
    }

    /// How many keys can verify tokens, and how many of the set cannot.
    pub(super) fn key_counts(&self) -> (usize, usize) {
        self.keys.current().keys.as_ref().map_or((0, 0), |keys| (keys.len(), keys.skipped()))
    }

    pub(super) fn state(&self) -> (SourceState, Option<Timestamp>, Option<&'static str>) {
        self.keys.state()
    }
}
