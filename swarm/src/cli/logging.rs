use clap::ValueEnum;
use rmachine_core::printable::{RecordFormat, RecordWriter};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged, and how.
#[derive(clap::Args)]
pub struct LogArgs {
    /// Log at the level 'debug', unless --log-level says otherwise
    #[arg(long, env = "DEBUG", hide_env_values = true, global = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    debug: bool,

    /// What is logged: debug, info, warn, or error
    #[arg(short = 'l', long, value_name = "LEVEL", global = true)]
    log_level: Option<Level>,

    /// How it is logged
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true)]
    log_format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    #[value(alias = "fatal", alias = "panic")]
    Error,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl LogArgs {
    /// Starts to log, on standard error.
    pub fn start(&self) {
        let level = match (self.log_level, self.debug) {
            (Some(Level::Debug), _) | (None, true) => LevelFilter::DEBUG,
            (Some(Level::Info), _) | (None, false) => LevelFilter::INFO,
            (Some(Level::Warn), _) => LevelFilter::WARN,
            (Some(Level::Error), _) => LevelFilter::ERROR,
        };
        let filter = Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("rswarm", level);
        let format = match self.log_format {
            Format::Text => RecordFormat::Text,
            Format::Json => RecordFormat::Json,
        };
        // Names and errors of nodes and clients are logged: none may forge a line.
        let log = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || RecordWriter::new(std::io::stderr(), format));
        let filtered = tracing_subscriber::registry().with(filter);
        match self.log_format {
            Format::Text => filtered.with(log).init(),
            Format::Json => filtered.with(log.json()).init(),
        }
    }
}
