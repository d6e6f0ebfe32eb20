//! One configuration in force: everything that a request is judged by.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::authn::Authenticator;
use crate::identity::Name;
use crate::policy::Policy;
use crate::request::IntakeSettings;
use crate::route::Routes;
use crate::upstream::Upstreams;

/// Immutable and shared by all workers. A reload builds a new one off to the side and swaps it whole; a request takes it
/// once and sees one configuration from end to end.
pub struct Snapshot {
    /// How each listener's requests are taken in.
    pub intake: HashMap<Name, IntakeSettings, RandomState>,
    /// Where they lead.
    pub routes: Arc<Routes>,
    /// Who they come from.
    pub authenticator: Authenticator,
    /// What is allowed.
    pub policy: Arc<Policy>,
    /// Who answers.
    pub upstreams: Upstreams,
}
