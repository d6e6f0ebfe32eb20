//! `portcullis run`: serves a configuration until it is told to stop.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::check::report;
use super::output::{Terminal, WELL, failed};
use crate::config;
use crate::listener::Drained;
use crate::server::{self, Server, StartError, Turn, notify};
use crate::telemetry::start_log;

/// Serve a configuration
///
/// Reads portcullis.toml and the policy files, reports every fault at once, and binds nothing before the configuration
/// is whole. Then serves until SIGTERM or SIGINT, which let what is open come to its end within `timeouts.drain`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Signals:
  SIGTERM, SIGINT  stop accepting, finish what is open, write the audit log, exit
  SIGHUP           read the configuration again; one with faults leaves everything as it is
  SIGUSR1          open the audit log's file again

Examples:
  portcullis run --config /etc/portcullis")]
pub(super) struct Args {
    /// The directory that holds portcullis.toml
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let loaded = match config::load(&args.config, Timestamp::now(), None) {
        Ok(loaded) => loaded,
        Err(faults) => {
            report(&faults, terminal);
            return failed();
        }
    };
    report(&loaded.warnings, terminal);
    start_log(loaded.settings.log, terminal.colors_notes());
    server::allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(terminal, &error),
    };
    let served = runtime.block_on(async {
        let server = server::start_loaded(loaded).await?;
        for (name, address) in &server.overview().listeners {
            tracing::info!(listener = %name, %address, "listening");
        }
        notify(Turn::Ready);
        Ok(until_told(server).await)
    });
    match served {
        Ok(Ok(drained)) => {
            match drained {
                Drained::Complete => tracing::info!("stopped; everything that was open came to its end"),
                Drained::Cut => tracing::warn!("stopped; what was still open after the drain limit was cut"),
            }
            WELL
        }
        Ok(Err(error)) => fail(terminal, &error),
        Err(error) => fail_to_start(terminal, &error),
    }
}

async fn until_told(server: Server) -> io::Result<Drained> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut reopen = signal(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            () = received(&mut terminate) => break,
            () = received(&mut interrupt) => break,
            () = received(&mut reopen) => server.reopen_audit(),
        }
    }
    notify(Turn::Stopping);
    tracing::info!("draining");
    Ok(server.shutdown().await)
}

async fn received(signal: &mut Signal) {
    let _ = signal.recv().await;
}

fn fail(terminal: &Terminal, error: &io::Error) -> ExitCode {
    terminal.failure(error);
    failed()
}

fn fail_to_start(terminal: &Terminal, error: &StartError) -> ExitCode {
    match error {
        StartError::Config(faults) => report(faults, terminal),
        other => other.to_string().lines().for_each(|line| terminal.error(line)),
    }
    failed()
}
