//! What a decision costs with ten rules on its route, and what it costs to load ten thousand routes with five rules each.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark: a broken assumption should stop it, and its figures are for the terminal"
)]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::config::policy::project::{KnownNames, Project};
use portcullis::config::{Faults, Source};
use portcullis::policy::case::Case;
use portcullis::policy::rules::{Facts, evaluate};

const MAIN: &str = "[issuer.corp]\nurl = \"https://login.corp.example\"\n[trust.corp]\n[upstream.app]\n";

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source::new(name.into(), text.into()))
}

fn load(policy: &Arc<Source>) -> Project {
    load_files(std::slice::from_ref(policy))
}

fn load_files(files: &[Arc<Source>]) -> Project {
    let faults = Faults::default();
    let known = KnownNames::read(&source("portcullis.toml", MAIN), &faults);
    let project = Project::read(known, files, &faults);
    project.unwrap_or_else(|| {
        let shown: Vec<_> = faults.into_sorted().iter().map(|fault| fault.render(false)).collect();
        println!("{}", shown.join("\n"));
        std::process::abort()
    })
}

/// Ten rules on one route: a requirement, three denies, six allows of which the last by name admits.
const TEN: &str = r#"
[[route]]
name = "item"
host = "api.corp.example"
path = "/v1/items/{id}"
methods = ["GET", "PUT"]
upstream = "app"
tokens = ["corp"]

[[require]]
name = "device"
routes = ["*"]
device = { trust = "corp", spiffe_id = "spiffe://corp.example/device/*" }
[[deny]]
name = "frozen"
routes = ["*"]
subject = { claims = { status = { equals = "frozen", when_absent = "skip" } } }
[[deny]]
name = "networks"
routes = ["*"]
source = { networks = ["203.0.113.0/24", "2001:db8:bad::/48"] }
[[deny]]
name = "maintenance"
routes = ["*"]
request = { method = "PUT" }
time = { zone = "Europe/Berlin", days = "sun", from = "02:00", until = "04:00" }
[[allow]]
name = "a1"
routes = ["item"]
subject = { groups = { any = ["finance", "audit"] }, acr = "mfa" }
[[allow]]
name = "a2"
routes = ["item"]
subject = { scopes = { all = ["items:write", "items:admin"] } }
[[allow]]
name = "a3"
routes = ["item"]
workload = { spiffe_id = "spiffe://corp.example/ns/items/sa/*" }
[[allow]]
name = "a4"
routes = ["item"]
subject = { claims = { "realm.level" = { at_least = 7 } } }
[[allow]]
name = "a5"
routes = ["item"]
subject = { any = true }
when = "request.path_params.id in token.claims.items"
[[allow]]
name = "a6"
routes = ["item"]
subject = { groups = "staff", signed_in_within = "8h" }
request = { headers = { x-team = { starts_with = "blue" } } }

[[test]]
name = "the last allow admits"
request = { method = "PUT", host = "api.corp.example", path = "/v1/items/4711", headers = { x-team = "blue-1" } }
token = { issuer = "corp", sub = "u-17", groups = ["everybody", "staff", "berlin", "engineering"], scopes = ["items:read", "items:write"], acr = "mfa", signed_in_ago = "1h", claims = { status = "active", items = ["1", "2", "3"], realm = { level = 3 } } }
device = { spiffe_id = "spiffe://corp.example/device/7" }
expect = { decision = "allow", rule = "a6" }

[[test]]
name = "nothing allows"
request = { method = "GET", host = "api.corp.example", path = "/v1/items/4711" }
token = { issuer = "corp", sub = "u-17", groups = ["everybody", "berlin", "engineering"], scopes = ["items:read"], acr = "pwd", claims = { items = ["1", "2"], realm = { level = 3 } } }
device = { spiffe_id = "spiffe://corp.example/device/7" }
expect = { decision = "deny" }
"#;

fn decide(criterion: &mut Criterion) {
    let project = load(&source("ten.toml", TEN));
    for (name, trial) in
        ["decision/10 rules, the last admits", "decision/10 rules, none admits"].iter().zip(&project.policy.trials)
    {
        assert!(trial.run(&project.routes, &project.policy.rules).passed(), "{name}");
        let case: &Case = &trial.case;
        let meant = case.route(&project.routes).unwrap();
        let rules = project.policy.rules.route(&meant.route.name).unwrap();
        let facts: Facts<'_> = case.facts(Some(&meant));
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| evaluate(black_box(rules), black_box(&facts), case.at).is_allowed());
        });
    }
}

/// Ten thousand routes with five rules each.
fn many(routes: std::ops::Range<usize>) -> Arc<Source> {
    let mut text = String::new();
    for n in routes {
        let _ = write!(
            text,
            "[[route]]\nname = \"r{n}\"\nhost = \"h{}.corp.example\"\npath = \"/v1/s{n}/{{id}}\"\nmethods = [\"GET\", \"POST\"]\n\
             upstream = \"app\"\ntokens = [\"corp\"]\n\
             [[allow]]\nname = \"a{n}\"\nroutes = [\"r{n}\"]\nsubject = {{ groups = {{ any = [\"g{n}\", \"staff\"] }} }}\n\
             [[allow]]\nname = \"b{n}\"\nroutes = [\"r{n}\"]\nworkload = {{ spiffe_id = \"spiffe://corp.example/ns/n{n}/sa/*\" }}\n\
             [[allow]]\nname = \"c{n}\"\nroutes = [\"r{n}\"]\nsubject = {{ any = true }}\nwhen = 'request.path_params.id == token.claims.item'\n\
             [[deny]]\nname = \"d{n}\"\nroutes = [\"r{n}\"]\nsubject = {{ claims = {{ status = {{ equals = \"frozen\", when_absent = \"skip\" }} }} }}\n\
             [[require]]\nname = \"e{n}\"\nroutes = [\"r{n}\"]\ndevice = {{ trust = \"corp\" }}\n",
            n / 100
        );
    }
    source("many.toml", &text)
}

/// Resident memory in MiB, where the system tells it.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u32>().ok());
    f64::from(pages.unwrap_or_default()) * 4096.0 / 1048576.0
}

/// CPU time of this process in milliseconds, all threads together, where the system tells it.
fn worked() -> u32 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let tick = |field| text.split(' ').nth(field).and_then(|ticks| ticks.parse::<u32>().ok()).unwrap_or_default();
    (tick(13) + tick(14)) * 10
}

/// Loads once and tells what that took. Memory is measured first of all, while the process has none to use again.
fn told(what: &str, files: &[Arc<Source>]) -> Project {
    let (resident_before, worked_before, started) = (resident(), worked(), Instant::now());
    let project = load_files(files);
    println!(
        "load/10000 routes x 5 rules, {what}: {} ms, {} ms of CPU time, {:.0} MiB resident more",
        started.elapsed().as_millis(),
        worked() - worked_before,
        resident() - resident_before
    );
    project
}

fn load_many(criterion: &mut Criterion) {
    let files: Vec<_> = (0..100).map(|file| many(file * 100..(file + 1) * 100)).collect();
    let project = told("a hundred files", &files);
    drop(files);
    // The parser needs so much memory at once for a file of 6 MiB that allocators keep some of it for the next time.
    drop(told("one file", &[many(0..10_000)]));
    let small = load(&many(0..10));
    for (name, project, n) in [("decision/of 10 routes", &small, 7), ("decision/of 10000 routes", &project, 7777)] {
        let trial = format!(
            "[[test]]\nname = \"t\"\nrequest = {{ host = \"h{}.corp.example\", path = \"/v1/s{n}/1\" }}\n\
             token = {{ issuer = \"corp\", groups = [\"staff\"] }}\ndevice = {{ trust = \"corp\" }}\nexpect = {{ decision = \"allow\" }}\n",
            n / 100
        );
        let mut one = many(0..1).text.replace("r0", &format!("r{n}")).replace("h0", &format!("h{}", n / 100));
        one = one.replace("/s0/", &format!("/s{n}/")) + &trial;
        let case = load(&source("one.toml", &one)).policy.trials[0].case.clone();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let meant = black_box(&case).route(&project.routes).unwrap();
                let rules = project.policy.rules.route(&meant.route.name).unwrap();
                evaluate(rules, &case.facts(Some(&meant)), case.at).is_allowed()
            });
        });
    }
    criterion.bench_function("load/1000 routes x 5 rules", |bencher| {
        let policy = many(0..1000);
        bencher.iter_with_large_drop(|| load(&policy));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = decide, load_many
}
criterion_main!(benches);
