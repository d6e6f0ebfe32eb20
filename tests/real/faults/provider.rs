//! An identity provider that is down, slow, broken or hostile closes its own routes, and they open again by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::{Gate, Ground, Nginx, Plan, Scripted, Tools, reply, until};

const POLICY: &str = r#"
[[route]]
name     = "orders"
host     = "localhost"
path     = "/api/{rest...}"
methods  = ["GET"]
upstream = "service"
tokens   = ["corp", "partners"]

[[route]]
name     = "open"
host     = "localhost"
path     = "/seen/open"
methods  = ["GET"]
upstream = "service"

[[allow]]
name    = "sre"
routes  = ["orders"]
subject = { groups = { any = ["sre"] } }

[[allow]]
name      = "everybody"
routes    = ["open"]
anonymous = true
"#;

#[test]
fn a_provider_that_is_down_at_the_start_closes_its_own_routes_until_it_comes() {
    let Some(ground) = Ground::lay() else { return };
    let nginx = ground.nginx();
    let Ground { folder, mut provider, .. } = ground;
    let jwt = provider.token("sre", "es256");
    provider.stop();
    let gate = Gate::start(folder.path(), &Plan::between(&nginx, &provider, POLICY));

    for (token, reason) in [(jwt.as_str(), "issuer-unavailable"), ("opaque", "introspection-unavailable")] {
        let refused = gate.get_with("/api/orders", token);
        assert_eq!((refused.status, &refused.json()["reason"]), (503, &reason.into()));
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        assert_eq!(gate.record_of(&refused)["reason"], reason);
    }
    assert_eq!(gate.get("/seen/open").status, 200);
    let state = gate.probe("/status").json();
    assert_eq!((&state["degraded"], &state["token_sources"][0]["last_error"]), (&true.into(), &"connect".into()));
    let unready = gate.probe("/readyz");
    assert_eq!(unready.status, 503);
    assert!(unready.text().contains("issuer `corp` has had no keys yet"));
    assert_eq!(nginx.log(), ["GET /seen/open 200"]);

    provider.start_again();
    until("the JWT counts", || (gate.get_with("/api/orders", &jwt).status == 200).then_some(()));
    let opaque = provider.token("sre", "opaque");
    until("the opaque token counts", || (gate.get_with("/api/orders", &opaque).status == 200).then_some(()));
    gate.ready();
    assert_eq!(gate.probe("/status").json()["degraded"], false);
}

/// A public key (the example of RFC 7515, appendix A.3.1). Nobody here can sign with it.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"k",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// What a sick provider does, and the word for it in `/status`.
const MOODS: [(&str, &str); 7] = [
    ("slow", "timeout"),
    ("garbage", "jwks-malformed"),
    ("large", "too-large"),
    ("redirect", "jwks-status"),
    ("closed", "broken"),
    ("discovery-garbage", "discovery-malformed"),
    ("discovery-redirect", "discovery-status"),
];

#[test]
fn a_sick_provider_closes_its_own_routes_and_each_recovers_by_itself() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(&tools, folder.path());
    let well = Arc::new(AtomicBool::new(false));
    let lured = Arc::new(AtomicUsize::new(0));
    let mut plan = Plan::open(&nginx.address);
    let mut tokens = Vec::new();
    for (mood, _) in MOODS {
        let provider = sick_provider(mood, well.clone(), lured.clone());
        let issuer = format!("http://{}", provider.address);
        let keys =
            if mood.starts_with("discovery") { String::new() } else { format!("jwks_url = \"{issuer}/jwks\"\n") };
        plan.sources +=
            &format!("[issuer.{mood}]\nurl = \"{issuer}\"\n{keys}audiences = [\"a\"]\ntimeout = \"500ms\"\n");
        plan.policy += &format!(
            "[[route]]\nname = \"{mood}\"\nhost = \"localhost\"\npath = \"/{mood}\"\nmethods = [\"GET\"]\nupstream = \"service\"\n\
             tokens = [\"{mood}\"]\n[[allow]]\nname = \"{mood}\"\nroutes = [\"{mood}\"]\nsubject = {{ groups = {{ any = [\"sre\"] }} }}\n"
        );
        tokens.push(token_of_nobody(&issuer));
    }
    let gate = Gate::start(folder.path(), &plan);
    for ((mood, word), token) in MOODS.iter().zip(&tokens) {
        let refused = gate.get_with(&format!("/{mood}"), token);
        assert_eq!((refused.status, &refused.json()["reason"]), (503, &"issuer-unavailable".into()), "{mood}");
        assert!(refused.header("retry-after").is_some(), "{mood}");
        until(&format!("{mood} is known as {word}"), || {
            let state = gate.probe("/status").json();
            let sources = state["token_sources"].as_array().unwrap().clone();
            let source = sources.into_iter().find(|source| source["name"] == *mood).unwrap();
            (source["last_error"] == *word && source["state"] == "never").then_some(())
        });
    }
    assert_eq!(gate.get("/api/orders").status, 200);
    assert_eq!(lured.load(Ordering::SeqCst), 0, "redirects are not followed");

    well.store(true, Ordering::SeqCst);
    for ((mood, _), token) in MOODS.iter().zip(&tokens) {
        let judged = until("its keys are known", || {
            Some(gate.get_with(&format!("/{mood}"), token)).filter(|answer| answer.status != 503)
        });
        assert_eq!((judged.status, &judged.json()["reason"]), (401, &"token-signature".into()), "{mood}");
    }
}

fn sick_provider(mood: &'static str, well: Arc<AtomicBool>, lured: Arc<AtomicUsize>) -> Scripted {
    let issuer = Arc::new(std::sync::OnceLock::new());
    let named: Arc<std::sync::OnceLock<String>> = issuer.clone();
    let provider = Scripted::start(move |target, socket| {
        if target == "/lure" {
            lured.fetch_add(1, Ordering::SeqCst);
        }
        let well = well.load(Ordering::SeqCst);
        if target == "/.well-known/openid-configuration" && (well || !mood.starts_with("discovery")) {
            return reply(socket, "200 OK", "Content-Type: application/json\r\n", discovery(named.wait()).as_bytes());
        }
        match mood {
            _ if well => reply(socket, "200 OK", "Content-Type: application/json\r\n", KEYS.as_bytes()),
            "slow" => {
                std::thread::sleep(std::time::Duration::from_secs(2));
                false
            }
            "large" => {
                let padded = KEYS.replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(2 << 20)), 1);
                reply(socket, "200 OK", "Content-Type: application/json\r\n", padded.as_bytes())
            }
            "redirect" | "discovery-redirect" => reply(socket, "302 Found", "Location: /lure\r\n", b""),
            "closed" => false,
            _ => reply(socket, "200 OK", "Content-Type: application/json\r\n", b"<html>{\"keys\":["),
        }
    });
    issuer.set(format!("http://{}", provider.address)).unwrap();
    provider
}

fn discovery(issuer: &str) -> String {
    serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
    .to_string()
}

fn token_of_nobody(issuer: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    let header = serde_json::json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k" });
    let claims = serde_json::json!({ "iss": issuer, "aud": "a", "sub": "nobody", "client_id": "nobody", "jti": "1",
        "iat": now, "exp": now + 600, "groups": ["sre"] });
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([1; 64]))
}
