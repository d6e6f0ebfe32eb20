//! An exchange on behalf of one request, for as long as that request may wait.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::NotExchanged;
use crate::upstream::body::Watch;
use crate::upstream::error::{ForwardError, StreamError};
use crate::upstream::forward::Exchange;
use crate::upstream::settings::Settings;
use crate::upstream::upstreams::Upstreams;

impl Exchange {
    /// `Authorization` for a service that wants tokens of its own; nothing for one that does not, or when nobody's token was
    /// verified.
    pub(in crate::upstream) async fn exchanged(
        &self,
        upstreams: &Upstreams,
        settings: &Settings,
        total: Option<Instant>,
    ) -> Result<Option<HeaderValue>, ForwardError> {
        let (Some(facts), Some(credential)) = (&self.token, &self.credential) else { return Ok(None) };
        let failed = |error| ForwardError::NotExchanged { upstream: settings.name.clone(), error };
        let unavailable = NotExchanged::Unavailable(super::RETRY_AFTER);
        let exchanger = upstreams.exchanger(&settings.name).ok_or_else(|| failed(unavailable))?;
        // The exchange has deadlines of its own; what the request rests on may end meanwhile.
        let mut watch = Watch::new(self.lease.clone(), Duration::MAX, total);
        let mut exchange = pin!(exchanger.authorization(credential.token().expose(), facts.expires_at));
        let exchanged = poll_fn(|context| match exchange.as_mut().poll(context) {
            Poll::Ready(exchanged) => Poll::Ready(Ok(exchanged)),
            Poll::Pending => watch.waits(context).map(Err),
        });
        match exchanged.await {
            Ok(exchanged) => exchanged.map(Some).map_err(failed),
            Err(StreamError::LeaseEnded(reason)) => Err(ForwardError::LeaseEnded(reason)),
            Err(_) => Err(failed(unavailable)),
        }
    }
}
