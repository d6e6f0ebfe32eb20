//! Connections that stay open and say nothing: first silent since their handshake, then idle after one request.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::Fault;
use crate::client::{Client, Http1, Target};
use crate::report::{Report, ready};

/// Connections or requests that are under way at once.
const TOGETHER: usize = 32;

/// Says `ready` three times: before the first connection, when all are open, and when each has had an answer.
pub async fn idle(target: &Target, count: usize) -> Result<(), Fault> {
    let (client, token, report) = (Client::usual(target, "http/1.1")?, target.token()?, Report::default());
    // What a process takes once, whatever the number of connections, is not theirs.
    for _ in 0..TOGETHER {
        Http1::over(client.connect().await?).await?.get(&token, "close").await?;
    }
    ready()?;
    let opened = stream::iter(0..count).map(|_| client.connect()).buffer_unordered(TOGETHER);
    let silent: Vec<_> = opened.try_collect().await?;
    silent.iter().for_each(|stream| report.handshake(stream));
    ready()?;
    let asked = stream::iter(silent).map(|stream| async {
        let mut connection = Http1::over(stream).await?;
        connection.get(&token, "keep-alive").await?;
        Ok::<_, Fault>(connection)
    });
    let idle: Vec<_> = asked.buffer_unordered(TOGETHER).try_collect().await?;
    ready()?;
    drop(idle);
    report.print();
    Ok(())
}
