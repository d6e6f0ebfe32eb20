//! `portcullis dev-certs`: a development authority and certificates, as files.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use rustls_pki_types::DnsName;
use serde_json::json;

use super::output::{Format, Terminal, WELL, failed};
use crate::demo::{Certificates, Names, WriteError};
use crate::identity::TrustDomain;

/// Make a development CA and certificates
///
/// Writes what one needs to try client certificates: a CA, a server certificate, a device and a workload that the CA
/// vouches for, and one certificate of each kind that must be refused. Keys get mode 0600. The CA's own key is thrown
/// away: to get other certificates, make a new set. All are valid for 90 days.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Files:
  ca.pem                  the CA: what clients, and [trust.NAME], must trust
  server.pem, .key        for localhost, 127.0.0.1, ::1, *.demo.localhost and each --host
  device.pem, .key        spiffe://TRUST_DOMAIN/device/laptop-7
  workload.pem, .key      spiffe://TRUST_DOMAIN/ns/payments/sa/settlement
  expired.pem, .key       the device's, but it ended an hour ago
  wrong-purpose.pem, .key the device's, but made for servers
  rogue-ca.pem            a CA that nobody trusts
  rogue.pem, .key         the device's, but signed by the rogue CA

Examples:
  portcullis dev-certs --out certs
  portcullis dev-certs --out certs --host payments.corp.example --force")]
pub(super) struct Args {
    /// The directory to write into; it is made when it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Another host name for the server certificate; may be given more than once
    #[arg(long = "host", value_name = "NAME", value_parser = host)]
    hosts: Vec<String>,
    /// The trust domain of the SPIFFE IDs
    #[arg(long, value_name = "NAME", value_parser = trust_domain, default_value_t = Names::default().trust_domain)]
    trust_domain: String,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, terminal: &Terminal) -> ExitCode {
    let names = Names { hosts: args.hosts.clone(), trust_domain: args.trust_domain.clone() };
    let certificates = match Certificates::make(&names, Timestamp::now()) {
        Ok(certificates) => certificates,
        Err(error) => return fail(terminal, &error),
    };
    match certificates.write(&args.out, args.force) {
        Ok(paths) if terminal.format() == Format::Json => {
            terminal.json(&json!({ "directory": args.out, "files": paths }));
            WELL
        }
        Ok(paths) => {
            for path in paths {
                terminal.line(path.display());
            }
            WELL
        }
        Err(error) => {
            let code = fail(terminal, &error);
            if matches!(error, WriteError::Exists(_)) {
                terminal.note("  nothing was written; --force replaces files that exist");
            }
            code
        }
    }
}

fn fail(terminal: &Terminal, error: &dyn Error) -> ExitCode {
    terminal.failure(error);
    failed()
}

fn host(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    DnsName::try_from(name).map_err(|_| "write a DNS name, such as api.corp.example or *.corp.example")?;
    Ok(text.to_ascii_lowercase())
}

fn trust_domain(text: &str) -> Result<String, String> {
    TrustDomain::parse(text).map_err(|error| error.to_string())?;
    Ok(text.into())
}
