use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use rmachine_driver::{Secret, Secrets, SshEndpoint};
use tokio::sync::{mpsc, oneshot};

use super::channel::{Conversation, Failure, converse};
use super::destination::Destination;
use super::login::{Line, log_in};
use crate::options::HostKeyPolicy;
use crate::transport::{Command, Transport};
use crate::{ConnectOptions, Output, SshError, UnreachableReason, resolve};

/// How long closing may take: a command that runs is ended first.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// A connection held by a thread of its own.
pub(crate) struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    /// Ends the command that runs.
    closing: Arc<AtomicBool>,
}

enum Order {
    Run(Job),
    /// The sender is dropped when the connection is closed.
    Close {
        _closed: oneshot::Sender<()>,
    },
}

struct Job {
    conversation: Conversation,
    answer: oneshot::Sender<Result<Output, Failure>>,
}

/// What the thread says while it logs in.
enum News {
    Question {
        prompt: String,
        answer: std::sync::mpsc::Sender<Option<Secret>>,
    },
    LoggedIn(Result<(), SshError>),
}

impl Worker {
    /// Connects and logs in.
    pub(crate) async fn open(
        endpoint: &SshEndpoint,
        host_keys: HostKeyPolicy,
        options: &ConnectOptions,
        secrets: &dyn Secrets,
    ) -> Result<Self, SshError> {
        let resolved = resolve(endpoint, &options.environment).await?;
        let destination = Destination::new(endpoint, host_keys, resolved, options)?;
        let (orders, received_orders) = mpsc::unbounded_channel();
        let closing = Arc::new(AtomicBool::new(false));
        let seen_by_thread = Arc::clone(&closing);
        let (tell, mut news) = mpsc::unbounded_channel();
        thread::Builder::new()
            .name(format!("ssh {}", endpoint.host))
            .spawn(move || work(&destination, &tell, received_orders, &seen_by_thread))
            .map_err(|source| SshError::Local {
                action: "start a thread".to_owned(),
                source,
            })?;
        loop {
            let heard = tokio::time::timeout(options.limit, news.recv()).await;
            match heard {
                Ok(Some(News::Question { prompt, answer })) => {
                    // The thread may be gone by the time a person has answered.
                    let _ = answer.send(secrets.ask(&prompt));
                }
                Ok(Some(News::LoggedIn(outcome))) => {
                    return outcome.map(|()| Self { orders, closing });
                }
                Ok(None) | Err(_) => {
                    return Err(SshError::Unreachable {
                        host: endpoint.host.to_string(),
                        reason: UnreachableReason::TimedOut,
                        detail: format!("no login within {} s", options.limit.as_secs_f32()),
                    });
                }
            }
        }
    }
}

#[async_trait]
impl Transport for Worker {
    async fn execute(&self, command: Command<'_>) -> Result<Output, SshError> {
        let lost = |stderr: String| SshError::ConnectionLost {
            step: command.step.to_owned(),
            stderr,
        };
        let (answer, answered) = oneshot::channel();
        let job = Job {
            conversation: Conversation {
                line: command.line,
                input: command.input,
                end: command.end,
                limit: command.limit,
            },
            answer,
        };
        if self.orders.send(Order::Run(job)).is_err() {
            return Err(lost("it was closed before".to_owned()));
        }
        match answered.await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(Failure::TimedOut)) => Err(SshError::TimedOut {
                step: command.step.to_owned(),
                limit: command.limit,
            }),
            Ok(Err(Failure::Broken(stderr))) => Err(lost(stderr)),
            Ok(Err(Failure::Abandoned)) | Err(_) => Err(lost(String::new())),
        }
    }

    async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let (_closed, closed) = oneshot::channel();
        if self.orders.send(Order::Close { _closed }).is_ok() {
            let _ = tokio::time::timeout(CLOSE_LIMIT, closed).await;
        }
    }
}

/// The thread: logs in, then does one job after the other until nobody can give it more.
fn work(
    destination: &Destination,
    tell: &mpsc::UnboundedSender<News>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    closing: &AtomicBool,
) {
    let ask = |prompt: &str| {
        let (answer, answered) = std::sync::mpsc::channel();
        let prompt = prompt.to_owned();
        tell.send(News::Question { prompt, answer }).ok()?;
        answered.recv().ok()?
    };
    let line: Line = match log_in(destination, &ask) {
        Ok(line) => {
            let _ = tell.send(News::LoggedIn(Ok(())));
            line
        }
        Err(error) => {
            let _ = tell.send(News::LoggedIn(Err(error)));
            return;
        }
    };
    line.session.set_blocking(false);
    while let Some(Order::Run(job)) = orders.blocking_recv() {
        let abandoned = || job.answer.is_closed() || closing.load(Ordering::Relaxed);
        let outcome = converse(&line, &job.conversation, &abandoned);
        let broken = matches!(outcome, Err(Failure::Broken(_)));
        // Whoever asked may have gone.
        let _ = job.answer.send(outcome);
        if broken {
            return;
        }
    }
    line.session.set_blocking(true);
    // The host closes the connection in any case.
    let _ = line.session.disconnect(None, "done", None);
}
