//! `portcullis demo`: everything on this machine, a tour of it, and commands to go on with.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::output::{Format, Terminal, WELL, failed};
use crate::demo::tour::{self, Part};
use crate::demo::{Stage, StageError};
use crate::server::StartError;
use crate::telemetry::{LogFormat, LogSettings, start_log};

mod text;

/// Show it all on this machine
///
/// Starts a development CA, an identity provider, a service and the gateway in front of it, sends requests of every
/// kind through it, and shows what came of each and why. Then keeps serving until Ctrl-C, which leaves nothing behind.
/// Needs nothing that is not in this program, and listens on this machine's own addresses alone.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  portcullis demo
  portcullis demo --once                 # for scripts: fails when anything goes otherwise than it must
  portcullis demo --json | head -1 | jq -r .ca")]
pub(super) struct Args {
    /// Leave after the tour; fail unless everything went as it must
    #[arg(long)]
    once: bool,
    /// Print one line of JSON with the addresses and files instead of the tour; with --once, the tour's outcomes too
    #[arg(long)]
    json: bool,
    /// Where the gateway listens; port 0 is a free one
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(terminal, &error),
    };
    start_log(LogSettings { format: LogFormat::Text, level: tracing::Level::WARN }, terminal.colors_notes());
    runtime.block_on(async {
        // Before anything is on the disk, so that no signal can leave it there.
        let told = match Told::listen() {
            Ok(told) => told,
            Err(error) => return fail(terminal, &error),
        };
        let stage = match Stage::set(args.listen).await {
            Ok(stage) => stage,
            Err(error) => return fail_to_start(terminal, &error),
        };
        let code = tokio::select! {
            code = show(args, &stage, terminal) => code,
            () = told.wait() => WELL,
        };
        match stage.strike().await {
            Ok(()) => code,
            Err(error) => fail(terminal, &error),
        }
    })
}

/// The tour, and then nothing until somebody says stop; with `--once`, the verdict.
async fn show(args: &Args, stage: &Stage, terminal: &Terminal) -> ExitCode {
    let json = args.json || terminal.format() == Format::Json;
    if json && !args.once {
        terminal.json(&stage.describe());
        terminal.flush();
        return std::future::pending().await;
    }
    if !json {
        text::opening(stage, terminal);
    }
    let parts = match tour::make(stage).await {
        Ok(parts) => parts,
        Err(error) => return fail(terminal, &error),
    };
    if json {
        terminal.json(&with_tour(stage.describe(), &parts));
    } else {
        text::tour(&parts, terminal);
    }
    let well = parts.iter().flat_map(|part| &part.outcomes).all(|outcome| outcome.surprise.is_none());
    if args.once {
        return if well { WELL } else { failed() };
    }
    text::going_on(stage, terminal);
    terminal.flush();
    std::future::pending().await
}

fn with_tour(mut described: Value, parts: &[Part]) -> Value {
    if let Some(object) = described.as_object_mut() {
        object.insert("tour".into(), json!(parts));
    }
    described
}

/// The ways to be told to stop.
struct Told([tokio::signal::unix::Signal; 3]);

impl Told {
    fn listen() -> io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn wait(self) {
        let [mut interrupt, mut terminate, mut hangup] = self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn fail(terminal: &Terminal, error: &dyn std::error::Error) -> ExitCode {
    terminal.failure(error);
    failed()
}

fn fail_to_start(terminal: &Terminal, error: &StageError) -> ExitCode {
    match error {
        StageError::Gateway(StartError::Config(faults)) => super::check::report(faults, terminal),
        other => terminal.failure(other),
    }
    failed()
}
