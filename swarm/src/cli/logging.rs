use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

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
            (Some(Level::Debug), _) | (None, true) => "debug",
            (Some(Level::Info), _) | (None, false) => "info",
            (Some(Level::Warn), _) => "warn",
            (Some(Level::Error), _) => "error",
        };
        let filter = EnvFilter::new(format!("warn,rswarm={level},rswarm_discovery={level}"));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => log.with_ansi(false).init(),
            Format::Json => log.json().init(),
        }
    }
}
