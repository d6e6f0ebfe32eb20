//! TLS scanners against a listener as it comes, without a setting of TLS: sslyze in every run, testssl.sh when asked.
//!
//! ```sh
//! tools/install scan
//! cargo nextest run --run-ignored only -E 'test(scanners::testssl)' --no-capture
//! ```

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Gate, Plan, Tools, ask};

/// A gate whose service is not there: scanners ask for nothing behind it.
fn gate() -> Option<(Tools, TempDir, Gate)> {
    let tools = Tools::find()?;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::open("127.0.0.1:9");
    plan.more = "[limits]\nhandshakes_per_address = 1000\n".into();
    let gate = Gate::start(folder.path(), &plan);
    Some((tools, folder, gate))
}

#[test]
fn sslyze_finds_the_two_versions_their_good_suites_and_no_weakness() {
    let Some((tools, folder, gate)) = gate() else { return };
    let report = folder.path().join("sslyze.json");
    let scans = "sslv2 sslv3 tlsv1 tlsv1_1 tlsv1_2 tlsv1_3 compression early_data openssl_ccs fallback heartbleed robot reneg resum elliptic_curves ems";
    let mut command = Command::new(tools.home("sslyze").join("bin/sslyze"));
    command.arg("--quiet").arg("--json_out").arg(&report).args(scans.split(' ').map(|scan| format!("--{scan}")));
    let told = command.arg(format!("localhost:{}", gate.port)).output().unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap_or_else(|_| panic!("{told:?}"))).unwrap();
    let found = &report["server_scan_results"][0]["scan_result"];
    let scanned = found.as_object().unwrap().values().filter(|scan| scan["status"] == "COMPLETED").count();
    assert_eq!(scanned, scans.split(' ').count(), "{found}");

    let suites = |version: &str| -> BTreeSet<String> {
        let accepted =
            found[format!("{version}_cipher_suites")]["result"]["accepted_cipher_suites"].as_array().unwrap();
        accepted.iter().map(|suite| suite["cipher_suite"]["name"].as_str().unwrap().to_owned()).collect()
    };
    for old in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
        assert_eq!(suites(old), BTreeSet::new(), "{old}");
    }
    let ciphers = ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"];
    let with = |prefix: &str| ciphers.map(|cipher| format!("{prefix}{cipher}")).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(suites("tls_1_2"), with("TLS_ECDHE_ECDSA_WITH_"), "forward secrecy, and no block mode");
    assert_eq!(suites("tls_1_3"), with("TLS_"));

    for (scan, field, expected) in [
        ("tls_compression", "supports_compression", json!(false)),
        ("tls_1_3_early_data", "supports_early_data", json!(false)),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", json!(false)),
        ("heartbleed", "is_vulnerable_to_heartbleed", json!(false)),
        ("robot", "robot_result", json!("NOT_VULNERABLE_RSA_NOT_SUPPORTED")),
        ("session_renegotiation", "client_renegotiations_success_count", json!(0)),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", json!(false)),
        ("session_resumption", "tls_ticket_resumption_result", json!("NOT_SUPPORTED")),
        ("tls_fallback_scsv", "supports_fallback_scsv", json!(true)),
        ("tls_extended_master_secret", "supports_ems_extension", json!(true)),
    ] {
        assert_eq!(found[scan]["result"][field], expected, "{scan}");
    }
    let curves = found["elliptic_curves"]["result"]["supported_curves"].as_array().unwrap();
    let curves: BTreeSet<&str> = curves.iter().map(|curve| curve["name"].as_str().unwrap()).collect();
    assert_eq!(curves, BTreeSet::from(["X25519", "secp256r1", "secp384r1"]));
}

#[test]
fn a_client_of_today_agrees_on_a_key_that_a_quantum_computer_does_not_find() {
    let Some((tools, _folder, gate)) = gate() else { return };
    for (group, agreed) in [("X25519MLKEM768", true), ("X25519", true), ("X448", false)] {
        let arguments = ["tls", &gate.url, group];
        let told = ask(&tools, "ask.mjs", &arguments, &gate.file("certs/ca.pem"), None);
        assert_eq!(told["protocol"], if agreed { json!("TLSv1.3") } else { Value::Null }, "{group}: {told}");
    }
}

/// What testssl.sh rates as worse than "OK" and is no weakness of a listener. Everything else fails.
const EXPECTED: [(&str, &str); 6] = [
    ("cert_revocation", "the development certificate names no list"),
    ("DNS_CAArecord", "localhost has no DNS record"),
    ("HSTS", "the service says nothing about it here"),
    ("sessionresumption_ticket", "this OpenSSL cannot ask for a ticket in TLS 1.3"),
    ("engine_problem", "about the machine that scans"),
    ("HTTP_status_code", "nobody is behind this listener"),
];

#[test]
#[ignore = "minutes: testssl.sh tries every suite of every version"]
fn testssl_finds_nothing() {
    let Some((tools, folder, gate)) = gate() else { return };
    let report = folder.path().join("testssl.json");
    let mut command = Command::new(tools.command("testssl"));
    let path = format!("{}:{}", tools.command("").display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).args(["--quiet", "--color", "0", "--warnings", "off", "--ids-friendly", "--jsonfile"]);
    command.arg(&report).arg("--add-ca").arg(gate.file("certs/ca.pem")).arg(format!("localhost:{}", gate.port));
    let told = command.output().unwrap();
    let findings: Vec<Value> =
        serde_json::from_slice(&std::fs::read(&report).unwrap_or_else(|_| panic!("{told:?}"))).unwrap();
    assert!(findings.len() > 100, "{}", String::from_utf8_lossy(&told.stdout));
    let serious = |finding: &&Value| {
        let id = finding["id"].as_str().unwrap();
        !["OK", "INFO"].contains(&finding["severity"].as_str().unwrap())
            && !EXPECTED.iter().any(|(known, _)| known == &id)
    };
    let serious: Vec<_> = findings.iter().filter(serious).collect();
    assert!(serious.is_empty(), "{serious:#?}");
}
