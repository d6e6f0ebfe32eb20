//! Many requests at once, by h2load.

use std::process::Command;

use super::Tools;

/// What h2load counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct H2load {
    /// Answers by class: 2xx, 3xx, 4xx, 5xx.
    pub(crate) classes: [u32; 4],
    /// Requests that ended without an answer, or never.
    pub(crate) failed: u32,
}

impl H2load {
    /// Sends `requests` over ten connections, by HTTP/1.1 or HTTP/2.
    pub(crate) fn send(tools: &Tools, requests: u32, http1: bool, headers: &[&str], url: &str) -> Self {
        let mut command = Command::new(tools.command("h2load"));
        command.args(["-n", &requests.to_string(), "-c", "10", "-m", if http1 { "1" } else { "16" }]);
        command.args(http1.then_some("--h1")).args(headers.iter().map(|line| format!("--header={line}"))).arg(url);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let numbers = |title: &str| -> Vec<u32> {
            let line = text.lines().find_map(|line| line.strip_prefix(title)).unwrap();
            line.split(',').map(|part| part.split_whitespace().next().unwrap().parse().unwrap()).collect()
        };
        let of_requests = numbers("requests:");
        Self { classes: numbers("status codes:").try_into().unwrap(), failed: of_requests[5] + of_requests[6] }
    }
}
