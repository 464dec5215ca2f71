use super::App;
use super::client::Client;
use super::names::OneName;
use crate::error::{CommandError, Status};

/// Print the flags that make one docker command talk to a machine
///
/// docker $(rmachine config NAME) info
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    name: OneName,

    /// Talk to the cluster that the machine is the master of
    #[arg(long)]
    swarm: bool,
}

/// Runs the command.
pub async fn run(args: Args, app: &App) -> Result<Status, CommandError> {
    let machine = args.name.machine(app)?;
    let client = match args.swarm {
        true => Client::of_swarm(app, &machine).await?,
        false => Client::of(app, &machine).await?,
    };
    // `$(…)` splits at blanks whatever quotes there are: a URL could become further flags.
    if client
        .url
        .contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(CommandError::failed(format!(
            "the URL {:?} has blanks, which flags cannot hold",
            client.url
        ))
        .hint(format!("rmachine env {}", machine.name())));
    }
    client.check(&machine).await?;
    app.ui.exact(&flags(&client))?;
    Ok(Status::OK)
}

/// A flag a line. Values stand as they are where a shell would leave them alone: `$(…)` does not
/// remove quotes, and docker would take them for a part of the path.
fn flags(client: &Client) -> String {
    let mut lines = Vec::new();
    if let Some(dir) = &client.certificates {
        lines.push("--tlsverify".to_owned());
        for (flag, file) in [
            ("--tlscacert", "ca.pem"),
            ("--tlscert", "cert.pem"),
            ("--tlskey", "key.pem"),
        ] {
            let path = dir.join(file).display().to_string();
            let path = shlex::try_quote(&path).map_or(path.clone(), Into::into);
            lines.push(format!("{flag}={path}"));
        }
    }
    lines.push(format!("-H={}", client.url));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_only_where_they_must_be() {
        let client = |dir: &str| Client {
            url: "tcp://10.0.0.1:2376".to_owned(),
            certificates: Some(dir.into()),
        };
        assert_eq!(
            flags(&client("/home/me/.docker/machine/machines/n1")),
            "--tlsverify\n\
             --tlscacert=/home/me/.docker/machine/machines/n1/ca.pem\n\
             --tlscert=/home/me/.docker/machine/machines/n1/cert.pem\n\
             --tlskey=/home/me/.docker/machine/machines/n1/key.pem\n\
             -H=tcp://10.0.0.1:2376\n"
        );
        assert!(flags(&client("/a b")).contains("--tlscacert='/a b/ca.pem'\n"));
        let socket = Client {
            url: "unix:///run/docker.sock".to_owned(),
            certificates: None,
        };
        assert_eq!(flags(&socket), "-H=unix:///run/docker.sock\n");
    }
}
