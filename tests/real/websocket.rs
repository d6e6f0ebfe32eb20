//! WebSocket by ws on both sides.

use serde_json::{Value, json};

use crate::support::{Gate, Ground, Plan, Service, ask, python, until};

const POLICY: &str = r#"
[[route]]
name     = "socket"
host     = "localhost"
path     = "/ws"
methods  = ["GET"]
upstream = "sockets"
tokens   = ["corp"]

[[route]]
name     = "source"
host     = "localhost"
path     = "/source/{size}"
methods  = ["GET"]
upstream = "sockets"

[[allow]]
name      = "everybody"
routes    = ["source"]
anonymous = true

[[allow]]
name    = "sre"
routes  = ["socket"]
subject = { groups = { any = ["sre"] } }
"#;

struct House {
    ground: Ground,
    service: Service,
    gate: Gate,
}

fn house() -> Option<House> {
    let ground = Ground::lay()?;
    let service = Service::start(&ground.tools, "service.mjs", None);
    let mut plan = Plan::judged_by(&ground.provider, POLICY).without_skew();
    plan.upstreams += &format!(
        "[upstream.sockets]\nendpoints = [\"http://{}\"]\nidentity = {{ user = \"X-Auth-User\" }}\n",
        service.address
    );
    let gate = ground.gate(&plan);
    Some(House { ground, service, gate })
}

impl House {
    fn ask(&self, what: &str, token: Option<&str>) -> Value {
        let url = self.gate.url.replace("https:", "wss:") + "/ws";
        ask(&self.ground.tools, "ask.mjs", &[what, &url], &self.gate.file("certs/ca.pem"), token)
    }
}

#[test]
fn words_of_every_size_pass_and_both_sides_close_with_their_own_code() {
    let Some(mut house) = house() else { return };
    let told = house.ask("websocket", Some(&house.ground.provider.token("sre", "es256")));
    assert_eq!(
        (&told["text"], &told["pieces"], &told["pong"]),
        (&json!("hello"), &json!("in three pieces"), &json!("alive"))
    );
    assert_eq!(told["large"], json!([true, true]), "binary, and the same 5 MB");
    let headers = &told["headers"];
    assert_eq!((&headers["x-auth-user"], &headers["authorization"]), (&json!("sre"), &Value::Null), "{headers}");
    assert_eq!((&headers["x-forwarded-proto"], &headers["upgrade"]), (&json!("https"), &json!("websocket")));
    assert_eq!(told["own"], json!({ "code": 4001, "reason": "the client has enough" }));
    assert_eq!(house.service.says("\"closed\""), json!({ "closed": 4001, "reason": "the client has enough" }));
    assert_eq!(told["other"], json!({ "code": 4002, "reason": "the service has enough" }));
    assert_eq!(house.service.says("\"closed\"")["closed"], 4002);
    until("both records", || {
        let open = |record: &&Value| record["status"] == 101 && record["reason"] == Value::Null;
        (house.gate.records().iter().filter(open).count() == 2).then_some(())
    });
}

/// RFC 8441, by a client that checks every frame; ws knows nothing of it and is asked in HTTP/1.1.
#[test]
fn a_socket_over_http2_is_one_stream_among_others() {
    let Some(mut house) = house() else { return };
    let (port, authority) = (house.gate.port.to_string(), house.gate.file("certs/ca.pem"));
    let ask = |token: Option<&str>| {
        let fixed = [&port, authority.to_str().unwrap(), "/ws"];
        python(&house.ground.tools, "websocket.py", &[&fixed[..], token.as_slice()].concat(), &Value::Null)
    };
    let told = ask(Some(&house.ground.provider.token("sre", "es256")));
    assert_eq!((&told["offers"], &told["head"][":status"]), (&json!(1), &json!("200")), "{told}");
    assert_eq!((&told["text"], &told["large"], &told["beside"]), (&json!("hello"), &json!(true), &json!(3_000_000)));
    assert_eq!((&told["close"], &told["end"]), (&json!([8, 4001]), &json!("ended")), "{told}");
    let refused = ask(None);
    assert_eq!(refused["head"][":status"], "401", "{refused}");
    assert_eq!(house.service.says("\"closed\"")["closed"], 4001);
}

#[test]
fn without_a_right_there_is_no_socket() {
    let Some(house) = house() else { return };
    assert_eq!(house.ask("websocket", None)["refused"], 401);
    assert_eq!(house.ask("websocket", Some(&house.ground.provider.token("contractor", "es256")))["refused"], 403);
}

#[test]
fn a_socket_ends_with_its_token_and_is_told_why() {
    let Some(mut house) = house() else { return };
    let told = house.ask("lasts", Some(&house.ground.provider.token("sre", "short")));
    assert_eq!(told["code"], 1008, "policy violation: {told}");
    let lasted = told["lasted"].as_u64().unwrap();
    assert!((8_000..20_000).contains(&lasted), "an exchange is spared for ten seconds, whatever its token: {told}");
    house.service.says("\"closed\"");
    let record = house.gate.record("of the socket", |record| record["path"] == "/ws" && record["kind"] == "request");
    assert_eq!((&record["reason"], &record["status"]), (&json!("token-expired"), &json!(101)), "{record}");
}
