//! Tokens among real authorization servers: one that signs its answers, one that exchanges tokens, a second provider, and a
//! thousand requests with one token that nobody knows.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Canaille, Gate, Ground, H2load, IdentityProvider, Nginx, Plan, Scripted, Tools, reply};

const POLICY: &str = r#"
[[route]]
name     = "seen"
host     = "localhost"
path     = "/seen/{rest...}"
methods  = ["GET"]
upstream = "service"
tokens   = ["corp", "partners"]

[[allow]]
name    = "whoever is known"
routes  = ["seen"]
subject = { issuer = ["corp", "partners"] }
"#;

/// Another host name or another path to the same service.
fn with_upstream(policy: &str, upstream: &str) -> String {
    policy.replace("upstream = \"service\"", &format!("upstream = \"{upstream}\""))
}

#[test]
fn a_real_server_signs_its_answers() {
    let Some(ground) = Ground::lay() else { return };
    let (nginx, provider) = (ground.nginx(), &ground.provider);
    let mut plan = Plan::between(&nginx, provider, POLICY);
    plan.sources = plan.sources.replace("[introspection.partners]", "[introspection.partners]\nsigned_by = \"corp\"");
    plan.sources = plan.sources.replace("id = \"portcullis\"", "id = \"portcullis-signed\"");
    let mut gate = Gate::prepare(ground.folder.path(), &plan);
    std::fs::write(gate.file("introspection.secret"), IdentityProvider::secret("portcullis-signed")).unwrap();
    gate.run();
    gate.ready();
    let token = provider.token("sre", "opaque");
    let answer = gate.get_with("/seen/it", &token);
    assert_eq!((answer.status, &answer.json()["x_auth_user"]), (200, &"sre".into()), "{}", answer.text());
    assert_eq!(gate.get_with("/seen/it", "made-up").json()["reason"], "token-inactive");
    assert_eq!(gate.probe("/status").json()["degraded"], false);
}

#[test]
fn a_service_gets_a_token_of_its_own_from_a_real_server() {
    let Some(ground) = Ground::lay() else { return };
    let (nginx, provider) = (ground.nginx(), &ground.provider);
    let mut plan = Plan::between(&nginx, provider, &with_upstream(POLICY, "ledger"));
    let exchange = |audience: &str| {
        format!(
            "[upstream.ledger]\nendpoints = [\"http://{}\"]\n[upstream.ledger.exchange]\nurl = \"{}/token\"\n\
             audience = \"{audience}\"\nca = \"{}\"\n\
             client = {{ id = \"portcullis\", auth = \"client_secret_basic\", secret = {{ file = \"introspection.secret\" }} }}\n",
            nginx.address,
            provider.issuer,
            provider.authority.display(),
        )
    };
    let service = plan.upstreams.clone();
    plan.upstreams = format!("{service}{}", exchange("urn:api:es256"));
    let gate = ground.gate(&plan);
    let token = provider.token("sre", "opaque");
    let seen = gate.get_with("/seen/it", &token);
    assert_eq!(seen.status, 200, "{}", seen.text());
    let own = seen.json()["authorization"].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    assert_ne!(own, token);
    assert_eq!(gate.get_with("/seen/it", &token).json()["authorization"], format!("Bearer {own}"), "not asked again");
    // It is what the service takes it for: a JWT of the provider's for `urn:api:es256`, about the same client.
    let inspected = inspect(&gate, &own);
    assert!(inspected.contains(r#""source":"corp""#) && inspected.contains(r#""refused":null"#), "{inspected}");

    // What was issued for a token that is revoked here goes on no more.
    let reached = nginx.log().len();
    assert!(gate.order("revoke", &["--issuer", &provider.issuer, "--sub", "sre"]).status.success());
    assert_eq!(gate.get_with("/seen/it", &token).json()["reason"], "token-revoked");
    assert_eq!(nginx.log().len(), reached);
    let token = provider.token("contractor", "opaque");

    // For an audience that the server does not know, it says no, and nothing goes on instead.
    let before = nginx.log().len();
    plan.upstreams = format!("{service}{}", exchange("urn:api:nobody"));
    gate.write(&plan);
    assert!(gate.order("reload", &[]).status.success());
    let refused = gate.get_with("/seen/it", &token);
    assert_eq!((refused.status, &refused.json()["reason"]), (502, &"exchange-refused".into()));
    assert!(gate.record_of(&refused)["detail"].as_str().unwrap().contains("invalid_target"));
    assert_eq!(nginx.log().len(), before);
    assert!(!refused.text().contains(&token));
}

/// What `portcullis token inspect` says.
fn inspect(gate: &Gate, token: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["token", "inspect", "--output", "json", "--config"]).arg(gate.file(""));
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_second_provider_is_understood() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (nginx, canaille) = (Nginx::start(&tools, folder.path()), Canaille::start(&tools));
    let mut plan = Plan::open(&nginx.address);
    // Its signed tokens are of type JWT, live ten days, and are for the client that gets them.
    plan.sources = format!(
        r#"
[issuer.corp]
url          = "{issuer}"
audiences    = ["machine"]
algorithms   = ["RS512"]
token_types  = ["JWT"]
max_lifetime = "11d"

[introspection.partners]
url       = "{issuer}/oauth/introspect"
issuer    = "{issuer}"
client    = {{ id = "machine", auth = "client_secret_basic", secret = {{ file = "introspection.secret" }} }}
audiences = ["machine"]
cache     = {{ positive = "0s", negative = "0s" }}
"#,
        issuer = canaille.issuer,
    );
    plan.upstreams.push_str("identity = { user = \"X-Auth-User\" }\n");
    POLICY.clone_into(&mut plan.policy);
    let mut gate = Gate::prepare(folder.path(), &plan);
    std::fs::write(gate.file("introspection.secret"), Canaille::SECRET).unwrap();
    gate.run();
    gate.ready();
    let user = |token: &str| {
        let answer = gate.get_with("/seen/it", token);
        (answer.status, answer.json()["x_auth_user"].as_str().unwrap_or_default().to_owned())
    };
    // Discovery and keys.
    let signed = canaille.token("grant_type=password&username=alice&password=correct-horse&scope=openid%20profile");
    assert_eq!(user(&signed), (200, "alice".into()));
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged: String = [message, "."].concat().chars().chain([first]).chain(signature.chars().skip(1)).collect();
    assert_eq!(gate.get_with("/seen/it", &forged).json()["reason"], "token-signature");
    // Introspection.
    let opaque = canaille.token("grant_type=client_credentials&scope=profile");
    assert!(!opaque.contains('.'));
    assert_eq!(user(&opaque), (200, "machine".into()), "a token of nobody stands for its client");
    canaille.revoke(&opaque);
    assert_eq!(gate.get_with("/seen/it", &opaque).json()["reason"], "token-inactive");
    assert_eq!(gate.get_with("/seen/it", "made-up").json()["reason"], "token-inactive");
    assert_eq!(gate.probe("/status").json()["degraded"], false);
    // It signs no answers. Where signed ones are wanted, what it says of a good token is nothing.
    let opaque = canaille.token("grant_type=client_credentials&scope=profile");
    plan.sources = plan.sources.replace("[introspection.partners]", "[introspection.partners]\nsigned_by = \"corp\"");
    gate.write(&plan);
    assert!(gate.order("reload", &[]).status.success());
    let refused = gate.get_with("/seen/it", &opaque);
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &"introspection-unavailable".into()));
    assert_eq!(gate.probe("/status").json()["token_sources"][1]["last_error"], "unsigned");
}

#[test]
fn a_thousand_requests_with_one_unknown_token_are_one_question() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&tools, folder.path());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = Scripted::start(move |_, socket| {
        counted.fetch_add(1, Ordering::SeqCst);
        // As slow as it takes for many to wait.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let answer = r#"{"active":true,"sub":"p-4","aud":"api"}"#;
        reply(socket, "200 OK", "Content-Type: application/json\r\n", answer.as_bytes())
    });
    let mut plan = Plan::open(&nginx.address);
    plan.sources = format!(
        "[introspection.partners]\nurl = \"http://{}/introspect\"\naudiences = [\"api\"]\n\
         client = {{ id = \"p\", auth = \"client_secret_basic\", secret = {{ file = \"introspection.secret\" }} }}\n",
        server.address
    );
    plan.policy = POLICY.replace("\"corp\", ", "");
    let gate = Gate::start(folder.path(), &plan);
    let url = format!("{}/seen/it", gate.url);
    let counted = H2load::send(&tools, 1_000, false, &["Authorization: Bearer opaque-1"], &url);
    assert_eq!(counted, H2load { classes: [1_000, 0, 0, 0], failed: 0 });
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
