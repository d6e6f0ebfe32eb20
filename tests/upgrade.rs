//! The program is replaced while it serves, as an operator does it: nothing is refused, and nothing that was revoked
//! comes back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = r#"
[[route]]
name     = "open"
host     = "app.example"
path     = "/{rest...}"
methods  = ["GET"]
upstream = "app"

[[allow]]
name      = "everybody"
routes    = ["open"]
anonymous = true
"#;

/// A service that answers at once, and `/slow` when it is told to.
fn service(go: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let go = go.clone();
            thread::spawn(move || answer(stream, &go));
        }
    });
    address
}

fn answer(mut stream: TcpStream, go: &AtomicBool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(first) = head(&mut reader) {
        while first.contains("/slow") && !go.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// Reads a head; all of it as one text. `None` at the end of the connection.
fn head(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

struct House {
    directory: TempDir,
    process: Child,
}

impl House {
    fn write(upstream: SocketAddr, address: &str) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        fs::write(directory.path().join("policies/app.toml"), POLICY).unwrap();
        let main = format!(
            "workers = 2\n\
             [[listener]]\nname = \"edge\"\naddress = \"{address}\"\ntls = \"off\"\n\
             [upstream.app]\nendpoints = [\"http://{upstream}\"]\n\
             [audit]\nfile = {{ path = \"audit.jsonl\" }}\n\
             [admin]\nprobes = \"127.0.0.1:0\"\ncontrol = {{ socket = \"control.sock\" }}\n\
             [timeouts]\ndrain = \"20s\"\n"
        );
        fs::write(directory.path().join("portcullis.toml"), main).unwrap();
        directory
    }

    fn run(upstream: SocketAddr) -> Self {
        let directory = Self::write(upstream, "127.0.0.1:0");
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("run").arg("--config").arg(directory.path());
        Self::started(directory, command.stdin(Stdio::null()))
    }

    fn started(directory: TempDir, command: &mut Command) -> Self {
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let house = Self { directory, process };
        house.status_of(|_| true);
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn order(&self, method: Method, path: &str, body: Bytes) -> Option<(u16, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (status, body) =
            runtime.block_on(portcullis::admin::call(&self.path("control.sock"), method, path, body)).ok()?;
        Some((status.as_u16(), serde_json::from_slice(&body).unwrap()))
    }

    /// The state, once it is as it should be.
    fn status_of(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        for _ in 0..1_000 {
            last = self.order(Method::GET, "/status", Bytes::new()).map(|(_, status)| status);
            if let Some(status) = last.take_if(|status| fits(status)) {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{last:?}\n{}", fs::read_to_string(self.path("log")).unwrap_or_default());
    }

    fn serving(&self) -> i32 {
        number(&self.status_of(|_| true))
    }

    fn address(&self) -> SocketAddr {
        let status = self.status_of(|_| true);
        status.pointer("/listeners/0/address").and_then(Value::as_str).unwrap().parse().unwrap()
    }
}

fn number(status: &Value) -> i32 {
    status.get("process").and_then(Value::as_i64).unwrap().try_into().unwrap()
}

fn signal(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
}

impl Drop for House {
    /// Ends whoever serves last: that process was started by the first, not by this test.
    fn drop(&mut self) {
        if let Some((_, status)) = self.order(Method::GET, "/status", Bytes::new()) {
            signal(number(&status), Signal::TERM);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Asks over one connection again and again, and opens another when the server says that it closes.
fn visit(address: SocketAddr, stop: &AtomicBool, asked: &AtomicUsize, failed: &Mutex<Vec<String>>) {
    while !stop.load(Ordering::Acquire) {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while !stop.load(Ordering::Acquire) {
            let sent = stream.write_all(b"GET /kept HTTP/1.1\r\nHost: app.example\r\n\r\n");
            let answer = sent.ok().and_then(|()| head(&mut reader));
            asked.fetch_add(1, Ordering::Relaxed);
            let mut body = [0; 2];
            let whole = answer.as_ref().is_some_and(|answer| answer.starts_with("HTTP/1.1 200 "))
                && reader.read_exact(&mut body).is_ok();
            if !whole {
                failed.lock().unwrap().push(format!("kept: {answer:?}"));
                break;
            }
            if answer.is_some_and(|answer| answer.to_lowercase().contains("connection: close")) {
                break;
            }
        }
    }
}

/// Requests from some clients, until the end.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn begin(address: SocketAddr) -> Self {
        let mut load =
            Self { stop: Arc::default(), asked: Arc::default(), failed: Arc::default(), clients: Vec::new() };
        for number in 0..4 {
            let (stop, asked, failed) = (load.stop.clone(), load.asked.clone(), load.failed.clone());
            load.clients.push(thread::spawn(move || {
                if number % 2 == 0 {
                    return visit(address, &stop, &asked, &failed);
                }
                while !stop.load(Ordering::Acquire) {
                    let answer = ask(address, "/");
                    asked.fetch_add(1, Ordering::Relaxed);
                    if !answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
                        failed.lock().unwrap().push(format!("new: {answer:?}"));
                    }
                }
            }));
        }
        load
    }

    /// Waits until this many more requests were asked.
    fn go_on_for(&self, more: usize) {
        let goal = self.asked.load(Ordering::Relaxed) + more;
        while self.asked.load(Ordering::Relaxed) < goal {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Release);
        for client in self.clients {
            client.join().unwrap();
        }
        assert_eq!(*self.failed.lock().unwrap(), [""; 0]);
        self.asked.load(Ordering::Relaxed)
    }
}

#[test]
fn no_request_fails_while_the_program_is_replaced_three_times() {
    let mut house = House::run(service(Arc::new(AtomicBool::new(true))));
    let (address, first) = (house.address(), house.serving());
    let load = Load::begin(address);
    load.go_on_for(50);

    signal(first, Signal::USR2);
    let second = number(&house.status_of(|status| number(status) != first));
    assert_eq!(house.address(), address, "port 0 became the same port");
    load.go_on_for(50);
    assert!(house.process.wait().unwrap().success(), "the first process has drained");

    let third = {
        let (status, reply) = house.order(Method::POST, "/upgrade", Bytes::new()).unwrap();
        assert_eq!((status, reply.get("done")), (200, Some(&Value::Bool(true))), "{reply}");
        number(&house.status_of(|status| number(status) != second))
    };
    load.go_on_for(50);
    signal(third, Signal::USR2);
    house.status_of(|status| number(status) != third);
    load.go_on_for(50);
    assert!(load.end() > 200);
}

#[test]
fn what_is_open_comes_to_its_end_and_what_is_revoked_stays_so() {
    let go = Arc::new(AtomicBool::new(false));
    let mut house = House::run(service(go.clone()));
    let (address, first) = (house.address(), house.serving());
    let slow = thread::spawn(move || ask(address, "/slow"));
    let order = Bytes::from_static(br#"{"issuer":"https://login.example","sub":"mallory"}"#);
    assert_eq!(house.order(Method::POST, "/revoke", order).unwrap().0, 200);
    house.status_of(|status| status.pointer("/endpoints/0/active").and_then(Value::as_u64) == Some(1));

    assert_eq!(house.order(Method::POST, "/upgrade", Bytes::new()).unwrap().0, 200);
    let status = house.status_of(|status| number(status) != first);
    assert_eq!(status.get("revocations").and_then(Value::as_u64), Some(1));
    assert!(ask(address, "/").unwrap().ends_with("ok"), "the new process serves");
    assert!(house.process.try_wait().unwrap().is_none(), "the old one waits for what is open");
    go.store(true, Ordering::Release);
    assert!(slow.join().unwrap().unwrap().ends_with("ok"));
    assert!(house.process.wait().unwrap().success());
    assert!(house.path("control.sock").exists(), "it belongs to the new process");
}

#[test]
fn a_new_process_that_cannot_serve_changes_nothing() {
    let house = House::run(service(Arc::new(AtomicBool::new(true))));
    let (address, first) = (house.address(), house.serving());
    fs::write(house.path("policies/app.toml"), "nonsense").unwrap();
    let (status, reply) = house.order(Method::POST, "/upgrade", Bytes::new()).unwrap();
    assert_eq!((status, reply.get("done")), (422, Some(&Value::Bool(false))), "{reply}");
    assert_eq!(house.serving(), first);
    assert!(ask(address, "/").unwrap().ends_with("ok"));
    fs::write(house.path("policies/app.toml"), POLICY).unwrap();
    assert_eq!(house.order(Method::POST, "/upgrade", Bytes::new()).unwrap().0, 200);
    house.status_of(|status| number(status) != first);
    assert!(ask(address, "/").unwrap().ends_with("ok"));
}

/// As systemd does it: the socket is descriptor 3, and two variables say so.
fn activated(program: &Path, directory: &Path, socket: TcpListener) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "sh"])
        .arg(program)
        .arg("run")
        .arg("--config")
        .arg(directory)
        .stdin(Stdio::from(OwnedFd::from(socket)));
    command
}

#[test]
fn a_socket_that_the_service_manager_holds_is_served_and_handed_on() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let kept = socket.try_clone().unwrap();
    // Whoever comes before the service waits in the socket.
    let early = thread::spawn(move || ask(address, "/"));
    let directory = House::write(service(Arc::new(AtomicBool::new(true))), &address.to_string());
    let mut command = activated(Path::new(env!("CARGO_BIN_EXE_portcullis")), directory.path(), socket);
    let mut house = House::started(directory, &mut command);
    assert!(early.join().unwrap().unwrap().ends_with("ok"));
    let first = house.serving();
    assert_eq!(house.address(), address);
    signal(first, Signal::USR2);
    let second = number(&house.status_of(|status| number(status) != first));
    assert!(house.process.wait().unwrap().success());
    assert!(ask(address, "/").unwrap().ends_with("ok"));

    // It outlives the service, and whoever comes meanwhile waits.
    signal(second, Signal::TERM);
    while house.path("control.sock").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    let late = thread::spawn(move || ask(address, "/"));
    let mut command = activated(Path::new(env!("CARGO_BIN_EXE_portcullis")), house.directory.path(), kept);
    house.process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(late.join().unwrap().unwrap().ends_with("ok"));
    house.status_of(|_| true);
}

/// Waits until as many threads serve, as the system counts them: a thread has its name a moment after it is there.
fn has_workers(process: i32, count: usize) {
    let mut last = 0;
    for _ in 0..1_000 {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
        let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        last = names.filter(|name| name.starts_with("worker-")).count();
        if last == count {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{last} workers, not {count}");
}

/// What a reload cannot change it says, and the command that it names does.
#[test]
fn an_upgrade_takes_what_a_reload_cannot_and_drops_nothing() {
    let mut house = House::run(service(Arc::new(AtomicBool::new(true))));
    let (address, first) = (house.address(), house.serving());
    let main = house.path("portcullis.toml");
    let written = fs::read_to_string(&main).unwrap();
    let order = Bytes::from_static(br#"{"issuer":"https://login.example","sub":"mallory"}"#);
    assert_eq!(house.order(Method::POST, "/revoke", order).unwrap().0, 200);
    has_workers(first, 2);
    let load = Load::begin(address);
    load.go_on_for(50);

    let mut last = first;
    for (count, more, what) in [
        (4, "", "`workers`"),
        (1, "", "`workers`"),
        (1, "state = \"kept\"\n", "`state`"),
        (1, "state = \"kept\"\n[log]\nformat = \"json\"\n", "[log] `format`"),
    ] {
        fs::write(&main, written.replace("workers = 2\n", &format!("workers = {count}\n{more}"))).unwrap();
        let (status, reply) = house.order(Method::POST, "/reload", Bytes::new()).unwrap();
        let said = reply.get("message").and_then(Value::as_str).unwrap();
        assert_eq!(status, 422, "{reply}");
        assert!(said.contains(&format!("{what} changed, which takes another process: `portcullis upgrade`")), "{said}");
        let (status, reply) = house.order(Method::POST, "/upgrade", Bytes::new()).unwrap();
        assert_eq!(status, 200, "{reply}");
        last = number(&house.status_of(|status| number(status) != last));
        has_workers(last, count);
        load.go_on_for(50);
    }
    assert!(load.end() > 200);
    assert_eq!(house.address(), address);
    assert!(house.process.wait().unwrap().success());
    let kept = fs::read_dir(house.path("kept")).unwrap().count();
    assert!(kept > 0, "what was revoked before there was a place to keep it is kept there now");
    house.status_of(|status| status.get("revocations").and_then(Value::as_u64) == Some(1));
}

/// A listener that is called otherwise is the same to its clients.
#[test]
fn an_upgrade_takes_a_listener_that_has_another_name() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = House::write(service(Arc::new(AtomicBool::new(true))), &address.to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("run").arg("--config").arg(directory.path()).stdin(Stdio::null());
    let house = House::started(directory, &mut command);
    let first = house.serving();
    let load = Load::begin(address);
    load.go_on_for(50);
    let main = house.path("portcullis.toml");
    let written = fs::read_to_string(&main).unwrap();
    fs::write(&main, written.replace("name = \"edge\"", "name = \"front\"").replace("workers = 2", "workers = 3"))
        .unwrap();
    let (status, reply) = house.order(Method::POST, "/upgrade", Bytes::new()).unwrap();
    assert_eq!(status, 200, "{reply}");
    house.status_of(|status| number(status) != first);
    load.go_on_for(50);
    load.end();
    let status = house.status_of(|_| true);
    assert_eq!(status.pointer("/listeners/0/name").and_then(Value::as_str), Some("front"));
}

#[test]
fn the_log_goes_on_at_another_level() {
    let house = House::run(service(Arc::new(AtomicBool::new(true))));
    let main = house.path("portcullis.toml");
    let written = fs::read_to_string(&main).unwrap();
    let in_force = |level: &str| {
        fs::write(&main, format!("{written}[log]\nlevel = \"{level}\"\n")).unwrap();
        assert_eq!(house.order(Method::POST, "/reload", Bytes::new()).unwrap().0, 200);
        fs::read_to_string(house.path("log")).unwrap().matches("is in force").count()
    };
    assert_eq!((in_force("error"), in_force("warn"), in_force("info")), (0, 0, 1));
}
