//! `portcullis run`: serves a configuration until it is told to stop.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::check::report;
use super::output::{Terminal, WELL, failed};
use crate::admin::Reply;
use crate::config::{self, Wanted};
use crate::listener::Drained;
use crate::server::{self, Inheritance, Server, StartError, Turn, notify};
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
  SIGUSR2          start this program anew as it is on disk, hand every socket over, finish what is open, exit

Examples:
  portcullis run --config /etc/portcullis")]
pub(super) struct Args {
    /// The directory that holds portcullis.toml
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    // Asked for now: afterwards the file may be another one, and that is the one to start.
    let program = std::env::current_exe();
    let loaded = match config::load(&args.config, Timestamp::now(), None, Wanted::InForce) {
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
        let inheritance = Inheritance::receive().map_err(StartError::Handover)?;
        let signals = Signals::listen();
        let server = server::start_after(inheritance, loaded).await?;
        for (name, address) in server.overview().listeners().iter() {
            tracing::info!(listener = %name, %address, "listening");
        }
        notify(Turn::Ready);
        Ok(until_told(server, program, signals).await)
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

/// What an operator can say by signals. They are listened for before anything else is served: one that nobody listens for
/// ends the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reopen: Signal,
    upgrade: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }
}

async fn until_told(
    mut server: Server,
    program: io::Result<PathBuf>,
    signals: io::Result<Signals>,
) -> io::Result<Drained> {
    let Signals { mut terminate, mut interrupt, mut reopen, mut upgrade } = signals?;
    loop {
        let asked = tokio::select! {
            () = received(&mut terminate) => break,
            () = received(&mut interrupt) => break,
            () = received(&mut reopen) => {
                server.reopen_audit();
                continue;
            }
            () = received(&mut upgrade) => None,
            Some(asked) = server.upgrade_asked() => Some(asked),
        };
        if succeed(&mut server, &program, asked).await {
            return Ok(server.shutdown().await);
        }
    }
    notify(Turn::Stopping);
    tracing::info!("draining");
    Ok(server.shutdown().await)
}

/// Starts the next process with the arguments of this one. Whether it serves.
async fn succeed(server: &mut Server, program: &io::Result<PathBuf>, asked: Option<oneshot::Sender<Reply>>) -> bool {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = match program {
        Ok(program) => server.hand_over(program, &arguments).await,
        Err(error) => Err(io::Error::other(format!("where this program is cannot be told: {error}"))),
    };
    let (done, message) = match outcome {
        Ok(process) => {
            notify(Turn::Succeeded(process));
            (true, format!("process {process} serves; this one finishes what is open"))
        }
        Err(error) => (false, format!("this process serves on: {error}")),
    };
    if done {
        tracing::info!("{message}");
    } else {
        tracing::error!("{message}");
    }
    if let Some(asked) = asked {
        let _ = asked.send(Reply { done, message });
        // Whoever asked gets the answer before this process can be gone.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    done
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
