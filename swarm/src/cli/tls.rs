use std::path::PathBuf;

use crate::tls::TlsFiles;

use super::Failure;

/// The flags for TLS.
#[derive(clap::Args)]
pub struct TlsArgs {
    /// Speak TLS, let everybody in and verify no engine; implied by --tlsverify
    #[arg(long)]
    tls: bool,

    /// Speak TLS, let in only clients and trust only engines of --tlscacert's authority
    #[arg(long)]
    tlsverify: bool,

    /// The authority's certificate
    #[arg(long, value_name = "FILE")]
    tlscacert: Option<PathBuf>,

    /// The certificate that is shown to clients and engines
    #[arg(long, value_name = "FILE")]
    tlscert: Option<PathBuf>,

    /// Its private key
    #[arg(long, value_name = "FILE")]
    tlskey: Option<PathBuf>,
}

impl TlsArgs {
    /// The files; `None` without TLS.
    ///
    /// # Errors
    /// When the flags contradict each other.
    pub fn files(self) -> Result<Option<TlsFiles>, Failure> {
        if !(self.tls || self.tlsverify) {
            let any = self.tlscacert.is_some() || self.tlscert.is_some() || self.tlskey.is_some();
            return match any {
                true => Err(Failure::usage(
                    "--tlscert, --tlskey and --tlscacert require the use of either --tls or \
                     --tlsverify",
                )),
                false => Ok(None),
            };
        }
        let (Some(certificate), Some(key)) = (self.tlscert, self.tlskey) else {
            return Err(Failure::usage(
                "--tlscert and --tlskey must be provided when using --tls",
            ));
        };
        if self.tlsverify && self.tlscacert.is_none() {
            return Err(Failure::usage(
                "--tlscacert must be provided when using --tlsverify",
            ));
        }
        Ok(Some(TlsFiles {
            ca: self.tlscacert.filter(|_| self.tlsverify),
            certificate,
            key,
            admits_agents: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        tls: TlsArgs,
    }

    #[test]
    fn flags_belong_together() {
        let files = |line: &str| {
            let words = ["x"].into_iter().chain(line.split_whitespace());
            Flags::try_parse_from(words).unwrap().tls.files()
        };
        let all = "--tlscacert ca --tlscert c --tlskey k";
        assert!(files("").unwrap().is_none());
        let verified = files(&format!("--tlsverify {all}")).unwrap().unwrap();
        assert_eq!(verified.ca, Some("ca".into()));
        let unverified = files(&format!("--tls {all}")).unwrap().unwrap();
        assert_eq!(unverified.ca, None);
        for (line, said) in [
            (all, "require the use of either"),
            ("--tls --tlscert c", "must be provided when using --tls"),
            (
                "--tlsverify --tlscert c --tlskey k",
                "--tlscacert must be provided",
            ),
        ] {
            let error = files(line).unwrap_err().to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
