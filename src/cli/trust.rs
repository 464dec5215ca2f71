use rmachine_driver::MachineName;
use rmachine_lifecycle::OfferedHostKey;

use super::App;
use super::names::SomeNames;
use crate::error::{CommandError, ErrorKind, Status};

/// Approve what a machine's record names, and the key that its host shows
///
/// A record may name files outside the store: a sudo password file, an SSH key, an ISO, a shared
/// directory, a program. They are used only after you approved them, because the record may come
/// from someone else; flags of 'create' and cluster files of yours approve what they name. A host
/// whose key is not the pinned one, or whose pin was lost, is rejected until you accept its key.
///
/// Without options both are shown and you are asked. Without a terminal, name what you accept.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// Approve the files that the records name, and do not ask
    #[arg(long)]
    paths: bool,

    /// Accept the host key with this fingerprint, and do not ask
    #[arg(long, value_name = "SHA256:...")]
    host_key: Option<String>,
}

/// Approves and accepts, one machine after the other.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let names = args.names.resolve(app)?;
    if args.host_key.is_some() && names.len() != 1 {
        return Err(CommandError::usage(
            "--host-key is the key of one machine, but several machines are named",
        ));
    }
    let both = !args.paths && args.host_key.is_none();
    for name in &names {
        if args.paths || both {
            approve_paths(app, name, args.paths)?;
        }
        if args.host_key.is_some() || both {
            accept_host_key(app, name, args.host_key.as_deref()).await?;
        }
    }
    Ok(Status::OK)
}

fn approve_paths(app: &App, name: &MachineName, unasked: bool) -> Result<(), CommandError> {
    let of_lifecycle = |error| CommandError::of_lifecycle(error, name.as_str());
    let files = app.machines.unapproved_files(name).map_err(of_lifecycle)?;
    if files.is_empty() {
        app.ui.note(&format!(
            "{name}: the record names no file outside the store that is not approved"
        ));
        return Ok(());
    }
    for file in &files {
        // Quoted: the record may come from someone else.
        app.ui
            .note(&format!("{name}: {} is {:?}", file.field, file.path));
    }
    let question = format!("Let the record of {name} use these files of yours?");
    if !unasked && !app.ui.confirm(&question)? {
        return Err(
            CommandError::failed(format!("{name}: the files were not approved"))
                .hint(format!("{} trust --paths {name}", app.program())),
        );
    }
    app.machines
        .approve_files(name, &files)
        .map_err(of_lifecycle)?;
    app.ui.note(&format!("{name}: approved"));
    Ok(())
}

async fn accept_host_key(
    app: &App,
    name: &MachineName,
    fingerprint: Option<&str>,
) -> Result<(), CommandError> {
    let of_lifecycle = |error| CommandError::of_lifecycle(error, name.as_str());
    let key = app.machines.offered_host_key(name).await;
    let Some(key) = key.map_err(of_lifecycle)? else {
        if fingerprint.is_some() {
            return Err(CommandError::failed(format!(
                "{name} has no host key: SSH does not reach it"
            )));
        }
        return Ok(());
    };
    let offered = key.offered.fingerprint();
    if fingerprint.is_some_and(|expected| expected != offered) {
        return Err(CommandError::new(
            ErrorKind::Connection,
            format!("{name}: the host shows another key: {offered}"),
        ));
    }
    if key.is_pinned() {
        app.ui
            .note(&format!("{name}: the host key {offered} is pinned"));
        return Ok(());
    }
    app.ui.note(&described(name, &key));
    let question = format!("Accept the host key {offered} of {name}?");
    if fingerprint.is_none() && !app.ui.confirm(&question)? {
        return Err(CommandError::new(
            ErrorKind::Connection,
            format!("{name}: the host key was not accepted"),
        )
        .hint(format!(
            "{} trust --host-key {offered} {name}",
            app.program()
        )));
    }
    app.machines
        .accept_host_key(name, &key)
        .map_err(of_lifecycle)?;
    app.ui
        .note(&format!("{name}: the host key {offered} is pinned now"));
    Ok(())
}

fn described(name: &MachineName, key: &OfferedHostKey) -> String {
    let fingerprints: Vec<_> = key.pinned.iter().map(|pin| pin.fingerprint()).collect();
    let pinned = match fingerprints.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    format!(
        "{name}: the host shows the {} key {}; pinned: {pinned}. Compare it on the host: \
         ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        key.offered.algorithm(),
        key.offered.fingerprint()
    )
}
