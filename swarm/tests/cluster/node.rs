use crate::lab::{Host, Image};
use crate::party::Party;

/// The image that every node has: a shell and a few programs.
pub const TINY: &str = "tiny:1";

/// Makes [`TINY`] of programs of the host itself: no registry is asked.
const MAKE_TINY: &str = r#"
programs=
for program in sh cat sleep echo ls hostname env id; do programs="$programs /bin/$program"; done
libraries=$(ldd $programs | grep -o '/[^ )]*' | grep -v ':$' | sort -u)
tar -chf - $programs $libraries 2>/dev/null |
    docker import --change 'CMD ["sh"]' --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' - tiny:1
"#;

/// A host whose engine is behind mutual TLS, and the only one of its name.
pub struct Node {
    /// The host.
    pub host: Host,
    /// The engine's name.
    pub name: String,
}

impl Node {
    /// Starts a host and configures its engine; nothing where there is no lab.
    pub fn start(party: &Party, name: &str, image: Image, options: &str) -> Option<Self> {
        let host = Host::start_with(image, &["--hostname", name])?;
        let made = party.server(name, &host.ip(), false);
        host.write("/etc/docker/ca.pem", party.ca());
        host.write("/etc/docker/server.pem", &made.certificate);
        host.write("/etc/docker/server-key.pem", made.key.expose());
        let unit = format!(
            "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2376 \
             --containerd=/run/containerd/containerd.sock --tlsverify \
             --tlscacert=/etc/docker/ca.pem --tlscert=/etc/docker/server.pem \
             --tlskey=/etc/docker/server-key.pem {options}\n"
        );
        host.write("/etc/systemd/system/docker.service.d/tls.conf", &unit);
        host.sh(
            "chmod 600 /etc/docker/server-key.pem; systemctl daemon-reload
            systemctl restart docker",
        );
        host.sh(MAKE_TINY);
        Some(Self {
            host,
            name: name.to_owned(),
        })
    }

    /// Where the engine is reached, as discovery has it.
    pub fn entry(&self) -> String {
        format!("{}:2376", self.host.ip())
    }
}
