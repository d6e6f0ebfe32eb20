//! The certificates of the demo and of `portcullis dev-certs`: which there are, and the files they go to.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::authority::{Authority, AuthorityError, Issued, Leaf, Purpose, Validity};
use crate::identity::Secret;

/// What the certificates name.
#[derive(Clone, Debug)]
pub struct Names {
    /// The hosts of the server certificate, beside localhost and `*.demo.localhost`.
    pub hosts: Vec<String>,
    /// The trust domain of the SPIFFE IDs.
    pub trust_domain: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { hosts: Vec::new(), trust_domain: "demo.portcullis.example".into() }
    }
}

/// A set of certificates in memory: good ones, and one of each kind that must be refused.
pub struct Certificates {
    files: Vec<File>,
}

struct File {
    name: String,
    content: Secret<String>,
    mode: u32,
}

impl Certificates {
    /// The root, and the root that nobody trusts.
    pub const AUTHORITIES: [&str; 2] = ["ca.pem", "rogue-ca.pem"];

    /// The stems of certificate and key: `STEM.pem` beside `STEM.key`.
    pub const PAIRS: [&str; 6] = ["server", "device", "workload", "expired", "wrong-purpose", "rogue"];

    /// Makes the set. The keys of the two roots are dropped: what is here is all there will ever be.
    ///
    /// # Errors
    /// [`AuthorityError`] when a name cannot stand in a certificate.
    pub fn make(names: &Names, now: Timestamp) -> Result<Self, AuthorityError> {
        let authority = Authority::new("Portcullis development CA", now)?;
        let rogue = Authority::new("A CA that nobody trusts", now)?;
        let device = format!("spiffe://{}/device/laptop-7", names.trust_domain);
        let workload = format!("spiffe://{}/ns/payments/sa/settlement", names.trust_domain);
        let hosts: Vec<_> =
            ["localhost", "*.demo.localhost"].into_iter().chain(names.hosts.iter().map(String::as_str)).collect();
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let server = Leaf {
            common_name: "localhost",
            purpose: Purpose::Server,
            hosts: &hosts,
            addresses: &addresses,
            spiffe_id: None,
            validity: Validity::Current,
        };
        let client = |common_name, spiffe_id| Leaf {
            common_name,
            purpose: Purpose::Client,
            hosts: &[],
            addresses: &[],
            spiffe_id: Some(spiffe_id),
            validity: Validity::Current,
        };
        let laptop = client("laptop-7", &device);
        let mut set = Self { files: Vec::new() };
        for (name, authority) in Self::AUTHORITIES.into_iter().zip([&authority, &rogue]) {
            set.files.push(File { name: name.into(), content: Secret::new(authority.certificate()), mode: 0o644 });
        }
        let [server_pair, device_pair, workload_pair, expired_pair, purpose_pair, rogue_pair] = Self::PAIRS;
        set.add(server_pair, authority.issue(&server)?);
        set.add(device_pair, authority.issue(&laptop)?);
        set.add(workload_pair, authority.issue(&client("settlement", &workload))?);
        set.add(expired_pair, authority.issue(&Leaf { validity: Validity::Expired, ..laptop.clone() })?);
        set.add(purpose_pair, authority.issue(&Leaf { purpose: Purpose::Server, ..laptop.clone() })?);
        set.add(rogue_pair, rogue.issue(&laptop)?);
        Ok(set)
    }

    fn add(&mut self, stem: &str, issued: Issued) {
        let certificate = Secret::new(issued.certificate);
        self.files.push(File { name: format!("{stem}.pem"), content: certificate, mode: 0o644 });
        self.files.push(File { name: format!("{stem}.key"), content: issued.key, mode: 0o600 });
    }

    /// Writes every file into `directory`, which is made when it is missing; keys get mode 0600. Gives the paths.
    ///
    /// # Errors
    /// The first failure. Without `replace` nothing is written when any of the files exists.
    pub fn write(&self, directory: &Path, replace: bool) -> Result<Vec<PathBuf>, WriteError> {
        fs::create_dir_all(directory).map_err(|error| WriteError::failed(directory, error))?;
        let paths: Vec<_> = self.files.iter().map(|file| directory.join(&file.name)).collect();
        if !replace && let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(WriteError::Exists(path.clone()));
        }
        for (file, path) in self.files.iter().zip(&paths) {
            write_file(path, file.content.expose().as_bytes(), file.mode, replace)
                .map_err(|error| WriteError::failed(path, error))?;
        }
        Ok(paths)
    }
}

/// The files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file is there already.
    #[error("`{}` exists", .0.display())]
    Exists(PathBuf),
    /// The system refused.
    #[error("cannot write `{}`", path.display())]
    Failed {
        /// What was to be written.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
}

impl WriteError {
    fn failed(path: &Path, source: io::Error) -> Self {
        Self::Failed { path: path.into(), source }
    }
}

/// Writes a file that did not exist, or puts a new one in the place of the old. Neither ever writes through a link, and
/// at no time can others read a file of mode 0600.
pub(super) fn write_file(path: &Path, content: &[u8], mode: u32, replace: bool) -> io::Result<()> {
    let target = if replace { path.with_added_extension("new") } else { path.to_path_buf() };
    if replace {
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&target)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    if replace {
        fs::rename(&target, path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
