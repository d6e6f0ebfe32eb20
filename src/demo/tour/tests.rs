use std::net::{Ipv4Addr, SocketAddr};

use crate::demo::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_goes_as_it_must_and_nothing_is_left() {
    let stage = Stage::set(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let directory = stage.directory().to_path_buf();
    let parts = super::make(&stage).await.unwrap();
    let outcomes: Vec<_> = parts.iter().flat_map(|part| &part.outcomes).collect();
    assert!(outcomes.len() >= 12);
    for outcome in outcomes {
        assert_eq!(outcome.surprise, None, "{outcome:#?}");
    }
    stage.strike().await.unwrap();
    assert!(!directory.exists());
}
