//! Secrets stand in files or in the environment, never in the configuration: `{ file = ".." }` or `{ env = ".." }`.

use std::path::Path;

use super::reader::Value;
use crate::identity::Secret;

/// Reads a secret. One line end at its end is not part of it. An empty secret is a fault.
pub(super) fn read(value: &Value<'_>, base: &Path) -> Option<Secret<Vec<u8>>> {
    if value.is_string() {
        let hint = String::from("write { file = \"..\" } or { env = \"..\" }");
        value.fault("a secret must not stand in the configuration", hint);
        return None;
    }
    let table = value.table(String::from("this secret"))?;
    let (file, env) = (table.get("file"), table.get("env"));
    let bytes = match (file, env) {
        (Some(file), None) => {
            let path = file.path(base)?;
            let read = std::fs::read(&path);
            read.map_err(|error| file.faults().unreadable(Some(&file.at()), &path, &error)).ok()?
        }
        (None, Some(env)) => {
            let name = env.string()?;
            let Some(text) = std::env::var_os(&name) else {
                env.fault(format!("the environment has no `{name}`"), None);
                return None;
            };
            text.into_encoded_bytes()
        }
        _ => {
            value.fault("a secret has either `file` or `env`", None);
            return None;
        }
    };
    let secret = Secret::new(bytes);
    let trimmed = secret.expose();
    let trimmed = trimmed.strip_suffix(b"\n").unwrap_or(trimmed);
    let trimmed = trimmed.strip_suffix(b"\r").unwrap_or(trimmed);
    if trimmed.is_empty() {
        value.fault("the secret is empty", None);
        return None;
    }
    Some(Secret::new(trimmed.to_vec()))
}
