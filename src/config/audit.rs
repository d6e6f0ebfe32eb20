//! `[audit]`, `[log]` and `[admin]`: what Portcullis says of itself, and to whom.

use std::path::Path;

use super::reader::Table;
use crate::admin::AdminSettings;
use crate::audit::{AuditSettings, OnFailure, SinkSettings};
use crate::telemetry::{LogFormat, LogSettings};

/// Reads `[audit]`. Absent, records go to standard output.
pub(super) fn read_audit(root: &Table<'_>, base: &Path) -> AuditSettings {
    let mut settings = AuditSettings::default();
    let Some(table) = root.table("audit") else { return settings };
    let file =
        table.table("file").map(|file| (file.at(), file.require("path").and_then(|path| path.output_path(base))));
    let stdout = table.get("stdout").and_then(|value| value.bool());
    match (file, stdout) {
        (Some((at, _)), Some(true)) => {
            let hint = String::from("records go to one place: a file or standard output");
            table.faults().error(&at, "`file` and `stdout = true` exclude each other", hint);
        }
        (Some((_, Some(path))), _) => settings.sink = SinkSettings::File(path),
        (None, Some(false)) => {
            let hint = String::from("name a file: file = { path = \"...\" }");
            table.faults().error(&table.at(), "[audit] has nowhere to write: `stdout = false` and no `file`", hint);
        }
        _ => {}
    }
    if let Some(choice) =
        table.get("on_failure").and_then(|v| v.choice(&[("deny", OnFailure::Deny), ("count", OnFailure::Count)]))
    {
        settings.on_failure = choice;
    }
    if let Some(capacity) = table.get("capacity").and_then(|value| value.integer(64, 16_777_216)) {
        settings.capacity = capacity;
    }
    settings
}

/// Reads `[log]`. Absent, text at level `info`.
pub(super) fn read_log(root: &Table<'_>) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(table) = root.table("log") else { return settings };
    if let Some(format) =
        table.get("format").and_then(|v| v.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]))
    {
        settings.format = format;
    }
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
    ];
    if let Some(level) = table.get("level").and_then(|v| v.choice(&levels)) {
        settings.level = level;
    }
    settings
}

/// Reads `[admin]`. Absent, probes listen on `127.0.0.1:9090` and there is no control socket.
pub(super) fn read_admin(root: &Table<'_>, base: &Path) -> AdminSettings {
    let mut settings = AdminSettings::default();
    let Some(table) = root.table("admin") else { return settings };
    if let Some(value) = table.get("probes") {
        settings.probes = value.socket_address();
    }
    if let Some(control) = table.table("control") {
        settings.control = control.require("socket").and_then(|value| value.output_path(base));
    }
    settings
}
