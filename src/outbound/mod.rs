//! The one HTTP client for identity providers: deadlines, body caps, no redirects to other hosts.
