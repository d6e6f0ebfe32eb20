//! A worker's memory of tokens stays within its bounds, however many tokens come.

use portcullis::authn::{TokenCache, TokenCacheLimits};
use serde_json::json;

use crate::support::{House, issuer, key};

/// `PORTCULLIS_TOKENS=1000000 cargo test --release --test authn memory` takes longer and holds the process to the bound.
#[tokio::test]
async fn distinct_tokens_fill_the_memory_and_no_more() {
    let asked = std::env::var("PORTCULLIS_TOKENS").ok().map(|count| count.parse::<u32>().unwrap());
    let limits = TokenCacheLimits { entries: 4096, bytes: 8 << 20 };
    let mut house = House::new(vec![issuer(&[key("EdDSA").jwk()])], Vec::new());
    house.tokens = TokenCache::new(limits);
    let mut before = 0;
    for number in 0..asked.unwrap_or(20_000) {
        let token = key("EdDSA").token(json!({"jti": number.to_string(), "roles": ["a", "b", "c", "d"]}));
        assert!(house.bearer("corp", &token).await.is_ok());
        assert!(house.tokens.len() <= limits.entries && house.tokens.weight() <= limits.bytes);
        if number == 100 {
            before = resident();
        }
    }
    assert!(house.tokens.weight() > limits.bytes / 2, "nothing was remembered");
    if let Some(count) = asked {
        let grown = resident() - before;
        eprintln!("{count} tokens: {} remembered, the process grew by {grown} bytes", house.tokens.len());
        assert!(grown <= limits.bytes, "the process grew by {grown} bytes");
    }
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
