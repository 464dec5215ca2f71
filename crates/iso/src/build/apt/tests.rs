use std::os::unix::fs::symlink;

use rmachine_driver::Silent;
use tempfile::TempDir;

use super::super::program::Programs;
use super::*;
use crate::Cache;

/// A computer with a stand-in for apt-get, which has the archive in the directory `archive`.
struct World {
    dir: TempDir,
    runner: Runner,
    work: Work,
}

impl World {
    fn new(archive: &[(&str, &str)], cached: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stand_in = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stand-in/apt-get");
        symlink(stand_in, dir.path().join("apt-get")).unwrap();
        for name in "cpio depmod dpkg-deb gzip mksquashfs xorriso xz".split(' ') {
            symlink("/bin/true", dir.path().join(name)).unwrap();
        }
        let work = Work::begin(&Cache::new(dir.path().join("cache"))).unwrap();
        fs::create_dir(dir.path().join("archive")).unwrap();
        for (files, place) in [
            (archive, dir.path().join("archive")),
            (cached, work.packages().to_owned()),
        ] {
            for (name, text) in files {
                fs::write(place.join(name), text).unwrap();
            }
        }
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let runner = Programs::find(&path).unwrap().at(0);
        Self { dir, runner, work }
    }

    fn apt(&self) -> Apt<'_> {
        Apt {
            runner: &self.runner,
            work: &self.work,
            engine: BuildEngine::V20_10,
            archive: None,
        }
    }

    /// Which packages were asked for, a line each.
    fn asked_for(&self) -> String {
        fs::read_to_string(self.dir.path().join("asked-for")).unwrap_or_default()
    }

    fn cached(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.work.packages().join(name)).ok()
    }
}

fn lock(text: &str) -> PackageLock {
    PackageLock {
        engine: BuildEngine::V20_10,
        epoch: 0,
        packages: vec![LockedPackage {
            name: "a".to_owned(),
            version: "1:2".to_owned(),
            architecture: "all".to_owned(),
            sha256: Sha256::of(text.as_bytes()),
        }],
    }
}

#[tokio::test]
async fn what_the_cache_has_is_compared_with_the_archive() {
    let archive = [("a_1%3a2_all.deb", "whole"), ("b_1_amd64.deb", "b")];
    let world = World::new(&archive, &[("a_1%3a2_all.deb", "wh"), archive[1]]);
    let fetched = world.apt().newest(&Silent).await.unwrap();
    let sums: Vec<Sha256> = fetched.iter().map(|(package, _)| package.sha256).collect();
    assert_eq!(sums, [Sha256::of(b"whole"), Sha256::of(b"b")]);
    assert_eq!(world.cached(archive[0].0).as_deref(), Some("whole"));
    assert_eq!(world.asked_for(), "a=1:2\n");
}

#[tokio::test]
async fn a_locked_package_that_was_cut_off_is_fetched_anew() {
    let file = "a_1%3a2_all.deb";
    let world = World::new(&[(file, "whole")], &[(file, "wh")]);
    let fetched = world.apt().locked(&lock("whole"), &Silent).await.unwrap();
    assert_eq!(fs::read_to_string(&fetched[0].1).unwrap(), "whole");

    // Then it is there, and the archive is not asked.
    world.apt().locked(&lock("whole"), &Silent).await.unwrap();
    assert_eq!(world.asked_for(), "a=1:2\n");
}

#[tokio::test]
async fn a_wrong_package_does_not_get_into_the_cache() {
    let file = "a_1%3a2_all.deb";
    let world = World::new(&[(file, "another")], &[]);
    let error = world
        .apt()
        .locked(&lock("whole"), &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, BuildError::Package { .. }), "{error}");
    assert_eq!(world.cached(file), None);
}

#[test]
fn reads_what_apt_would_fetch() {
    let uri = "'http://x/pool/o/openssh-client_9.2p1-2%2bdeb12u10_amd64.deb' \
               openssh-client_1%3a9.2p1-2+deb12u10_amd64.deb 993532";
    let sum = Sha256::of(b"");
    let package = parse_uri_line(&format!("{uri} SHA256:{sum}")).unwrap();
    assert_eq!(package.sha256, sum);
    assert_eq!(package.as_argument(), "openssh-client=1:9.2p1-2+deb12u10");
    assert_eq!(
        package.file_name(),
        "openssh-client_1%3a9.2p1-2+deb12u10_amd64.deb"
    );
    for bad in [
        "",
        "E: no",
        "'http://x' a.deb 1",
        &format!("'http://x' a_1_amd64_x.deb 1 SHA256:{sum}"),
        uri,
        &format!("{uri} MD5Sum:ee09"),
    ] {
        assert_eq!(parse_uri_line(bad), None, "{bad}");
    }
}

#[test]
fn finds_the_archives_that_apt_uses() {
    let said = "Debian/Debian-Security/main http://s/debian-security/\n\
                Docker/Docker CE/stable https://d/\n\
                Debian/Debian/contrib http://c/\nDebian/Debian/main http://m/debian/\n";
    let archives = Archives::parse(said).unwrap();
    assert_eq!(archives.main, "http://m/debian/");
    assert_eq!(
        archives.security.as_deref(),
        Some("http://s/debian-security/")
    );
    assert_eq!(Archives::parse("Ubuntu/Ubuntu/main http://u/\n"), None);
}

#[test]
fn nothing_is_wanted_and_left_out() {
    let without: Vec<&str> = lines(WITHOUT).collect();
    assert!(lines(WANTED).all(|name| !without.contains(&name)));
}
