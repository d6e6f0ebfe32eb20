//! Everything that a configuration says, checked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::admin::AdminSettings;
use crate::audit::AuditSettings;
use crate::authn::TokenSources;
use crate::identity::Name;
use crate::listener;
use crate::policy::Policy;
use crate::policy::alarm::AlarmSettings;
use crate::request::IntakeSettings;
use crate::route::Routes;
use crate::state::StateDirectory;
use crate::telemetry::LogSettings;
use crate::upstream;

/// A whole configuration in which every name is resolved and every file was read.
#[derive(Debug)]
pub struct Settings {
    /// Where connections come in; at least one.
    pub listeners: Vec<listener::Settings>,
    /// What connections may cost.
    pub limits: listener::Limits,
    /// How each listener's requests are taken in.
    pub intake: HashMap<Name, IntakeSettings, RandomState>,
    /// Where they lead.
    pub routes: Arc<Routes>,
    /// Who vouches for tokens.
    pub sources: TokenSources,
    /// What is allowed.
    pub policy: Arc<Policy>,
    /// When refusals are so many that somebody should look.
    pub alarm: Option<AlarmSettings>,
    /// Who answers.
    pub upstreams: Vec<upstream::settings::Settings>,
    /// Where what outlives the process is kept: revocations, the keys of assertions.
    pub state: Option<StateDirectory>,
    /// How services are told who asks, by a JWT of our own.
    pub assertion: Option<upstream::AssertionSettings>,
    /// Where decisions are recorded.
    pub audit: AuditSettings,
    /// What operators can reach.
    pub admin: AdminSettings,
    /// How the operational log is written.
    pub log: LogSettings,
    /// How many worker threads serve.
    pub workers: usize,
    /// How long a drain may take before what is open is cut.
    pub drain: Duration,
}
