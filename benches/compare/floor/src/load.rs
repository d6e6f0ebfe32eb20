//! Requests over HTTP/1.1 as oha cannot make them: every connection a full or every one a resumed handshake, every
//! request another token.

use std::cell::Cell;
use std::time::Instant;

use futures_util::future::try_join_all;

use crate::Fault;
use crate::client::{Client, Http1, Target};
use crate::report::{Report, ready};

/// A new connection for each request.
pub async fn connections(
    target: &Target,
    count: usize,
    concurrency: usize,
    group: &str,
    resume: bool,
) -> Result<(), Fault> {
    let token = target.token()?;
    let mut clients = Vec::new();
    for _ in 0..concurrency {
        let client = Client::new(target, group, resume, "http/1.1")?;
        if resume {
            // The first has nothing to resume.
            once(&client, &token, &Report::default()).await?;
        }
        clients.push(client);
    }
    ready()?;
    let (report, left) = (Report::default(), Cell::new(count));
    let work = clients.iter().map(|client| async {
        while take(&left).is_some() {
            once(client, &token, &report).await?;
        }
        Ok::<_, Fault>(())
    });
    try_join_all(work).await?;
    report.print();
    Ok(())
}

async fn once(client: &Client, token: &str, report: &Report) -> Result<(), Fault> {
    let since = Instant::now();
    let stream = client.connect().await?;
    report.handshake(&stream);
    Http1::over(stream).await?.get(token, "close").await?;
    report.answered(since);
    Ok(())
}

/// Requests over kept connections, each with the next token of a file, whose first `skip` were used before. A file of
/// one token is that token each time.
pub async fn requests(
    target: &Target,
    count: usize,
    concurrency: usize,
    tokens: &str,
    skip: usize,
) -> Result<(), Fault> {
    let text = std::fs::read_to_string(target.folder.join(tokens))?;
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() != 1 && lines.len() < skip + count {
        return Err(format!("{tokens} holds {} tokens, fewer than {}", lines.len(), skip + count).into());
    }
    let client = Client::usual(target, "http/1.1")?;
    let report = Report::default();
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        let stream = client.connect().await?;
        report.handshake(&stream);
        connections.push(Http1::over(stream).await?);
    }
    ready()?;
    let left = Cell::new(count);
    let work = connections.iter_mut().map(|connection| async {
        while let Some(number) = take(&left) {
            let token = if lines.len() == 1 { lines[0] } else { lines[skip + number] };
            let since = Instant::now();
            connection.get(token, "keep-alive").await?;
            report.answered(since);
        }
        Ok::<_, Fault>(())
    });
    try_join_all(work).await?;
    report.print();
    Ok(())
}

/// The next number below `left`, from above.
fn take(left: &Cell<usize>) -> Option<usize> {
    let number = left.get().checked_sub(1)?;
    left.set(number);
    Some(number)
}
