//! nginx as the service behind the proxy: answers 130 bytes, shows what it received, serves large files.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Running, Tools, free_port};

/// The headers that `/seen` shows, by the name of nginx's variable.
const SHOWN: [&str; 13] = [
    "host",
    "authorization",
    "cookie",
    "x_auth_user",
    "x_auth_groups",
    "x_forwarded_for",
    "x_forwarded_proto",
    "x_forwarded_prefix",
    "forwarded",
    "x_request_id",
    "traceparent",
    "connection",
    "x_probe",
];

/// A running nginx.
pub(crate) struct Nginx {
    running: Option<Running>,
    program: PathBuf,
    folder: PathBuf,
    /// `127.0.0.1:PORT`, plain HTTP.
    pub(crate) address: String,
}

impl Nginx {
    /// Starts it. `/api/…` answers 130 bytes, `/seen/…` JSON with the request line and headers, `/files/…` what
    /// `serve` wrote, `/status/503` that status.
    pub(crate) fn start(tools: &Tools, folder: &Path) -> Self {
        let folder = folder.join("nginx");
        std::fs::create_dir_all(folder.join("files")).unwrap();
        let mut nginx = Self { running: None, program: tools.command("nginx"), folder, address: String::new() };
        let mut told = Ok(());
        for _ in 0..5 {
            let port = free_port();
            std::fs::write(nginx.folder.join("nginx.conf"), configuration(port)).unwrap();
            nginx.address = format!("127.0.0.1:{port}");
            told = nginx.run();
            if told.is_ok() {
                return nginx;
            }
        }
        panic!("{told:?}")
    }

    fn run(&mut self) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(&self.folder).args(["-e", "stderr", "-c", "nginx.conf"]);
        self.running = Some(Running::start("nginx", &mut command, "using the \"epoll\" event method")?.0);
        Ok(())
    }

    /// Kills it with no chance to close anything; its port stays closed.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it where it was.
    pub(crate) fn start_again(&mut self) {
        self.run().unwrap();
    }

    /// Sends a signal, such as one that has it stand still.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        self.running.as_ref().unwrap().signal(signal);
    }

    /// Writes a file below `/files/`.
    pub(crate) fn serve(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.join("files").join(name), content).unwrap();
    }

    /// The access log: one line a request, `METHOD target status`.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn configuration(port: u16) -> String {
    let shown: Vec<String> = SHOWN.iter().map(|name| format!("\"{name}\":\"$http_{name}\"")).collect();
    let shown = shown.join(",");
    let body = format!("{:.<130}", "an answer of 130 bytes");
    format!(
        r#"
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; use epoll; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    log_format plain '$request_method $request_uri $status';
    access_log access.log plain;
    client_max_body_size 0;
    underscores_in_headers on;
    keepalive_requests 1000000;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port};
        location /api/ {{ return 200 '{body}'; }}
        location /seen/ {{
            default_type application/json;
            return 200 '{{"method":"$request_method","target":"$request_uri","protocol":"$server_protocol",{shown}}}';
        }}
        location /files/ {{ root .; }}
        location /status/503 {{ return 503 'busy'; }}
    }}
}}
"#
    )
}
