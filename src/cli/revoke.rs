//! `portcullis revoke`: takes a token, or somebody's tokens, away at once.

use std::io::Read;
use std::process::ExitCode;

use super::control;
use super::output::{Terminal, failed};
use crate::admin::RevokeOrder;

/// The most that is read from standard input, in bytes.
const MAX_TOKEN: u64 = 64 * 1024;

/// Take a token away, or every token of somebody
///
/// Counts at once and in every worker, cached tokens and open connections included. With `state` in the configuration it
/// outlives a restart. Make it at the issuer, too: others rest on the token as well.
#[derive(clap::Args, Debug)]
#[group(id = "revocation")]
#[command(after_help = "\
Examples:
  portcullis revoke --config . --token < token.txt
  portcullis revoke --config . --issuer https://login.corp.example --jti 4f1c
  portcullis revoke --config . --issuer https://login.corp.example --sub u-17")]
pub(super) struct Args {
    #[command(flatten)]
    target: control::Args,
    /// Read the token from standard input; it is never an argument, which other users of the machine could see
    #[arg(long, conflicts_with_all = ["issuer", "jti", "sub"], required_unless_present = "issuer")]
    token: bool,
    /// The issuer, exactly as `iss` says it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The id of one token (`token_id` in the audit record)
    #[arg(long, value_name = "ID", requires = "issuer", conflicts_with = "sub")]
    jti: Option<String>,
    /// Somebody: all of their tokens that were issued until now
    #[arg(long, value_name = "SUB", requires = "issuer", required_unless_present_any = ["jti", "token"])]
    sub: Option<String>,
    /// For how many seconds it is kept: until every such token has expired by itself; 7 days unless given
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let mut order = RevokeOrder {
        token: None,
        issuer: args.issuer.clone(),
        jti: args.jti.clone(),
        sub: args.sub.clone(),
        seconds: args.seconds,
    };
    if args.token {
        let mut text = String::new();
        if let Err(error) = std::io::stdin().take(MAX_TOKEN).read_to_string(&mut text) {
            terminal.error(format_args!("cannot read the token from standard input: {error}"));
            return failed();
        }
        order.token = Some(text.trim().to_owned());
    }
    control::send(&args.target, terminal, "/revoke", serde_json::to_vec(&order).unwrap_or_default().into())
}
