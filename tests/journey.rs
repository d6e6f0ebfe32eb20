//! The whole journey in one process: a real server, a real identity provider, a real service, real TLS.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use portcullis::demo::{Caller, Certificates, Echo, Endpoint, IdentityProvider, Mood, Names};
use portcullis::server::{Server, start};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A gate in front of an echo service.
struct House {
    directory: TempDir,
    provider: IdentityProvider,
    _echo: Echo,
    /// Tells of every answer that has begun and does not end.
    begun: mpsc::UnboundedReceiver<()>,
    server: Option<Server>,
}

const POLICY: &str = r#"
[[route]]
name     = "wiki"
host     = "localhost"
path     = "/wiki/{rest...}"
methods  = ["GET", "POST"]
upstream = "echo"
tokens   = ["corp", "partners"]

[[route]]
name     = "endless"
host     = "localhost"
path     = "/endless"
methods  = ["GET"]
upstream = "endless"
tokens   = ["corp"]

[[route]]
name     = "hidden"
host     = "localhost"
path     = "/hidden"
methods  = ["GET"]
upstream = "echo"
tokens   = ["corp"]
conceal  = true

[[route]]
name     = "open"
host     = "localhost"
path     = "/open"
methods  = ["GET"]
upstream = "echo"

[[route]]
name     = "machines"
host     = "localhost"
path     = "/machines"
methods  = ["GET"]
upstream = "echo"

[[route]]
name           = "old-wiki"
host           = "localhost"
path           = "/old/{rest...}"
methods        = ["GET"]
upstream       = "echo"
tokens         = ["corp"]
prefix_rewrite = { from = "/old", to = "/wiki", shares_paths_with = ["wiki"] }

[[allow]]
name   = "what is forwarded"
routes = ["old-wiki"]
when   = "request.path == '/wiki/page' && request.path_params.rest == 'page'"
subject = { groups = { any = ["finance"] } }

[[allow]]
name    = "finance"
routes  = ["wiki", "hidden", "endless"]
subject = { groups = { any = ["finance"] } }

[[allow]]
name    = "partners"
routes  = ["wiki"]
subject = { client_id = ["acme"] }

[[allow]]
name      = "everybody"
routes    = ["open"]
anonymous = true

[[allow]]
name   = "laptops"
routes = ["machines"]
device = { spiffe_id = "spiffe://demo.portcullis.example/device/*" }
"#;

/// A service whose answers begin and do not end.
async fn endless() -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, begun) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                let first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
                stream.write_all(first).await.unwrap();
                let _ = tell.send(());
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    (address, begun)
}

impl House {
    async fn open() -> Self {
        let mut house = Self::build().await;
        house.start().await;
        house.ready().await;
        house
    }

    /// Waits until the first keys are here.
    async fn ready(&self) {
        for _ in 0..500 {
            if self.server().overview().not_ready().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn build() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (provider, echo) = (IdentityProvider::start().await.unwrap(), Echo::start().await.unwrap());
        let (endless, begun) = endless().await;
        let certificates = Certificates::make(&Names::default(), Timestamp::now()).unwrap();
        certificates.write(&directory.path().join("certs"), false).unwrap();
        fs::create_dir(directory.path().join("policies")).unwrap();
        fs::write(directory.path().join("policies/wiki.toml"), POLICY).unwrap();
        fs::write(directory.path().join("secret"), provider.client_secret("portcullis").unwrap()).unwrap();
        let main = format!(
            r#"
workers = 2
state = "state"
[[listener]]
name    = "edge"
address = "127.0.0.1:0"
tls     = {{ certificates = [{{ chain = "certs/server.pem", key = "certs/server.key" }}] }}
client_certificates = {{ mode = "optional", trust = ["demo"] }}
[trust.demo]
ca = "certs/ca.pem"
spiffe_trust_domain = "demo.portcullis.example"
[issuer.corp]
url = "{issuer}"
audiences = ["wiki"]
[introspection.partners]
url = "{introspection}"
client = {{ id = "portcullis", auth = "client_secret_basic", secret = {{ file = "secret" }} }}
audiences = ["wiki"]
match = {{ prefix = "ptk_" }}
cache = {{ positive = "1s", negative = "1s", max_entries = 1000 }}
[upstream.echo]
endpoints = ["http://{echo}"]
identity = {{ user = "X-Auth-User", groups = "X-Auth-Groups", assertion = "X-Assertion" }}
[assertion]
issuer = "https://gate.example"
listener = "edge"
[upstream.endless]
endpoints = ["http://{endless}"]
[audit]
file = {{ path = "audit.jsonl" }}
[admin]
probes = "127.0.0.1:0"
control = {{ socket = "control.sock" }}
[timeouts]
drain = "2s"
"#,
            issuer = provider.issuer(),
            introspection = provider.url(Endpoint::Introspection),
            echo = echo.address(),
        );
        fs::write(directory.path().join("portcullis.toml"), main).unwrap();
        Self { directory, provider, _echo: echo, begun, server: None }
    }

    async fn start(&mut self) {
        self.server = Some(start(self.path()).await.unwrap());
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join("certs").join(name)
    }

    /// A client that shows the certificate `identity`, or none.
    fn client(&self, identity: Option<&str>) -> Caller {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::pem_file_iter(self.file(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        Caller::secure(self.server().address("edge").unwrap(), Arc::new(config))
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Response<Bytes> {
        self.client(None).call(request(path, token)).await.unwrap()
    }

    /// The records, as soon as there are so many; none when that takes too long.
    async fn records(&self, expected: usize) -> Vec<Value> {
        // The writer empties its lanes ten times a second.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = fs::read_to_string(self.path().join("audit.jsonl")).unwrap();
            if text.lines().count() >= expected {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
        }
        Vec::new()
    }
}

fn request(path: &str, token: Option<&str>) -> Request<Bytes> {
    let mut request = Request::get(format!("https://localhost{path}"));
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Bytes::new()).unwrap()
}

fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_its_groups_allow_and_the_service_sees_who_asks_and_no_token() {
    let house = House::open().await;
    let token = house.provider.token("alice").audience("wiki").jwt();
    let mut asked = request("/wiki/page?x=1", Some(&token));
    asked.headers_mut().insert("x-auth-user", "mallory".parse().unwrap());
    asked.headers_mut().insert("x_auth_groups", "admins".parse().unwrap());
    let response = house.client(None).call(asked).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = json(&response);
    assert_eq!(seen["target"], "/wiki/page?x=1");
    assert_eq!(seen["headers"]["x-auth-user"], "alice");
    assert_eq!(seen["headers"]["x-auth-groups"], "staff,finance");
    assert!(seen["headers"].get("x_auth_groups").is_none() && seen["headers"].get("authorization").is_none());
    assert_eq!(seen["headers"]["x-request-id"], response.headers()["x-request-id"].to_str().unwrap());
    assert!(!seen.to_string().contains(&token));

    let records = house.records(1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["decision"], "allow");
    assert_eq!(records[0]["rule"], "finance");
    assert_eq!(records[0]["subject"]["sub"], "alice");
    assert_eq!(records[0]["path"], "/wiki/page");
    assert_eq!(records[0]["id"], response.headers()["x-request-id"].to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_path_is_what_rules_and_service_see_and_the_record_has_both() {
    let house = House::open().await;
    let token = house.provider.token("alice").audience("wiki").jwt();
    let mut asked = request("/old/page?x=/old", Some(&token));
    asked.headers_mut().insert("x-forwarded-prefix", "/mallory".parse().unwrap());
    let response = house.client(None).call(asked).await.unwrap();
    assert_eq!(response.status(), 200);
    let seen = json(&response);
    assert_eq!(seen["target"], "/wiki/page?x=/old");
    assert_eq!(seen["headers"]["x-forwarded-prefix"], "/old");
    assert_eq!(house.get("/old/other", Some(&token)).await.status(), 403);
    // No rewrite, nothing said of one.
    let plain = json(&house.get("/wiki/page", Some(&token)).await);
    assert!(plain["headers"].get("x-forwarded-prefix").is_none());

    let records = house.records(3).await;
    // Two workers may have served them: their records come in either order.
    let told = |path: &str| {
        let record = records.iter().find(|record| record["path"] == path).unwrap();
        (record["rewritten"].as_str(), record["rule"].as_str())
    };
    assert_eq!(told("/old/page"), (Some("/wiki/page"), Some("what is forwarded")));
    assert_eq!(told("/old/other"), (Some("/wiki/other"), None));
    assert_eq!(told("/wiki/page"), (None, Some("finance")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_status_its_reason_and_its_record() {
    let house = House::open().await;
    let token = |person: &str| house.provider.token(person).audience("wiki");
    let cases = [
        ("/wiki/a", None, 401, "credential-missing"),
        ("/wiki/a", Some(token("bob").jwt()), 403, "no-rule-allows"),
        ("/wiki/a", Some(token("alice").audience("other").jwt()), 401, "token-audience"),
        ("/wiki/a", Some(token("alice").expires_in(SignedDuration::from_hours(-1)).jwt()), 401, "token-expired"),
        ("/wiki/a", Some(token("alice").forged().jwt()), 401, "token-signature"),
        ("/wiki/a", Some(token("alice").header("typ", "JWT").jwt()), 401, "token-type"),
        ("/wiki/a", Some(token("alice").claim("iss", "https://evil.example").jwt()), 401, "token-source"),
        ("/wiki/a", Some("ptk_made-up".into()), 401, "token-inactive"),
        ("/wiki/a", Some("not a token".into()), 400, "credential-malformed"),
        ("/wiki/a?access_token=x", None, 400, "token-in-query"),
        ("/open", Some(token("alice").forged().jwt()), 401, "token-source"),
        ("/wiki/../open", None, 400, "path-ambiguous"),
        ("/wiki//a", None, 400, "path-ambiguous"),
        ("/nowhere", None, 404, "route-unknown"),
        ("/hidden", None, 404, "route-unknown"),
        ("/machines", None, 403, "no-rule-allows"),
    ];
    for (path, token, status, reason) in &cases {
        let response = house.get(path, token.as_deref()).await;
        let problem = json(&response);
        assert_eq!((response.status().as_u16(), problem["reason"].as_str().unwrap()), (*status, *reason), "{path}");
        let challenged = *status == 401 || ["credential-malformed", "token-in-query"].contains(reason);
        assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), challenged, "{path} {reason}");
        if let Some(token) = token {
            assert!(!format!("{response:?}").contains(token.as_str()), "the answer shows the token");
        }
    }
    let text = fs::read_to_string(house.path().join("audit.jsonl"));
    house.server.unwrap().shutdown().await;
    let records = fs::read_to_string(house.directory.path().join("audit.jsonl")).unwrap();
    assert_eq!(records.lines().count(), cases.len(), "one record each: {text:?}");
    assert!(!records.contains("ptk_made-up") && !records.contains("access_token"));
    assert!(records.contains("credential-missing") && records.contains("\"route\":\"hidden\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_token_is_told_where_to_get_one() {
    let house = House::open().await;
    let refused = house.get("/wiki/a", None).await;
    let challenge = refused.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    let metadata = challenge.strip_prefix("Bearer resource_metadata=\"https://").unwrap().strip_suffix('"').unwrap();
    let path = metadata.split_once('/').map(|(_, path)| format!("/{path}")).unwrap();
    let response = house.get(&path, None).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (200, "application/json")
    );
    let told = json(&response);
    assert!(told["resource"].as_str().unwrap().starts_with("https://localhost"));
    assert_eq!(told["authorization_servers"], serde_json::json!([house.provider.issuer()]));
    assert_eq!(told["bearer_methods_supported"], serde_json::json!(["header"]));
    assert!(told["dpop_signing_alg_values_supported"].as_array().unwrap().contains(&"ES256".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_counts_until_it_is_revoked() {
    let house = House::open().await;
    let token = house.provider.client_token("acme").audience("wiki").opaque();
    assert_eq!(house.get("/wiki/a", Some(&token)).await.status(), 200);
    assert_eq!(house.get("/wiki/a", Some(&token)).await.status(), 200);
    assert_eq!(house.provider.asked(Endpoint::Introspection), 1, "the second answer comes from the cache");
    house.provider.revoke(&token);
    let mut last = 200;
    // The cache's positive life is one second; ten rounds are far more.
    for _ in 0..40 {
        last = house.get("/wiki/a", Some(&token)).await.status().as_u16();
        if last != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(last, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_over_the_control_socket_ends_at_once_in_every_worker() {
    let house = House::open().await;
    let socket = house.path().join("control.sock");
    let order = async |body: String| {
        let (status, _) = portcullis::admin::call(&socket, http::Method::POST, "/revoke", body.into()).await.unwrap();
        status.as_u16()
    };
    let (first, second) =
        (house.provider.token("alice").audience("wiki").jwt(), house.provider.token("alice").audience("wiki").jwt());
    for _ in 0..8 {
        assert_eq!(house.get("/wiki/a", Some(&first)).await.status(), 200);
    }
    assert_eq!(order(format!(r#"{{"token":"{first}"}}"#)).await, 200);
    for _ in 0..8 {
        let refused = house.get("/wiki/a", Some(&first)).await;
        assert_eq!((refused.status().as_u16(), json(&refused)["reason"].as_str()), (401, Some("token-revoked")));
    }
    assert_eq!(house.get("/wiki/a", Some(&second)).await.status(), 200, "another token of hers");
    assert_eq!(order(format!(r#"{{"issuer":"{}","sub":"alice"}}"#, house.provider.issuer())).await, 200);
    assert_eq!(house.get("/wiki/a", Some(&second)).await.status(), 401);
    assert_eq!(order("{}".into()).await, 422);
}

/// An order, a reload: what is open is decided on again, in mid-stream.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_when_it_is_no_longer_allowed() {
    for ends in ["token", "sub", "reload"] {
        let mut house = House::open().await;
        let token = house.provider.token("alice").audience("wiki").jwt();
        let client = house.client(None);
        let open = tokio::spawn({
            let request = request("/endless", Some(&token));
            async move { client.call(request).await }
        });
        house.begun.recv().await.unwrap();
        let order = match ends {
            "token" => format!(r#"{{"token":"{token}"}}"#),
            "sub" => format!(r#"{{"issuer":"{}","sub":"alice"}}"#, house.provider.issuer()),
            _ => {
                let policy = POLICY.replace("any = [\"finance\"]", "any = [\"auditors\"]");
                fs::write(house.path().join("policies/wiki.toml"), policy).unwrap();
                String::new()
            }
        };
        if order.is_empty() {
            let reply = house.server().reload().await;
            assert!(reply.done, "{}", reply.message);
        } else {
            let socket = house.path().join("control.sock");
            portcullis::admin::call(&socket, http::Method::POST, "/revoke", order.into()).await.unwrap();
        }
        let outcome = tokio::time::timeout(Duration::from_secs(20), open).await;
        outcome.unwrap_or_else(|_| panic!("{ends}: it goes on")).unwrap().unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_what_asks_for_a_device_and_a_wrong_one_opens_nothing() {
    let house = House::open().await;
    let ask = async |identity: &str, path: &str| {
        let response = house.client(Some(identity)).call(request(path, None)).await.unwrap();
        (response.status().as_u16(), json(&response)["reason"].as_str().map(str::to_owned))
    };
    assert_eq!(ask("device", "/machines").await, (200, None));
    assert_eq!(ask("workload", "/machines").await, (403, Some("no-rule-allows".into())));
    for wrong in ["rogue", "expired", "wrong-purpose"] {
        for path in ["/machines", "/open"] {
            assert_eq!(ask(wrong, path).await, (403, Some("certificate-refused".into())), "{wrong} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_at_the_start_closes_its_own_routes_and_recovers_by_itself() {
    let mut house = House::build().await;
    house.provider.behave_everywhere(Mood::Failing);
    house.start().await;
    let token = house.provider.token("alice").audience("wiki").jwt();
    let refused = house.get("/wiki/a", Some(&token)).await;
    assert_eq!((refused.status().as_u16(), json(&refused)["reason"].as_str()), (503, Some("issuer-unavailable")));
    assert!(refused.headers().contains_key(RETRY_AFTER));
    let opaque = house.get("/wiki/a", Some("ptk_x")).await;
    assert_eq!((opaque.status().as_u16(), json(&opaque)["reason"].as_str()), (503, Some("introspection-unavailable")));
    assert_eq!(house.get("/open", None).await.status(), 200, "everything else goes on");
    house.provider.behave_everywhere(Mood::Well);
    let mut status = 0;
    for _ in 0..150 {
        status = house.get("/wiki/a", Some(&token)).await.status().as_u16();
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_swaps_the_policy_and_a_bad_one_keeps_the_old() {
    let house = House::open().await;
    assert_eq!(house.get("/open", None).await.status(), 200);
    let policy = house.path().join("policies/wiki.toml");

    fs::write(&policy, POLICY.replace("anonymous = true", "anonymos = true")).unwrap();
    let reply = house.server().reload().await;
    assert!(!reply.done && reply.message.contains("did you mean `anonymous`?"), "{}", reply.message);
    assert_eq!(house.get("/open", None).await.status(), 200);

    fs::write(&policy, POLICY.replace("path     = \"/open\"", "path     = \"/opened\"")).unwrap();
    let reply = house.server().reload().await;
    assert!(reply.done && reply.message.ends_with(": route `open` changed (may answer others)"), "{}", reply.message);
    assert_eq!(house.get("/open", None).await.status(), 404);
    assert_eq!(house.get("/opened", None).await.status(), 200);
    assert!(house.server().reload().await.message.contains("nothing has changed"));

    let main = house.path().join("portcullis.toml");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, text.replace("workers = 2", "workers = 3")).unwrap();
    let reply = house.server().reload().await;
    assert!(!reply.done && reply.message.contains("`portcullis upgrade` serves with it"), "{}", reply.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_watched_changes_no_answer_and_is_recorded_and_counted() {
    let mut house = House::build().await;
    let shadow = "[[deny]]\nname = \"no wiki for alice\"\nroutes = [\"wiki\"]\nmode = \"shadow\"\n\
                  when_absent = \"skip\"\nsubject = { issuer = \"corp\", sub = \"alice\" }\n";
    fs::write(house.path().join("policies/shadow.toml"), shadow).unwrap();
    house.start().await;
    house.ready().await;
    let token = house.provider.token("alice").audience("wiki").jwt();
    assert_eq!(house.get("/wiki/a", Some(&token)).await.status(), 200);
    assert_eq!(house.get("/open", None).await.status(), 200);
    let records = house.records(2).await;
    // Two workers may have served them: their records come in either order.
    let (wiki, open): (Vec<_>, Vec<_>) = records.iter().partition(|record| record["path"] == "/wiki/a");
    assert_eq!((wiki.len(), open.len()), (1, 1));
    assert_eq!(wiki[0]["decision"], "allow");
    assert_eq!(wiki[0]["watched"], serde_json::json!({ "decision": "deny", "rule": "no wiki for alice" }));
    assert!(open[0].get("watched").is_none());

    // A whole candidate: evaluated beside, by the names of routes.
    fs::create_dir(house.path().join("next")).unwrap();
    let next = POLICY.replace("any = [\"finance\"]", "any = [\"auditors\"]");
    fs::write(house.path().join("next/wiki.toml"), next).unwrap();
    let main = fs::read_to_string(house.path().join("portcullis.toml")).unwrap();
    fs::write(house.path().join("portcullis.toml"), format!("{main}[policy]\ncandidate = \"next\"\n")).unwrap();
    let reply = house.server().reload().await;
    assert!(reply.done, "{}", reply.message);
    assert_eq!(house.get("/wiki/b", Some(&token)).await.status(), 200);
    let watched = |allowed| {
        portcullis::telemetry::total(house.server().overview().meters.iter().map(|m| &**m), |m| {
            m.watched(allowed).value()
        })
    };
    assert_eq!((watched(true), watched(false)), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed() {
    let house = House::open().await;
    let policy = house.path().join("policies/wiki.toml");
    fs::write(&policy, POLICY.replace("path     = \"/open\"", "path     = \"/opened\"")).unwrap();
    let mut status = 0;
    for _ in 0..100 {
        status = house.get("/opened", None).await.status().as_u16();
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_is_the_owners_alone_and_the_state_has_no_identity_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::open().await;
    let token = house.provider.token("alice").audience("wiki").jwt();
    assert_eq!(house.get("/wiki/a", Some(&token)).await.status(), 200);
    let socket = house.path().join("control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (status, body) = portcullis::admin::call(&socket, http::Method::GET, "/status", Bytes::new()).await.unwrap();
    assert_eq!(status, 200);
    let state: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((state["ready"].as_bool(), state["workers"].as_u64()), (Some(true), Some(2)));
    assert_eq!(
        (&state["endpoints"][0]["upstream"], &state["endpoints"][0]["in_service"]),
        (&"echo".into(), &true.into())
    );
    assert!(!state.to_string().contains("alice"));
    let large = Bytes::from(vec![b' '; 129 * 1024]);
    let (status, _) = portcullis::admin::call(&socket, http::Method::POST, "/revoke", large).await.unwrap();
    assert_eq!(status, 413);
    let of_a_page = "POST /reload HTTP/1.1\r\nhost: localhost\r\norigin: null\r\ncontent-length: 0\r\n\r\n";
    let mut page = tokio::net::UnixStream::connect(&socket).await.unwrap();
    page.write_all(of_a_page.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    page.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 403", "a page in a browser gives no orders");
    assert!(portcullis::server::start(house.path()).await.is_err(), "a second process cannot take the socket");
    house.server.unwrap().shutdown().await;
    assert!(!socket.exists());
}

/// The claims of the assertion that the service saw, once its signature is verified by the keys that the gate publishes.
async fn asserted(house: &House, seen: &Value) -> Value {
    let keys = house.get("/.well-known/portcullis/jwks.json", None).await;
    assert_eq!(keys.status(), 200);
    assert_eq!(keys.headers().get("content-type").unwrap(), "application/jwk-set+json");
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(keys.body()).unwrap();
    let assertion = seen.pointer("/headers/x-assertion").and_then(Value::as_str).unwrap();
    let header = jsonwebtoken::decode_header(assertion).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut expected = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    expected.set_issuer(&["https://gate.example"]);
    expected.set_audience(&["echo"]);
    jsonwebtoken::decode::<Value>(assertion, &key, &expected).unwrap().claims
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_told_who_asks_by_an_assertion_that_it_can_verify() {
    let mut house = House::open().await;
    let token = house.provider.token("alice").audience("wiki").jwt();
    let seen = json(&house.client(Some("device")).call(request("/wiki/a", Some(&token))).await.unwrap());
    let claims = asserted(&house, &seen).await;
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["sub_issuer"], house.provider.issuer());
    assert_eq!(claims["groups"], serde_json::json!(["staff", "finance"]));
    assert_eq!(claims["device"]["spiffe_id"], "spiffe://demo.portcullis.example/device/laptop-7");

    // An opaque token outside is a JWT inside; a certificate alone speaks for itself.
    let opaque = house.provider.token("acme").audience("wiki").claim("client_id", "acme").opaque();
    let seen = json(&house.get("/wiki/a", Some(&opaque)).await);
    assert_eq!(asserted(&house, &seen).await["client_id"], "acme");
    let seen = json(&house.client(Some("device")).call(request("/machines", None)).await.unwrap());
    let claims = asserted(&house, &seen).await;
    assert_eq!(claims["sub"], "spiffe://demo.portcullis.example/device/laptop-7");
    assert!(claims.get("sub_issuer").is_none());

    // Nobody in particular has none, whatever they send.
    let mut forged = request("/open", None);
    forged.headers_mut().insert("x-assertion", "eyJ.eyJ.x".parse().unwrap());
    forged.headers_mut().insert("x_assertion", "eyJ.eyJ.x".parse().unwrap());
    let seen = json(&house.client(None).call(forged).await.unwrap());
    assert!(!seen["headers"].to_string().contains("assertion"));

    // The key outlives the process.
    let before = house.get("/.well-known/portcullis/jwks.json", None).await;
    house.server.take().unwrap().shutdown().await;
    house.start().await;
    assert_eq!(house.get("/.well-known/portcullis/jwks.json", None).await.body(), before.body());
    assert_eq!(house.get("/.well-known/portcullis/other", None).await.status(), 404);
}
