"""The proxies of the comparison: how each is configured for the same work, started and ended."""

import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Place:
    """Where things are: the repository, the tools, this run's folder, and the upstream's port."""

    root: Path
    tools: Path
    folder: Path
    upstream: int


@dataclass
class Running:
    peer: "Peer"
    process: subprocess.Popen
    port: int
    log: Path
    resident_at_start: float = field(default=0.0)
    milliseconds_to_listen: float = field(default=0.0)

    @property
    def pid(self):
        return self.process.pid

    def last_words(self):
        print(self.log.read_text()[-3000:], file=sys.stderr)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Peer:
    """A proxy: `name` for the command line, `title` and `note` for the table."""

    name = title = note = ""
    authenticates = True

    def command(self, place, folder, port):
        """Writes the configuration into `folder` and gives the command line."""
        raise NotImplementedError

    def start(self, place):
        folder = place.folder / (self.name or "upstream")
        folder.mkdir()
        port = place.upstream if isinstance(self, Upstream) else free_port()
        log = folder / "log"
        command = self.command(place, folder, port)
        begun = time.monotonic()
        with log.open("w") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
        running = Running(self, process, port, log)
        deadline = time.monotonic() + 30
        while not listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                running.last_words()
                running.stop()
                sys.exit(f"{self.name} did not start")
            time.sleep(0.002)
        running.milliseconds_to_listen = (time.monotonic() - begun) * 1000
        status = Path(f"/proc/{process.pid}/status").read_text()
        running.resident_at_start = int(status.split("VmRSS:")[1].split()[0]) / 1024
        return running


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 12000; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    access_log off;
    keepalive_requests 100000000;
    {body}
}}
"""


class Upstream(Peer):
    """The service behind every proxy."""

    def command(self, place, folder, port):
        body = f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{'an answer of 130 bytes':.<130}'; }} location ~ ^/api/[0-9]+[km]$ {{ root {folder}/files; }} }}"
        (folder / "files/api").mkdir(parents=True)
        for name, size in (("64k", 64 << 10), ("16m", 16 << 20)):
            (folder / "files/api" / name).write_bytes(bytes(size))
        (folder / "nginx.conf").write_text(NGINX.format(body=body))
        return [place.tools / "nginx", "-p", folder, "-e", "stderr", "-c", "nginx.conf"]


class Nginx(Peer):
    name, title = "nginx", "nginx, no token"
    note = "client certificate required, then forwards: no token, no policy, no access log."
    authenticates = False

    def command(self, place, folder, port):
        c = place.folder / "c"
        body = f"""
    upstream up {{ server 127.0.0.1:{place.upstream}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {c}/server.pem; ssl_certificate_key {c}/server.key;
        ssl_client_certificate {c}/ca.pem; ssl_verify_client on;
        ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; ssl_session_tickets off; ssl_session_cache off;
        http2_max_concurrent_streams 256;
        location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
    }}"""
        (folder / "nginx.conf").write_text(NGINX.format(body=body))
        return [place.tools / "nginx", "-p", folder, "-e", "stderr", "-c", "nginx.conf"]


class Haproxy(Peer):
    name, title = "haproxy", "HAProxy"
    note = "verifies the token each time (it has no cache), reads the scope claim in place of the groups, knows no SPIFFE ID."

    def command(self, place, folder, port):
        c = place.folder / "c"
        (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 8000
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-bind-curves X25519
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{port} backlog 4096 ssl crt {c}/server.both.pem ca-file {c}/ca.pem verify required alpn h2,http/1.1
  http-request set-var(txn.b) http_auth_bearer
  http-request set-var(txn.alg) var(txn.b),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.b),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.b),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.b),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str https://issuer.bench.local }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str bench-api }}
  http-request deny deny_status 401 unless {{ var(txn.b),jwt_verify(txn.alg,"{c}/rsa.pub") 1 }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 unless {{ method GET }} {{ path_beg /api/ }} {{ var(txn.b),jwt_payload_query('$.scope') -m sub read }}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{place.upstream} maxconn 4096 pool-max-conn 1024
""")
        return [place.tools / "haproxy", "-db", "-q", "-f", folder / "haproxy.cfg"]


class Envoy(Peer):
    name, title = "envoy", "Envoy"
    note = "token cached, group list and SPIFFE ID tested, access log off."
    log = False

    def command(self, place, folder, port):
        c = place.folder / "c"
        access_log = f"""
          access_log:
          - name: file
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: {folder}/access.log }}""" if self.log else ""
        keys = (c / "jwks.json").read_text()
        (folder / "envoy.yaml").write_text(f"""
static_resources:
  listeners:
  - name: l
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          disable_stateless_session_resumption: true
          disable_stateful_session_resumption: true
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3, ecdh_curves: [X25519] }}
            tls_certificates: [{{ certificate_chain: {{ filename: {c}/server.pem }}, private_key: {{ filename: {c}/server.key }} }}]
            validation_context: {{ trusted_ca: {{ filename: {c}/ca.pem }} }}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: h
          codec_type: AUTO
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: {{ uri: true, dns: true, subject: true }}
          normalize_path: true{access_log}
          route_config:
            virtual_hosts: [{{ name: v, domains: ["*"], routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: up }} }}] }}]
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                p:
                  issuer: https://issuer.bench.local
                  audiences: [bench-api]
                  payload_in_metadata: jwt
                  forward: true
                  local_jwks: {{ inline_string: '{keys}' }}
                  jwt_cache_config: {{ jwt_cache_size: 10000, jwt_max_token_size: 8192 }}
              rules: [{{ match: {{ prefix: "/" }}, requires: {{ provider_name: p }} }}]
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  p1:
                    permissions:
                    - and_rules:
                        rules:
                        - header: {{ name: ":method", string_match: {{ exact: GET }} }}
                        - url_path: {{ path: {{ prefix: "/api/" }} }}
                    principals:
                    - and_ids:
                        ids:
                        - authenticated: {{ principal_name: {{ prefix: "spiffe://bench.local/" }} }}
                        - metadata:
                            filter: envoy.filters.http.jwt_authn
                            path: [{{ key: jwt }}, {{ key: groups }}]
                            value: {{ list_match: {{ one_of: {{ string_match: {{ exact: sre }} }} }} }}
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: up
    type: STATIC
    load_assignment: {{ cluster_name: up, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {place.upstream} }} }} }} }}] }}] }}
""")
        return [place.tools / "envoy", "-c", folder / "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]


class EnvoyWithLog(Envoy):
    name, title = "envoy-log", "Envoy, access log on"
    note = "the same, and a line of access log per request, as Portcullis leaves a record of each."
    log = True


class Floor(Peer):
    name, title = "floor", "bare hyper + rustls"
    note = "client certificate required, then forwards: the floor of this stack."
    authenticates = False

    def command(self, place, folder, port):
        return [place.root / "target/dist/floor", "proxy", f"127.0.0.1:{port}", f"127.0.0.1:{place.upstream}", place.folder / "c"]


class Portcullis(Peer):
    name, title = "portcullis", "Portcullis"
    note = "token cached, group list and SPIFFE ID tested, a record of every request in the audit log, metrics on."
    workers = 1
    routes = 10

    def command(self, place, folder, port):
        c = place.folder / "c"
        (folder / "policies").mkdir()
        (folder / "portcullis.toml").write_text(f"""
workers = {self.workers}
[[listener]]
name = "edge"
address = "127.0.0.1:{port}"
tls = {{ certificates = [{{ chain = "{c}/server.pem", key = "{c}/server.key" }}], min_version = "1.3" }}
client_certificates = {{ mode = "required", trust = ["bench"] }}
[trust.bench]
ca = "{c}/ca.pem"
spiffe_trust_domain = "bench.local"
[issuer.bench]
url = "https://issuer.bench.local"
jwks = "{c}/jwks.json"
audiences = ["bench-api"]
algorithms = ["RS256"]
[upstream.service]
endpoints = ["http://127.0.0.1:{place.upstream}"]
identity = {{ user = "X-Auth-User", groups = "X-Auth-Groups" }}
[audit]
file = {{ path = "decisions.jsonl" }}
[admin]
probes = "127.0.0.1:{free_port()}"
control = {{ socket = "control.sock" }}
[limits]
handshakes_per_address = 20000
""")
        (folder / "policies/api.toml").write_text("""
[[route]]
name = "api"
host = "localhost"
path = "/{rest...}"
methods = ["GET"]
upstream = "service"
tokens = ["bench"]
[[allow]]
name = "sre"
routes = ["api"]
request = { path = "/api/**" }
subject = { groups = { any = ["sre"] } }
device = { spiffe_id = "spiffe://bench.local/*" }
""")
        others = range(1, self.routes)
        (folder / "policies/others.toml").write_text("".join(f"""
[[route]]
name = "other-{number}"
host = "localhost"
path = "/other/{number}/{{rest...}}"
methods = ["GET"]
upstream = "service"
tokens = ["bench"]
[[allow]]
name = "other-{number}"
routes = ["other-{number}"]
subject = {{ groups = {{ any = ["nobody"] }} }}
""" for number in others))
        return [place.root / "target/dist/portcullis", "run", "--config", folder]


class ManyRoutes(Portcullis):
    name, title, routes = "routes", "Portcullis, 10,000 routes", 10_000
    note = "the same among ten thousand routes, each with a rule of its own."


class TwoWorkers(Portcullis):
    name, title, workers = "two-workers", "Portcullis, two workers", 2
    note = "the same with two worker threads."


VARIANTS = [ManyRoutes(), TwoWorkers()]
LINEUP = [Portcullis(), Nginx(), Haproxy(), Envoy(), EnvoyWithLog(), Floor()]
USUAL = [peer.name for peer in LINEUP]
