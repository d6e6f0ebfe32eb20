//! What untrusted bytes may not do: one function a target, each with the property that must hold for every input.
//!
//! libFuzzer runs them through `fuzz_targets/`; `tests/fuzz_smoke.rs` runs them over the committed corpus and a fixed
//! number of mutations with every `cargo test`. A property is an assertion: reaching the end is well.

mod cel;
mod config;
mod credential;
mod dpop;
mod edge;
mod identity;
mod introspection;
mod policy;
mod request;
mod token;

/// A target and its property: an assertion for every input; true when the input was well-formed.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target. Its corpus is `fuzz/corpus/NAME/`.
pub const TARGETS: &[Target] = &[
    ("authorization", credential::authorization),
    ("cel", cel::cel),
    ("certificate", identity::certificate),
    ("claim_path", identity::claim_path),
    ("claims", identity::claims),
    ("dpop", dpop::proof),
    ("forwarded_for", request::forwarded_for),
    ("head", request::head),
    ("header_rule", edge::header_rule),
    ("host", request::host),
    ("introspection", introspection::plain),
    ("jwks", credential::jwks),
    ("path", request::path),
    ("policy", policy::policy),
    ("proxy_header", edge::proxy_header),
    ("signed_introspection", introspection::signed),
    ("spiffe_id", identity::spiffe_id),
    ("token", token::token),
    ("token_exchange", introspection::exchange),
    ("toml", config::toml),
    ("traceparent", request::traceparent),
    ("when", policy::when),
];

/// Runs the target called `name`; true when the input was well-formed.
///
/// # Panics
/// When there is none, or its property does not hold.
pub fn run(name: &str, input: &[u8]) -> bool {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "no target {name}");
    target.is_some_and(|(_, property)| property(input))
}
