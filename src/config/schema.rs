//! What may be written, for editors: JSON Schemas (draft 2020-12) of `portcullis.toml` and of policy files.
//!
//! The readers walk the tree by hand, so these stand beside them by hand too; `tests/schema.rs` holds both together: every
//! key that a reader knows is a property here and no other is, and every TOML file of the repository fits.

/// The schema of `portcullis.toml`.
pub const PORTCULLIS: &str = include_str!("schema/portcullis.json");
/// The schema of a policy file.
pub const POLICY: &str = include_str!("schema/policy.json");
