//! `portcullis reload | upgrade | status`: orders to a running Portcullis, over its control socket.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;

use super::check::report;
use super::output::{Format, Terminal, WELL, failed};
use crate::admin::{Reply, call};
use crate::config::{self, Wanted};

/// Which Portcullis is meant.
#[derive(clap::Args, Debug)]
#[group(id = "whom", required = true, multiple = false)]
pub(super) struct Args {
    /// The control socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The configuration directory whose `[admin]` names the control socket
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
}

/// Asks for the configuration to be read again.
pub(super) fn reload(args: &Args, terminal: &Terminal) -> ExitCode {
    send(args, terminal, "/reload", Bytes::new())
}

/// Has a new process of the program take over.
pub(super) fn upgrade(args: &Args, terminal: &Terminal) -> ExitCode {
    send(args, terminal, "/upgrade", Bytes::new())
}

/// Sends an order and shows what came of it.
pub(super) fn send(args: &Args, terminal: &Terminal, path: &str, body: Bytes) -> ExitCode {
    let Some((well, body)) = order(args, terminal, Method::POST, path, body) else { return failed() };
    if terminal.format() == Format::Json {
        terminal.raw(&body);
    } else {
        match serde_json::from_slice::<Reply>(&body) {
            Ok(reply) if reply.done => terminal.line(reply.message),
            Ok(reply) => terminal.error(reply.message),
            Err(_) => terminal.error("the answer is not one that this version understands"),
        }
    }
    if well { WELL } else { failed() }
}

/// Shows the whole state.
pub(super) fn status(args: &Args, terminal: &Terminal) -> ExitCode {
    let Some((well, body)) = order(args, terminal, Method::GET, "/status", Bytes::new()) else { return failed() };
    match (terminal.format(), serde_json::from_slice::<serde_json::Value>(&body)) {
        (Format::Text, Ok(status)) => terminal.line(format_args!("{status:#}")),
        _ => terminal.raw(&body),
    }
    if well { WELL } else { failed() }
}

fn order(args: &Args, terminal: &Terminal, method: Method, path: &str, body: Bytes) -> Option<(bool, Bytes)> {
    let socket = match (&args.socket, &args.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(directory)) => socket_of(directory, terminal)?,
        (None, None) => return None,
    };
    call_socket(&socket, terminal, method, path, body)
}

/// Sends an order to the Portcullis that serves a socket, and gives whether it was carried out and the answer.
pub(super) fn call_socket(
    socket: &Path,
    terminal: &Terminal,
    method: Method,
    path: &str,
    body: Bytes,
) -> Option<(bool, Bytes)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.and_then(|runtime| runtime.block_on(call(socket, method, path, body)));
    match answer {
        Ok((status, body)) => Some((status.is_success(), body)),
        Err(error) => {
            terminal.error(format_args!("no Portcullis answers at {}: {error}", socket.display()));
            None
        }
    }
}

fn socket_of(directory: &Path, terminal: &Terminal) -> Option<PathBuf> {
    match config::load(directory, Timestamp::now(), None, Wanted::OnDisk) {
        Ok(loaded) if loaded.settings.admin.control.is_some() => loaded.settings.admin.control,
        Ok(_) => {
            terminal.error("[admin] names no control socket: control = { socket = \"...\" }");
            None
        }
        Err(faults) => {
            report(&faults, terminal);
            None
        }
    }
}
