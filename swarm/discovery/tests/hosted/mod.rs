//! The services of this package on loopback ports, each in a runtime of its own that can be cut
//! off as a program can.

use std::convert::Infallible;
use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmachine_pki::{
    Authority, ClientIdentity, KeyType, ServerIdentity, ServerRequest, client_config, server_config,
};
use rswarm_discovery::{MembershipService, Registrant, StoreOptions, TokenService};
use rustls::{ClientConfig, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::walks::Store;

/// How long the port of a service that was cut off may stay taken.
const PORT_LIMIT: Duration = Duration::from_secs(30);

type Answering = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>;

/// A service that can be stopped and started. Ends with the value.
pub struct Hosted {
    open: fn(PathBuf) -> Handler,
    tls: Option<Tls>,
    /// Of the cluster, where the service has several.
    pub token: Option<String>,
    port: u16,
    runtime: Option<Runtime>,
    dir: TempDir,
}

/// Both sides of mutual TLS.
pub struct Tls {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

impl Tls {
    /// With an authority of its own.
    pub fn new() -> Self {
        let (authority, ca) = Authority::create("lab", KeyType::Ecdsa).unwrap();
        let request = ServerRequest {
            name: "manager".to_owned(),
            organization: "lab".to_owned(),
            sans: vec!["127.0.0.1".to_owned().into()],
            client_auth: true,
            key: KeyType::Ecdsa,
        };
        let shown = authority.issue_server(&request).unwrap();
        let server = ServerIdentity {
            ca: Some(ca.certificate.clone()),
            certificate: shown.certificate,
            key: shown.key,
            admits_agents: true,
        };
        let shown = authority.issue_client("lab", KeyType::Ecdsa).unwrap();
        let client = ClientIdentity {
            ca: ca.certificate,
            certificate: shown.certificate,
            key: shown.key,
        };
        Self {
            server: server_config(&server).unwrap(),
            client: client_config(&client).unwrap(),
        }
    }
}

impl Hosted {
    /// A manager's membership, over mutual TLS.
    pub fn membership() -> Self {
        Self::new(membership, Some(Tls::new()))
    }

    /// A token service in the clear, with a new cluster.
    pub async fn tokens() -> Self {
        let mut hosted = Self::new(tokens, None);
        let token = rswarm_discovery::new_token(&hosted.options()).await;
        hosted.token = Some(token.unwrap());
        hosted
    }

    fn new(open: fn(PathBuf) -> Handler, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut hosted = Self {
            open,
            tls,
            token: None,
            port: listener.local_addr().unwrap().port(),
            runtime: None,
            dir: tempfile::tempdir().unwrap(),
        };
        drop(listener);
        hosted.start();
        hosted
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("state")
    }
}

impl Store for Hosted {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, scheme: &str, servers: &str) -> String {
        match &self.token {
            Some(token) => format!("{scheme}://{token}"),
            None => format!("{scheme}://{servers}"),
        }
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            tls: self.tls.as_ref().map(|tls| Arc::clone(&tls.client)),
            discovery_url: Some(format!("http://{}", self.address())),
            ..StoreOptions::default()
        }
    }

    fn start(&mut self) {
        let until = Instant::now() + PORT_LIMIT;
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < until, "port {}: {error}", self.port),
            }
            thread::sleep(Duration::from_millis(10));
        };
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let handler = (self.open)(self.file());
        let acceptor = self.tls.as_ref().map(|tls| Arc::clone(&tls.server).into());
        runtime.spawn(serve(listener, acceptor, handler));
        self.runtime = Some(runtime);
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn wipe(&mut self) {
        std::fs::remove_file(self.file()).unwrap();
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.stop();
    }
}

fn membership(file: PathBuf) -> Handler {
    let service = MembershipService::open(Some(file)).unwrap();
    Arc::new(move |request| {
        let service = service.clone();
        Box::pin(async move { service.handle(request, &Registrant::Operator).await })
    })
}

fn tokens(file: PathBuf) -> Handler {
    let service = Arc::new(TokenService::open(Some(file)).unwrap());
    Arc::new(move |request| {
        let service = Arc::clone(&service);
        Box::pin(async move { service.handle(request).await })
    })
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, handler: Handler) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
        tokio::spawn(async move {
            match acceptor {
                None => answer(stream, handler).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, handler).await;
                    }
                }
            }
        });
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler) {
    let service = service_fn(move |request| {
        let answering = handler(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    // Whoever goes away in the middle is none of a test's business.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
