"""Portcullis, with all of its work switched on, and the variants whose growth is measured."""

from peer import Peer, free_port

PATIENCE = """
[timeouts]
head = "10m"
idle = "10m"
"""


class Portcullis(Peer):
    name, title = "portcullis", "Portcullis"
    note = "token cached, group list and SPIFFE ID tested, a record of every request in the audit log, metrics on."
    introspects = True
    # As it ships.
    program = "target/pgo/portcullis"
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
tls = {{ certificates = [{{ chain = "{c}/server.pem", key = "{c}/server.key" }}], min_version = "1.3", resumption = {str(place.tickets).lower()} }}
client_certificates = {{ mode = "required", trust = ["bench"] }}
[trust.bench]
ca = "{c}/ca.pem"
spiffe_trust_domain = "bench.local"
[issuer.bench]
url = "https://issuer.bench.local"
jwks = "{c}/jwks.json"
audiences = ["bench-api"]
algorithms = ["RS256", "ES256"]
[introspection.opaque]
url = "http://127.0.0.1:{place.services}/introspect"
issuer = "https://issuer.bench.local"
client = {{ id = "portcullis", auth = "client_secret_basic", secret = {{ file = "{c}/introspection.secret" }} }}
audiences = ["bench-api"]
match = {{ prefix = "opq_" }}
[upstream.service]
endpoints = ["http://127.0.0.1:{place.upstream}"]
identity = {{ user = "X-Auth-User", groups = "X-Auth-Groups" }}
[upstream.socket]
endpoints = ["http://127.0.0.1:{place.services}"]
[upstream.calls]
endpoints = ["http://127.0.0.1:{place.calls}"]
protocol = "h2c"
[audit]
file = {{ path = "decisions.jsonl" }}
[admin]
probes = "127.0.0.1:{free_port()}"
control = {{ socket = "control.sock" }}
[limits]
handshakes_per_address = 20000
{PATIENCE if place.patient else ""}""")
        routes = {"api": ("/{rest...}", "service"), "socket": ("/api/socket", "socket"), "calls": ("/api/echo.Echo/{rest...}", "calls")}
        (folder / "policies/api.toml").write_text("".join(f"""
[[route]]
name = "{name}"
host = "localhost"
path = "{path}"
methods = ["GET", "PUT", "POST"]
upstream = "{upstream}"
tokens = ["bench", "opaque"]
""" for name, (path, upstream) in routes.items()) + """
[[allow]]
name = "sre"
routes = ["api", "socket", "calls"]
request = { path = "/api/**" }
subject = { groups = { any = ["sre"] } }
device = { spiffe_id = "spiffe://bench.local/*" }
""")
        others = range(len(routes), self.routes)
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
        return [place.root / self.program, "run", "--config", folder]


class ManyRoutes(Portcullis):
    name, title, routes = "routes", "Portcullis, 10,000 routes", 10_000
    note = "the same among ten thousand routes, each with a rule of its own."


class TwoWorkers(Portcullis):
    name, title, workers = "two-workers", "Portcullis, two workers", 2
    note = "the same with two worker threads."
