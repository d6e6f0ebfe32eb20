//! The journey through the binary: `portcullis run` between curl or h2load, a certified OpenID provider and nginx.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{H2load, House, until};

const POLICY: &str = r#"
[[route]]
name     = "orders"
host     = "localhost"
path     = "/api/{rest...}"
methods  = ["GET"]
upstream = "service"
tokens   = ["corp", "partners"]

[[route]]
name     = "seen"
host     = "localhost"
path     = "/seen/{rest...}"
methods  = ["GET"]
upstream = "service"
tokens   = ["corp", "partners"]

[[route]]
name     = "open"
host     = "localhost"
path     = "/seen/open"
methods  = ["GET"]
upstream = "service"

[[route]]
name           = "moved"
host           = "localhost"
path           = "/old/{rest...}"
methods        = ["GET"]
upstream       = "service"
prefix_rewrite = { from = "/old", to = "/seen/new", shares_paths_with = ["seen"] }

[[route]]
name     = "machines"
host     = "localhost"
path     = "/seen/machines"
methods  = ["GET"]
upstream = "service"

[[allow]]
name    = "sre may"
routes  = ["orders", "seen"]
subject = { groups = { any = ["sre", "contractors"] } }

[[deny]]
name    = "contractors see no orders"
routes  = ["orders"]
subject = { groups = { any = ["contractors"] } }

[[allow]]
name      = "everybody"
routes    = ["open", "moved"]
anonymous = true

[[allow]]
name   = "laptops"
routes = ["machines"]
device = { spiffe_id = "spiffe://demo.portcullis.example/device/*" }
"#;

/// A gate between nginx and the identity provider, all of them running.
fn house() -> Option<House> {
    House::open(POLICY)
}

#[test]
fn a_jwt_of_every_algorithm_opens_what_its_groups_allow_over_both_versions() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    for (resource, version) in [("rs256", "1.1"), ("ps256", "2"), ("es256", "1.1"), ("eddsa", "2")] {
        let token = house.ground.provider.token("sre", resource);
        let curl = gate.curl().bearer(&token).with(&[if version == "2" { "--http2" } else { "--http1.1" }]);
        let answer = curl.get(&format!("{}/api/orders?page=2", gate.url)).unwrap();
        assert_eq!((answer.status, answer.version.as_str(), answer.body.len()), (200, version, 130), "{resource}");
    }
    assert_eq!(house.nginx.log(), ["GET /api/orders?page=2 200"; 4]);
    let elsewhere = gate.get_with("/api/orders", &house.ground.provider.token("sre", "elsewhere"));
    assert_eq!((elsewhere.status, &elsewhere.json()["reason"]), (401, &"token-audience".into()));
}

#[test]
fn the_service_sees_who_asks_and_nothing_that_the_client_made_up() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let token = house.ground.provider.token("sre", "es256");
    for version in ["--http1.1", "--http2"] {
        let curl = gate.curl().bearer(&token).with(&[version]);
        let curl =
            curl.header("X-Auth-User: mallory").header("x_auth_groups: admins").header("X-Forwarded-For: 10.9.8.7");
        let curl = curl.header("X-Request-Id: mine").header("Forwarded: for=10.9.8.7").header("X-Probe: passes");
        let answer = curl.get(&format!("{}/seen/it?a=b", gate.url)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = answer.json();
        let expected = [
            ("method", "GET"),
            ("target", "/seen/it?a=b"),
            ("protocol", "HTTP/1.1"),
            ("host", &format!("localhost:{}", gate.port)),
            ("authorization", ""),
            ("x_auth_user", "sre"),
            ("x_auth_groups", "sre,staff"),
            ("x_forwarded_for", "127.0.0.1"),
            ("x_forwarded_proto", "https"),
            ("forwarded", ""),
            ("x_request_id", answer.header("x-request-id").unwrap()),
            ("x_probe", "passes"),
        ];
        for (name, value) in expected {
            assert_eq!(seen[name], value, "{name}, {version}");
        }
    }
    let anonymous = gate.curl().header("X-Auth-User: mallory").get(&format!("{}/seen/open", gate.url)).unwrap();
    assert_eq!((anonymous.status, &anonymous.json()["x_auth_user"]), (200, &"".into()));
}

#[test]
fn a_rewritten_path_arrives_as_it_was_decided_on() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    for version in ["--http1.1", "--http2"] {
        let curl = gate.curl().with(&[version, "--path-as-is"]).header("X-Forwarded-Prefix: /mine");
        let answer = curl.get(&format!("{}/%6fld/a%20b/?q=/old/", gate.url)).unwrap();
        let seen = answer.json();
        assert_eq!(
            (&seen["target"], &seen["x_forwarded_prefix"]),
            (&"/seen/new/a%20b/?q=/old/".into(), &"/old".into())
        );
        assert_eq!(gate.record_of(&answer)["rewritten"], "/seen/new/a%20b/");
        for outside in ["/old/../open", "/old/..%2fopen", "/old//open"] {
            let curl = gate.curl().with(&[version, "--path-as-is"]);
            assert_eq!(curl.get(&format!("{}{outside}", gate.url)).unwrap().status, 400, "{outside}");
        }
    }
    assert_eq!(house.nginx.log(), ["GET /seen/new/a%20b/?q=/old/ 200"; 2]);
}

#[test]
fn an_opaque_token_is_asked_about_and_counts_until_it_is_revoked() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let (first, second) = (house.ground.provider.token("sre", "opaque"), house.ground.provider.token("sre", "opaque"));
    let answer = gate.get_with("/seen/it", &first);
    assert_eq!((answer.status, &answer.json()["x_auth_user"]), (200, &"sre".into()), "{}", answer.text());
    assert_eq!(gate.record_of(&answer)["subject"]["source"], "partners");
    house.ground.provider.revoke("sre", &first);
    let refused =
        until("the token's end", || Some(gate.get_with("/seen/it", &first)).filter(|answer| answer.status != 200));
    assert_eq!((refused.status, &refused.json()["reason"]), (401, &"token-inactive".into()));

    // One that its issuer still vouches for ends by an order of the operator, at once.
    assert_eq!(gate.get_with("/seen/it", &second).status, 200);
    let issuer = house.ground.provider.issuer.as_str();
    let told = gate.order("revoke", &["--issuer", issuer, "--sub", "sre"]);
    assert!(told.status.success(), "{told:?}");
    let refused = gate.get_with("/seen/it", &second);
    assert_eq!((refused.status, &refused.json()["reason"]), (401, &"token-revoked".into()));
}

#[test]
fn what_is_refused_says_why_to_a_program_and_to_a_person() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let missing = gate.get("/api/orders");
    assert_eq!(missing.status, 401);
    let challenge = missing.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer") && !challenge.contains("error="), "RFC 6750 section 3.1: {challenge}");
    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
    let problem = missing.json();
    assert_eq!((&problem["status"], &problem["reason"]), (&401.into(), &"credential-missing".into()));
    assert!(problem.to_string().contains(missing.header("x-request-id").unwrap()), "{problem}");

    let contractor = house.ground.provider.token("contractor", "es256");
    let denied = gate.get_with("/api/orders", &contractor);
    assert_eq!((denied.status, &denied.json()["reason"]), (403, &"denied-by-rule".into()));
    assert_eq!(gate.record_of(&denied)["rule"], "contractors see no orders");
    let nobody = gate.get_with("/api/orders", &house.ground.provider.token("nobody", "es256"));
    assert_eq!((nobody.status, &nobody.json()["reason"]), (403, &"no-rule-allows".into()));

    let page = gate.curl().header("Accept: text/html,*/*;q=0.8").header("Sec-Fetch-Mode: navigate");
    let page = page.bearer(&contractor).get(&format!("{}/api/orders", gate.url)).unwrap();
    assert_eq!(page.status, 403);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("denied-by-rule") && page.text().contains(page.header("x-request-id").unwrap()));

    let damaged = format!("{}AAAA", contractor.get(..contractor.len() - 4).unwrap());
    let forged = gate.get_with("/api/orders", &damaged);
    assert_eq!((forged.status, &forged.json()["reason"]), (401, &"token-signature".into()));
    assert!(forged.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    assert_eq!(house.nginx.log(), [""; 0], "nothing of this reached the service");
    let log = std::fs::read_to_string(gate.file("decisions.jsonl")).unwrap();
    for secret in [&contractor, &damaged] {
        let told = [&denied, &forged, &page].map(|answer| answer.text().contains(secret.as_str()));
        assert!(told == [false; 3] && !log.contains(secret.as_str()));
    }
}

#[test]
fn a_certificate_opens_what_asks_for_a_device_and_a_wrong_one_opens_nothing() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let ask = |name: &str, path: &str| {
        gate.curl().identity(&gate.identity(name)).get(&format!("{}{path}", gate.url)).unwrap()
    };
    let opened = ask("device", "/seen/machines");
    assert_eq!(opened.status, 200);
    let verified = &gate.record_of(&opened)["peer"]["verified"];
    assert_eq!(verified["spiffe_id"], "spiffe://demo.portcullis.example/device/laptop-7");
    assert_eq!(verified["trust"], "corp");
    let workload = ask("workload", "/seen/machines");
    assert_eq!((workload.status, &workload.json()["reason"]), (403, &"no-rule-allows".into()));
    for wrong in ["rogue", "expired", "wrong-purpose"] {
        let refused = ask(wrong, "/seen/open");
        assert_eq!((refused.status, &refused.json()["reason"]), (403, &"certificate-refused".into()), "{wrong}");
        assert!(gate.record_of(&refused)["peer"]["refused"].is_string(), "{wrong}");
    }
}

#[test]
fn a_record_tells_the_whole_request_and_its_trace() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let token = house.ground.provider.token("sre", "es256");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let curl = gate.curl().bearer(&token).header(&format!("traceparent: 00-{trace}-00f067aa0ba902b7-01"));
    let answer = curl.identity(&gate.identity("device")).get(&format!("{}/seen/it?secret=1", gate.url)).unwrap();
    assert!(answer.json()["traceparent"].as_str().unwrap().starts_with(&format!("00-{trace}-")));
    let record = gate.record_of(&answer);
    let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    for (pointer, value) in [
        ("/kind", "request"),
        ("/trace", trace),
        ("/listener", "edge"),
        ("/source", "127.0.0.1"),
        ("/subject/sub", "sre"),
        ("/subject/issuer", &house.ground.provider.issuer),
        ("/subject/source", "corp"),
        ("/method", "GET"),
        ("/path", "/seen/it"),
        ("/route", "seen"),
        ("/decision", "allow"),
        ("/rule", "sre may"),
        ("/upstream", "service"),
    ] {
        assert_eq!(text(pointer), value, "{pointer} of {record}");
    }
    assert!(text("/time").parse::<jiff::Timestamp>().is_ok() && text("/client").starts_with("127.0.0.1:"));
    assert!(!text("/connection").is_empty() && !text("/policy").is_empty() && !text("/subject/token_id").is_empty());
    assert_eq!(text("/endpoint").trim_start_matches("http://"), house.nginx.address);
    assert_eq!((&record["reason"], &record["status"], &record["bytes_in"]), (&Value::Null, &200.into(), &0.into()));
    assert_eq!(record["bytes_out"], answer.body.len());
    let stages =
        ["identified", "decided", "answered", "total"].map(|stage| record["durations_us"][stage].as_u64().unwrap());
    assert!(stages.is_sorted() && stages[3] > 0, "{stages:?}");

    let made = gate.get_with("/seen/it", &token);
    let seen = made.json()["traceparent"].as_str().unwrap().to_owned();
    assert_eq!(seen.split('-').nth(1), gate.record_of(&made)["trace"].as_str());
    assert_ne!(seen.split('-').nth(1), Some(trace));
}

#[test]
fn the_probes_tell_the_state_and_their_metrics_are_well_formed() {
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let token = house.ground.provider.token("sre", "es256");
    assert_eq!(gate.get_with("/api/orders", &token).status, 200);
    assert_eq!(gate.get("/api/orders").status, 401);
    assert_eq!((gate.probe("/livez").status, gate.probe("/readyz").status), (200, 200));
    let status = gate.probe("/status");
    let state = status.json();
    assert_eq!(
        (&state["ready"], &state["degraded"], &state["workers"]),
        (&true.into(), &false.into(), &2.into()),
        "{state}"
    );
    assert_eq!(
        (&state["token_sources"][0]["name"], &state["token_sources"][0]["state"]),
        (&"corp".into(), &"fresh".into())
    );
    assert!(!status.text().contains("sre"), "no identity: {state}");

    let metrics = gate.probe("/metrics");
    assert!(metrics.text().contains("credential-missing"));
    let mut promtool = Command::new(house.ground.tools.command("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(&metrics.body).unwrap();
    let told = promtool.wait_with_output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{}", String::from_utf8_lossy(&told.stderr));
    let public = gate.curl().get(&format!("{}/metrics", gate.url)).unwrap();
    assert_eq!(public.status, 404, "not on a public listener");
}

#[test]
fn every_request_of_a_load_is_answered_and_recorded_once() {
    const REQUESTS: u32 = 1500;
    let Some(house) = house() else { return };
    let gate = &house.gate;
    let authorization = format!("authorization: Bearer {}", house.ground.provider.token("sre", "rs256"));
    let url = format!("{}/api/orders", gate.url);
    for http1 in [true, false] {
        let counted = H2load::send(&house.ground.tools, REQUESTS, http1, &[&authorization], &url);
        assert_eq!(counted, H2load { classes: [REQUESTS, 0, 0, 0], failed: 0 });
    }
    let refused = H2load::send(&house.ground.tools, REQUESTS, false, &[], &url);
    assert_eq!(refused, H2load { classes: [0, 0, REQUESTS, 0], failed: 0 });
    let whole = 3 * usize::try_from(REQUESTS).unwrap();
    let records = until("all records", || Some(gate.records()).filter(|records| records.len() >= whole));
    let ids: std::collections::HashSet<&str> = records.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len()), (whole, whole), "one each");
    let allowed = records.iter().filter(|record| record["decision"] == "allow" && record["status"] == 200).count();
    assert_eq!(allowed, whole / 3 * 2);
    assert_eq!(house.nginx.log().len(), allowed);
}
