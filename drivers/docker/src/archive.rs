use std::io::{self, Read as _};

/// The account that logs in to a node, as the image's own `/etc/passwd` has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    pub name: String,
    pub uid: u64,
    pub gid: u64,
    pub home: String,
}

/// Chooses the account: `docker` where the image has it, else root.
pub fn login_account(passwd: &str) -> Option<Account> {
    let accounts: Vec<Account> = passwd.lines().filter_map(account).collect();
    ["docker", "root"]
        .iter()
        .find_map(|name| accounts.iter().find(|a| a.name == *name).cloned())
}

fn account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    home.starts_with('/').then_some(Account {
        name,
        uid,
        gid,
        home,
    })
}

/// The text of the one file in an archive that the engine gave.
pub fn only_file(archive: &[u8]) -> io::Result<String> {
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive
        .entries()?
        .next()
        .ok_or(io::ErrorKind::UnexpectedEof)??;
    let mut text = String::new();
    entry.read_to_string(&mut text)?;
    Ok(text)
}

/// What a machine is given before its first boot: who may log in, and which host it is.
pub struct Injected<'a> {
    pub account: &'a Account,
    pub authorized_keys: &'a str,
    pub host_key: &'a str,
    pub host_key_public: &'a str,
}

impl Injected<'_> {
    /// The archive to lay over the machine's root.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let account = self.account;
        let ssh = format!("{}/.ssh", account.home.trim_matches('/'));
        let owner = (account.uid, account.gid);
        let mut tar = tar::Builder::new(Vec::new());
        put(&mut tar, &ssh, tar::EntryType::Directory, 0o700, owner, "")?;
        let mut file = |path: &str, mode, owner, text| {
            put(&mut tar, path, tar::EntryType::Regular, mode, owner, text)
        };
        let authorized = format!("{ssh}/authorized_keys");
        file(&authorized, 0o600, owner, self.authorized_keys)?;
        let host = "etc/ssh/ssh_host_ed25519_key";
        file(host, 0o600, (0, 0), self.host_key)?;
        file(&format!("{host}.pub"), 0o644, (0, 0), self.host_key_public)?;
        tar.into_inner()
    }
}

fn put(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    (uid, gid): (u64, u64),
    text: &str,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_in_as_docker_else_as_root() {
        let root = "root:x:0:0:root:/root:/bin/bash\n";
        let docker = "docker:x:1000:998::/home/docker:/bin/bash\n";
        let both = login_account(&format!("{root}{docker}")).unwrap();
        assert_eq!(
            (both.name.as_str(), both.uid, both.gid),
            ("docker", 1000, 998)
        );
        assert_eq!(both.home, "/home/docker");
        assert_eq!(login_account(root).unwrap().name, "root");
        for none in [
            "",
            "docker",
            "docker:x:a:b::/home:/bin/sh",
            "docker:x:1:1::home:",
        ] {
            assert_eq!(login_account(none), None, "{none:?}");
        }
    }

    #[test]
    fn keys_arrive_with_their_owners_and_modes() {
        let account = login_account("docker:x:1000:998::/home/docker:/bin/bash").unwrap();
        let injected = Injected {
            account: &account,
            authorized_keys: "ssh-ed25519 A\n",
            host_key: "private\n",
            host_key_public: "ssh-ed25519 B\n",
        };
        let bytes = injected.archive().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let seen: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                format!(
                    "{} {:o} {}:{} {}",
                    entry.path().unwrap().display(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                    header.size().unwrap()
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                "home/docker/.ssh 700 1000:998 0",
                "home/docker/.ssh/authorized_keys 600 1000:998 14",
                "etc/ssh/ssh_host_ed25519_key 600 0:0 8",
                "etc/ssh/ssh_host_ed25519_key.pub 644 0:0 14",
            ]
        );
    }

    #[test]
    fn an_archive_with_nothing_in_it_is_an_error() {
        assert!(only_file(&[0; 1024]).is_err());
    }
}
