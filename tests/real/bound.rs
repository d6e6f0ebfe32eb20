//! Tokens that a certified provider binds to a certificate (RFC 8705) or to a key (RFC 9449): whoever else holds them has
//! nothing.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Answer, House, IdentityProvider};

const POLICY: &str = r#"
[[route]]
name     = "seen"
host     = "localhost"
path     = "/seen/{rest...}"
methods  = ["GET"]
upstream = "service"
tokens   = ["corp", "partners"]

[[allow]]
name    = "sre"
routes  = ["seen"]
subject = { groups = { any = ["sre"] } }
"#;

fn house() -> Option<House> {
    House::open(POLICY)
}

fn told(answer: &Answer) -> (u16, Value) {
    let reason = if answer.status == 200 { Value::Null } else { answer.json()["reason"].clone() };
    (answer.status, reason)
}

#[test]
fn a_token_that_is_bound_to_a_certificate_counts_on_its_connection_alone() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let device = gate.identity("device");
    let url = format!("{}/seen/it", gate.url);
    for resource in ["es256", "opaque"] {
        let token = house.ground.provider.bound_token("sre-bound", resource, &device);
        let with = |name: &str| gate.curl().identity(&gate.identity(name)).bearer(&token).get(&url).unwrap();
        assert_eq!(told(&with("device")), (200, Value::Null), "{resource}");
        assert_eq!(told(&with("workload")), (401, "token-binding".into()), "{resource}: another certificate");
        let without = gate.curl().bearer(&token).get(&url).unwrap();
        assert_eq!(told(&without), (401, "token-binding".into()), "{resource}: no certificate");
    }
}

/// A key and the token that is bound to it.
struct Client<'a> {
    house: &'a House,
    token: String,
    key: String,
}

impl<'a> Client<'a> {
    fn new(house: &'a House, resource: &str) -> Self {
        let secret = IdentityProvider::secret("sre-dpop");
        let resource = format!("urn:api:{resource}");
        let printed = script(house, &["token", &house.ground.provider.issuer, "sre-dpop", &secret, &resource]);
        let told: Value = serde_json::from_str(&printed).unwrap();
        Self { house, token: told["token"].as_str().unwrap().into(), key: told["key"].to_string() }
    }

    fn proof(&self, method: &str, path: &str, nonce: &str) -> String {
        let url = format!("{}{path}", self.house.gate.url);
        script(self.house, &["proof", &self.key, &self.token, method, &url, nonce])
    }

    fn ask(&self, proof: &str) -> Answer {
        let curl = self.house.gate.curl().header(&format!("Authorization: DPoP {}", self.token));
        curl.header(&format!("DPoP: {proof}")).get(&format!("{}/seen/it", self.house.gate.url)).unwrap()
    }
}

fn script(house: &House, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/oidc-provider/dpop.mjs");
    let mut command = Command::new(house.ground.tools.command("node"));
    command.arg(script).args(arguments).current_dir(house.ground.folder.path());
    command.env("NODE_NO_WARNINGS", "1").env("NODE_EXTRA_CA_CERTS", &house.ground.provider.authority);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_that_is_bound_to_a_key_counts_with_a_proof_of_it_and_each_proof_once() {
    let Some(house) = house() else { return };
    for resource in ["es256", "opaque"] {
        let client = Client::new(&house, resource);
        // The gate has just begun: it cannot know which proofs were used before, and asks for one with its own nonce.
        let first = client.ask(&client.proof("GET", "/seen/it", ""));
        assert_eq!(told(&first), (401, "dpop-nonce".into()), "{resource}");
        assert!(first.header("www-authenticate").unwrap().contains("use_dpop_nonce"));
        let nonce = first.header("dpop-nonce").unwrap();

        let proof = client.proof("GET", "/seen/it", nonce);
        assert_eq!(told(&client.ask(&proof)), (200, Value::Null), "{resource}");
        assert_eq!(told(&client.ask(&proof)), (401, "dpop-replayed".into()), "{resource}");
        for (method, path) in [("POST", "/seen/it"), ("GET", "/seen/other")] {
            let other = client.ask(&client.proof(method, path, nonce));
            assert_eq!(told(&other), (401, "dpop-invalid".into()), "{resource}: a proof for {method} {path}");
        }
        let thief = Client { key: Client::new(&house, resource).key, token: client.token.clone(), house: &house };
        let stolen = thief.ask(&thief.proof("GET", "/seen/it", nonce));
        assert_eq!(told(&stolen).0, 401, "{resource}: another key");
        let bearer = house.gate.get_with("/seen/it", &client.token);
        assert_eq!(told(&bearer), (401, "token-binding".into()), "{resource}: as a plain bearer");
    }
}
