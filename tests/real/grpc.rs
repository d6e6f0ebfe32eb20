//! gRPC by @grpc/grpc-js on both sides, over HTTP/2 with prior knowledge and over HTTP/2 by ALPN.

use serde_json::{Value, json};

use crate::support::{Gate, Ground, Plan, Service, ask};

const POLICY: &str = r#"
[[route]]
name     = "plain"
host     = "localhost"
path     = "/plain.Echo/{method}"
methods  = ["POST"]
upstream = "plain"
tokens   = ["corp"]

[[route]]
name     = "secret"
host     = "localhost"
path     = "/secret.Echo/{method}"
methods  = ["POST"]
upstream = "secret"
tokens   = ["corp"]

[[allow]]
name    = "sre"
routes  = ["plain", "secret"]
subject = { groups = { any = ["sre"] } }
"#;

struct House {
    ground: Ground,
    plain: Service,
    secret: Service,
    gate: Gate,
}

fn house() -> Option<House> {
    let ground = Ground::lay()?;
    let plain = Service::start(&ground.tools, "grpc.mjs", None);
    let secret = Service::start(&ground.tools, "grpc.mjs", Some(&ground.authority.server("grpc", &["localhost"])));
    let mut plan = Plan::judged_by(&ground.provider, POLICY).without_skew();
    plan.upstreams += &format!(
        r#"
[upstream.plain]
endpoints = ["http://{}"]
protocol  = "h2c"
identity  = {{ user = "X-Auth-User" }}

[upstream.secret]
endpoints = ["https://{}"]
protocol  = "auto"
tls       = {{ ca = "{}" }}
identity  = {{ user = "X-Auth-User" }}
"#,
        plain.address,
        secret.address,
        ground.authority.file.display()
    );
    let gate = ground.gate(&plan);
    Some(House { ground, plain, secret, gate })
}

impl House {
    fn ask(&self, service: &str, calls: &[&str], token: Option<&str>) -> Value {
        let port = self.gate.port.to_string();
        let arguments = [&["ask", &port, service], calls].concat();
        ask(&self.ground.tools, "grpc.mjs", &arguments, &self.gate.file("certs/ca.pem"), token)
    }
}

#[test]
fn every_kind_of_call_passes_with_its_trailers() {
    let Some(house) = house() else { return };
    let token = house.ground.provider.token("sre", "es256");
    for service in ["plain.Echo", "secret.Echo"] {
        let told = house.ask(service, &["one", "large", "many", "sum", "talk", "fail"], Some(&token));
        for (call, parts, bytes) in
            [("one", 1, 5), ("large", 1, 3 << 20), ("many", 500, 500 * 4096), ("sum", 1, 7), ("talk", 50, 200)]
        {
            let told = &told[call];
            assert_eq!((&told["parts"], &told["bytes"]), (&parts.into(), &bytes.into()), "{service} {call}: {told}");
            assert_eq!((&told["code"], &told["who"]), (&0.into(), &"sre".into()), "{service} {call}: {told}");
            assert_eq!(told["token"], "0", "the credential stays here");
        }
        assert_eq!(told["sum"]["text"], (500 * 4096).to_string());
        assert_eq!(told["fail"]["code"], 9, "the service's own refusal: {told}");
        assert_eq!(told["fail"]["details"], "not like this: ü");
        assert_eq!(told["fail"]["detail"], "0001feff", "binary trailers, too");
    }
}

#[test]
fn what_a_client_gives_up_ends_at_the_service() {
    let Some(mut house) = house() else { return };
    let token = house.ground.provider.token("sre", "es256");
    for service in ["plain.Echo", "secret.Echo"] {
        let told = house.ask(service, &["deadline", "cancel"], Some(&token));
        assert_eq!((&told["deadline"]["code"], &told["cancel"]["code"]), (&json!(4), &json!(1)), "{told}");
        let peer = if service == "plain.Echo" { &mut house.plain } else { &mut house.secret };
        peer.says("\"cancelled\":\"wait\"");
        peer.says("\"cancelled\":\"talk\"");
    }
}

#[test]
fn a_refusal_is_a_grpc_status() {
    let Some(house) = house() else { return };
    let (sre, contractor) =
        (house.ground.provider.token("sre", "es256"), house.ground.provider.token("contractor", "es256"));
    let one = |service: &str, token: Option<&str>| house.ask(service, &["one", "sum"], token);
    for (service, token, code, reason) in [
        ("plain.Echo", None, 16, "credential-missing"),
        ("plain.Echo", Some(contractor.as_str()), 7, "no-rule-allows"),
        ("plain.Echo", Some("not.a.token"), 16, "token-"),
        ("secret.Echo", None, 16, "credential-missing"),
    ] {
        let told = one(service, token);
        for call in ["one", "sum"] {
            assert_eq!(told[call]["code"], code, "{service} {call}: {told}");
            assert!(told[call]["details"].as_str().unwrap().starts_with(reason), "{told}");
        }
    }
    assert_eq!(one("plain.Echo", Some(&sre))["one"]["code"], 0);
}

#[test]
fn a_stream_ends_with_its_token() {
    let Some(mut house) = house() else { return };
    let flow = |service| house.ask(service, &["flow"], Some(&house.ground.provider.token("sre", "short")));
    let told = std::thread::scope(|scope| {
        ["plain.Echo", "secret.Echo"].map(|service| scope.spawn(move || flow(service))).map(|it| it.join().unwrap())
    });
    for told in told {
        assert!(told["flow"]["parts"].as_u64().unwrap() > 5, "it ran for a while: {told}");
        assert_eq!(told["flow"]["code"], 16, "unauthenticated, as it would be now: {told}");
        assert!(told["flow"]["details"].as_str().unwrap().starts_with("token-expired ("), "{told}");
    }
    for service in [&mut house.plain, &mut house.secret] {
        service.says("\"cancelled\":\"flow\"");
    }
    let record = house
        .gate
        .record("of the stream", |record| record["path"] == "/plain.Echo/flow" && record["kind"] == "request");
    assert_eq!(record["reason"], "token-expired", "{record}");
}
