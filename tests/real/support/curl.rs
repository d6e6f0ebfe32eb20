//! Asks with curl, as an operator would.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Identity;

/// One request in the making.
pub(crate) struct Curl {
    arguments: Vec<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `1.1` or `2`.
    pub(crate) version: String,
    /// Names in small letters, in the order of arrival.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Curl {
    /// A request that trusts this authority alone.
    pub(crate) fn trusting(authority: &Path) -> Self {
        let fixed = [
            "--disable",
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--noproxy",
            "*",
            "--include",
            "--path-as-is",
        ];
        let mut arguments: Vec<String> = fixed.iter().map(|text| (*text).to_owned()).collect();
        arguments.extend(["--cacert".to_owned(), authority.to_str().unwrap().to_owned()]);
        Self { arguments }
    }

    /// Adds plain arguments of curl.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
        self
    }

    /// Shows a client certificate.
    pub(crate) fn identity(self, identity: &Identity) -> Self {
        let (chain, key) = (identity.chain.to_str().unwrap(), identity.key.to_str().unwrap());
        self.with(&["--cert", chain, "--key", key])
    }

    /// Sends a bearer token.
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.with(&["--header", &format!("Authorization: Bearer {token}")])
    }

    /// Sends a header.
    pub(crate) fn header(self, line: &str) -> Self {
        self.with(&["--header", line])
    }

    /// The answer, or what curl says when there is none: the number of its exit code and its message.
    pub(crate) fn get(self, url: &str) -> Result<Answer, String> {
        let out = Command::new("curl").args(self.arguments).arg(url).output().map_err(|error| error.to_string())?;
        if !out.status.success() {
            let told = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            return Err(format!("{}: {told}", out.status.code().unwrap_or(-1)));
        }
        Ok(Answer::parse(&out.stdout))
    }
}

impl Answer {
    /// Reads what `curl --include` prints; of several heads (100, then 200) the last.
    pub(super) fn parse(printed: &[u8]) -> Self {
        let mut rest = printed;
        loop {
            let end = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
            let head = std::str::from_utf8(&rest[..end]).unwrap();
            rest = &rest[end + 4..];
            let (first, fields) = head.split_once("\r\n").unwrap_or((head, ""));
            let mut words = first.split(' ');
            let version = words.next().unwrap().trim_start_matches("HTTP/").to_owned();
            let status: u16 = words.next().unwrap().parse().unwrap();
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let headers = fields.lines().filter_map(|line| line.split_once(':'));
            let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
            return Self { status, version, headers, body: rest.to_vec() };
        }
    }

    /// The value of a header that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} occurs twice in {:?}", self.headers);
        first
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}
