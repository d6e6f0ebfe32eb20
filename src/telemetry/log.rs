//! The operational log: what happens to the gateway itself. Decisions about requests go to the audit log instead.

use std::sync::OnceLock;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// The level of the log that was started.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// How the operational log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: tracing::Level,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: tracing::Level::INFO }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

/// Starts the log on standard error. A second call changes nothing: the first log stays.
pub fn start_log(settings: LogSettings, color: bool) {
    let (level, handle) = reload::Layer::new(LevelFilter::from_level(settings.level));
    let writer = BoxMakeWriter::new(std::io::stderr);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Text => fmt::layer().with_ansi(color).with_target(false).with_writer(writer).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_target(false).with_writer(writer).boxed(),
    };
    // Only this crate's events: libraries log request parts at their lower levels.
    let own = tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("portcullis"));
    if tracing_subscriber::registry().with(layer.with_filter(own).with_filter(level)).try_init().is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Goes on at the level that the settings name.
pub fn follow_log(settings: LogSettings) {
    if let Some(level) = LEVEL.get()
        && let Err(error) = level.reload(LevelFilter::from_level(settings.level))
    {
        tracing::error!(%error, "the level of the log stays as it is");
    }
}
