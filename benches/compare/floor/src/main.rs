//! The small programs of the comparison.
//!
//! `floor proxy` is what this stack costs before anything is checked: one current-thread runtime, TLS 1.3 with a required
//! client certificate, HTTP/1.1 and HTTP/2, forwarding over kept-alive HTTP/1.1. With `duties` it does the work of the
//! comparison, written as directly as it can be. `material` and `tokens` write the keys
//! and tokens that every proxy of the comparison is given, `services` are what stands behind them, `load` is the client
//! where oha cannot say what is needed, and `verify` measures the bare verification of a signature.

mod client;
mod duties;
mod hold;
mod load;
mod material;
mod messages;
mod proxy;
mod report;
mod services;
mod tokens;
mod verify;

/// The one that Portcullis uses: the floor is not to be higher for an allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Fault = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "floor proxy LISTEN UPSTREAM FOLDER tickets|no-tickets [duties]
floor material FOLDER
floor tokens FOLDER RS256|ES256 COUNT
floor services HTTP1 HTTP2 FOLDER
floor verify FOLDER
floor load PORT FOLDER connections COUNT CONCURRENCY X25519|X25519MLKEM768 full|resumed
floor load PORT FOLDER requests COUNT CONCURRENCY TOKENS SKIP
floor load PORT FOLDER idle COUNT
floor load PORT FOLDER websocket CONNECTIONS MESSAGES
floor load PORT FOLDER grpc CONNECTIONS STREAMS MESSAGES";

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["proxy", listen, upstream, folder, tickets, duties @ ..] => {
            let (tickets, duties) = (*tickets == "tickets", *duties == ["duties"]);
            local(until_told(proxy::serve(listen.parse()?, upstream.parse()?, folder.as_ref(), tickets, duties)))
        }
        ["material", folder] => material::write(folder.as_ref()),
        ["tokens", folder, algorithm, count] => tokens::write_many(folder.as_ref(), algorithm, count.parse()?),
        ["services", http1, http2, folder] => local(services::serve(http1.parse()?, http2.parse()?, folder.as_ref())),
        ["verify", folder] => verify::measure(folder.as_ref()),
        ["load", port, folder, what @ ..] => {
            let target = client::Target { port: port.parse()?, folder: folder.into() };
            local(generate(target, what))
        }
        _ => Err(USAGE.into()),
    }
}

async fn generate(target: client::Target, what: &[&str]) -> Result<(), Fault> {
    match what {
        ["connections", count, concurrency, group, kind] => {
            load::connections(&target, count.parse()?, concurrency.parse()?, group, *kind == "resumed").await
        }
        ["requests", count, concurrency, tokens, skip] => {
            load::requests(&target, count.parse()?, concurrency.parse()?, tokens, skip.parse()?).await
        }
        ["idle", count] => hold::idle(&target, count.parse()?).await,
        ["websocket", connections, messages] => {
            messages::websocket(&target, connections.parse()?, messages.parse()?).await
        }
        ["grpc", connections, streams, messages] => {
            messages::grpc(&target, connections.parse()?, streams.parse()?, messages.parse()?).await
        }
        _ => Err(USAGE.into()),
    }
}

/// Ends by itself when it is told to: what was counted for a layout is written down at the end.
async fn until_told(work: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let mut told = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        done = work => done,
        _ = told.recv() => Ok(()),
    }
}

/// Runs to the end on one thread.
fn local(work: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}
