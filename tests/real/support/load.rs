//! A load at a steady rate over HTTP/1.1 and HTTP/2, counted exactly: what was asked, what was answered, what failed.
//!
//! It is sent by the clock and not by the answers, so that a proxy that stands still is not asked less. A client does
//! what the protocols allow it: it ends an HTTP/1.1 connection where an answer says so, and asks elsewhere what an
//! HTTP/2 connection that is told to end has not sent. Whatever else goes wrong is a failure.

use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Identity;

/// Half of the load goes over connections of HTTP/1.1, of which each lives for so many requests.
const LANES: usize = 8;
const LIFE: usize = 60;

/// Who asks whom, and how often.
pub(crate) struct Caller {
    pub(crate) port: u16,
    /// Whom it trusts, PEM.
    pub(crate) authority: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) path: &'static str,
    pub(crate) per_second: u32,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Tally {
    stop: AtomicBool,
    asked: AtomicUsize,
    /// The id of each request that was answered with 200 and a whole body.
    pub(crate) answered: Mutex<Vec<String>>,
    /// What failed, and how.
    pub(crate) failed: Mutex<Vec<String>>,
    /// The certificates that were seen, by their bytes.
    pub(crate) certificates: Mutex<HashSet<Vec<u8>>>,
    /// HTTP/2 connections that were told to end.
    pub(crate) told_to_go: AtomicUsize,
}

/// A load that runs until its end is asked for.
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    begun: Instant,
    driver: JoinHandle<()>,
}

impl Load {
    pub(crate) fn begin(caller: Caller) -> Self {
        let tally = Arc::<Tally>::default();
        let own = tally.clone();
        let driver = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, drive(caller, own));
        });
        Self { tally, begun: Instant::now(), driver }
    }

    /// Waits until this many more requests were asked.
    pub(crate) fn go_on_for(&self, more: usize) {
        let goal = self.tally.asked.load(Ordering::Relaxed) + more;
        super::until("the load goes on", || (self.tally.asked.load(Ordering::Relaxed) >= goal).then_some(()));
    }

    /// Waits for what is open, then gives the number of requests and how many were asked in a second.
    pub(crate) fn end(self) -> (Arc<Tally>, usize, f64) {
        self.tally.stop.store(true, Ordering::Relaxed);
        let lasted = self.begun.elapsed();
        self.driver.join().unwrap();
        let asked = self.tally.asked.load(Ordering::Relaxed);
        let rate = f64::from(u32::try_from(asked).unwrap()) / lasted.as_secs_f64();
        (self.tally, asked, rate)
    }
}

async fn drive(caller: Caller, tally: Arc<Tally>) {
    let lanes = u32::try_from(2 * LANES).unwrap();
    let beat = Duration::from_secs(1) * lanes / caller.per_second;
    let mut running = JoinSet::new();
    for http2 in [false, true] {
        let place = Rc::new(Place::new(&caller, tally.clone(), if http2 { "h2" } else { "http/1.1" }));
        for _ in 0..LANES {
            let place = place.clone();
            running.spawn_local(async move {
                let mut lane = Lane { place, beat: interval(beat), owed: Rc::default() };
                // The load is made up for what a late beat left out.
                lane.beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
                if http2 { lane.http2().await } else { lane.http1().await }
            });
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

/// Where connections lead.
struct Place {
    tally: Arc<Tally>,
    connector: TlsConnector,
    port: u16,
    path: &'static str,
}

impl Place {
    fn new(caller: &Caller, tally: Arc<Tally>, protocol: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&caller.authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = vec![CertificateDer::from_pem_file(&caller.identity.chain).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&caller.identity.key).unwrap();
        let mut config = config.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
        config.alpn_protocols = vec![protocol.into()];
        Self { tally, connector: TlsConnector::from(Arc::new(config)), port: caller.port, path: caller.path }
    }

    async fn connect(&self) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let stream = self.connector.connect(ServerName::try_from("localhost").unwrap(), socket).await?;
        if let Some([leaf, ..]) = stream.get_ref().1.peer_certificates() {
            self.tally.certificates.lock().unwrap().insert(leaf.to_vec());
        }
        Ok(TokioIo::new(stream))
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let url = format!("https://localhost:{}{}", self.port, self.path);
        Request::builder().uri(url).header("host", format!("localhost:{}", self.port)).body(Empty::new()).unwrap()
    }

    /// Judges an answer. Whether its connection goes on.
    async fn judge(&self, answer: Response<Incoming>) -> bool {
        let (head, body) = answer.into_parts();
        let goes_on = head.headers.get("connection").is_none_or(|said| said != "close");
        let id = head.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        match body.collect().await {
            Ok(_) if head.status == 200 => self.tally.answered.lock().unwrap().push(id),
            Ok(_) => self.fail(&format!("status {} of {id}", head.status)),
            Err(error) => self.fail(&format!("half an answer to {id}: {error:?}")),
        }
        goes_on
    }

    fn fail(&self, how: &str) {
        self.tally.failed.lock().unwrap().push(how.to_owned());
    }
}

/// One connection after another, in step with a beat.
struct Lane {
    place: Rc<Place>,
    beat: tokio::time::Interval,
    /// Requests that were asked for and not sent: their connection ended before.
    owed: Rc<std::cell::Cell<usize>>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Lane {
    /// Waits until the next request is due; `false` at the end of the load.
    async fn due(&mut self) -> bool {
        if self.owed.get() > 0 {
            self.owed.set(self.owed.get() - 1);
            return true;
        }
        self.beat.tick().await;
        let goes_on = !self.place.tally.stop.load(Ordering::Relaxed);
        self.place.tally.asked.fetch_add(usize::from(goes_on), Ordering::Relaxed);
        goes_on
    }

    async fn http1(mut self) {
        while self.due().await {
            self.owed.set(self.owed.get() + 1);
            let place = self.place.clone();
            let shaken = match place.connect().await {
                Ok(io) => http1::handshake(io).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let (mut sender, connection) = match shaken {
                Ok(shaken) => shaken,
                Err(error) => {
                    self.owed.set(0);
                    place.fail(&format!("HTTP/1.1, no connection: {error}"));
                    continue;
                }
            };
            tokio::task::spawn_local(connection);
            let mut life = LIFE;
            while life > 0 && self.due().await {
                life = if over_http1(&place, &mut sender).await { life - 1 } else { 0 };
            }
        }
    }

    async fn http2(mut self) {
        let mut open = JoinSet::new();
        while self.due().await {
            self.owed.set(self.owed.get() + 1);
            let shaken = match self.place.connect().await {
                Ok(io) => http2::handshake(TokioExecutor::new(), io).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let (mut sender, connection) = match shaken {
                Ok(shaken) => shaken,
                Err(error) => {
                    self.owed.set(self.owed.get() - 1);
                    self.place.fail(&format!("HTTP/2, no connection: {error}"));
                    continue;
                }
            };
            tokio::task::spawn_local(connection);
            while !sender.is_closed() && self.due().await {
                if sender.ready().await.is_err() {
                    self.owed.set(self.owed.get() + 1);
                    break;
                }
                open.spawn_local(over_http2(self.place.clone(), sender.clone(), self.owed.clone()));
                while open.try_join_next().is_some() {}
            }
            self.place.tally.told_to_go.fetch_add(usize::from(sender.is_closed()), Ordering::Relaxed);
        }
        while open.join_next().await.is_some() {}
    }
}

/// One exchange. Whether its connection goes on.
async fn over_http1(place: &Place, sender: &mut http1::SendRequest<Empty<Bytes>>) -> bool {
    let asked = async {
        sender.ready().await?;
        sender.send_request(place.request()).await
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => return place.judge(answer).await,
        Ok(Err(error)) => place.fail(&format!("HTTP/1.1: {error:?}")),
        Err(_) => place.fail("HTTP/1.1: no answer"),
    }
    false
}

async fn over_http2(place: Rc<Place>, mut sender: http2::SendRequest<Empty<Bytes>>, owed: Rc<std::cell::Cell<usize>>) {
    match timeout(PATIENCE, sender.try_send_request(place.request())).await {
        Ok(Ok(answer)) => drop(place.judge(answer).await),
        Ok(Err(mut error)) => {
            // hyper has no words for "not sent, because of a GOAWAY". That it was not acted on either is seen in the
            // records: there would be one too many.
            let sent = error.take_message().is_none();
            let error = format!("{:?}", error.into_error());
            if sent && !error.contains("GoAway(b\"\", NO_ERROR, Remote)") {
                return place.fail(&format!("HTTP/2: {error}"));
            }
            owed.set(owed.get() + 1);
        }
        Err(_) => place.fail("HTTP/2: no answer"),
    }
}
