//! A child process: ready when it says so, gone when its guard goes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a child may take to become ready, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running child. Dropping it kills exactly this process.
pub(crate) struct Running {
    name: String,
    child: Child,
    /// Locked by nobody: clients in several threads may ask one and the same gate.
    lines: Mutex<Receiver<String>>,
    last: VecDeque<String>,
}

impl Running {
    /// Starts a command and waits for a line of its output that contains `ready`; gives that line, too.
    /// `Err` with its last words when it ends before.
    pub(crate) fn start(name: &str, command: &mut Command, ready: &str) -> Result<(Self, String), String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        let (sender, lines) = channel();
        follow(child.stdout.take().unwrap(), sender.clone());
        follow(child.stderr.take().unwrap(), sender);
        let mut running = Self { name: name.to_owned(), child, lines: Mutex::new(lines), last: VecDeque::new() };
        let line = running.line_with(ready)?;
        Ok((running, line))
    }

    /// Waits for a line that contains `text`.
    pub(crate) fn line_with(&mut self, text: &str) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(line) =
                self.lines.get_mut().unwrap().recv_timeout(deadline.saturating_duration_since(Instant::now()))
            else {
                return Err(format!("never heard \"{text}\"; {}", self.last_words()));
            };
            if self.last.len() == 60 {
                self.last.pop_front();
            }
            self.last.push_back(line.clone());
            if line.contains(text) {
                return Ok(line);
            }
        }
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to this process alone.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the end: both outputs closed, then the exit status.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) =
            self.lines.get_mut().unwrap().recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.last.push_back(line);
        }
        assert!(Instant::now() < deadline, "no end; {}", self.last_words());
        self.child.wait().unwrap()
    }

    /// The latest lines of output that were read.
    pub(crate) fn last_words(&mut self) -> String {
        self.last.extend(self.lines.get_mut().unwrap().try_iter());
        let lines: String = self.last.iter().map(|line| format!("    {line}\n")).collect();
        format!("the last words of {}:\n{lines}", self.name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn follow(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}

/// A port of 127.0.0.1 that was free a moment ago. Whoever needs it retries with another when it is taken by then.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
