//! What a listener hands its requests to.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body, Incoming};

use crate::request::Connection;

/// Answers requests: any closure from a request and its connection to an answer. It lives on one thread.
pub trait Service: 'static {
    /// The body of its answers.
    type Body: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static;
    /// The answer to come.
    type Answer: Future<Output = Response<Self::Body>> + 'static;

    /// Answers one request.
    fn answer(&self, request: Request<Incoming>, connection: Arc<Connection>) -> Self::Answer;
}

impl<S, F, B> Service for S
where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + 'static,
{
    type Body = B;
    type Answer = F;

    fn answer(&self, request: Request<Incoming>, connection: Arc<Connection>) -> F {
        self(request, connection)
    }
}
