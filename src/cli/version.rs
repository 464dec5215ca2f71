use std::time::Duration;

use rmachine_core::{libraries, printable};

use super::App;
use super::client::Client;
use super::names::OneName;
use crate::error::{CommandError, Status};

/// What `--version` prints after the program's name.
pub const TEXT: &str = concat!("version ", env!("CARGO_PKG_VERSION"));

const LIMIT: Duration = Duration::from_secs(20);

/// Print the version of rmachine, or of a machine's engine
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: OneName,

    /// List the bundled libraries and their versions too
    #[arg(short, long, conflicts_with = "name")]
    verbose: bool,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    if !args.name.is_given() {
        let mut text = format!("rmachine {TEXT}\n");
        if args.verbose {
            text.push_str(&bundled());
        }
        app.ui.data(&text)?;
        return Ok(Status::OK);
    }
    let machine = args.name.machine(app)?;
    let name = machine.name().as_str();
    let client = Client::of(app, &machine).await?;
    let version = client.engine(LIMIT)?.version().await;
    let version = version.map_err(|error| CommandError::of_engine(error, name))?;
    let version = printable::line(&version.version);
    app.ui.data(&format!("{version}\n"))?;
    Ok(Status::OK)
}

/// A line for each library that updates of the system may or may not replace.
fn bundled() -> String {
    let crates = libraries::locked().filter(|(name, _)| *name != "libssh2-sys");
    let mut text: String = crates
        .map(|(name, version)| format!("{name} {version} (bundled)\n"))
        .collect();
    text.push_str(&native());
    text
}

#[cfg(feature = "native-ssh")]
fn native() -> String {
    let libraries = rmachine_ssh::native_libraries();
    let origin = |is_shared| {
        if is_shared {
            "shared, from the system"
        } else {
            "bundled"
        }
    };
    format!(
        "libssh2 {} ({})\n{} ({})\n",
        libraries.libssh2,
        origin(libraries.libssh2_is_shared),
        libraries.openssl,
        origin(libraries.openssl_is_shared),
    )
}

#[cfg(not(feature = "native-ssh"))]
fn native() -> String {
    "libssh2 and OpenSSL are not in this build (feature native-ssh)\n".to_owned()
}
