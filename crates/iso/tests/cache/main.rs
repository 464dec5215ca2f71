//! The cache against a real server, on good days and bad ones.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod limits;
mod server;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rmachine_driver::{Report, Silent};
use rmachine_iso::{Cache, IsoError, IsoName, Sha256, Source};
use server::{Behaviour, Server, iso};
use tempfile::TempDir;

/// What the cache told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

impl Report for Told {
    fn step(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(format!("warning: {text}"));
    }
}

fn cache() -> (TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().join("cache"));
    (dir, cache)
}

fn name(text: &str) -> IsoName {
    text.parse().unwrap()
}

fn source(server: &Server) -> Source {
    Source::at(&server.url("/b.iso")).unwrap().named(name("b"))
}

/// Nothing lies in the cache but ISOs, notes and locks.
fn assert_tidy(cache: &Cache) {
    for entry in fs::read_dir(cache.dir()).unwrap().flatten() {
        let file = entry.file_name().into_string().unwrap();
        let known = [".iso", ".json", ".lock"]
            .iter()
            .any(|end| file.ends_with(end));
        assert!(known && !file.contains(".part"), "{file} was left behind");
    }
}

#[tokio::test]
async fn what_is_there_is_not_downloaded_again() {
    let image = iso("ONE", 400);
    let server = Server::start(Behaviour::of(&image));
    let (_dir, cache) = cache();
    let told = Told::default();
    let got = cache.obtain(&source(&server), &told).await.unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), image);
    assert_eq!((got.label.as_str(), got.size), ("ONE", 400 * 2048));
    assert_eq!(got.sha256, Some(Sha256::of(&image)));
    assert_eq!(got.source, Some(server.url("/b.iso")));
    assert!(
        told.text().contains("downloading b: 0 % of 0.8 MB"),
        "{}",
        told.text()
    );
    assert_tidy(&cache);

    let again = cache.obtain(&source(&server), &Silent).await.unwrap();
    assert_eq!(again, got);
    assert_eq!(cache.named(&name("b")).unwrap(), got);
    assert_eq!(server.requests().len(), 1);

    server.change(|server| server.body = iso("TWO", 300));
    let anew = cache.obtain_anew(&source(&server), &Silent).await.unwrap();
    assert_eq!(anew.label, "TWO");
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke_off() {
    let image = iso("ONE", 600);
    let server = Server::start(Behaviour {
        cuts: vec![200_000, 0, 300_000],
        ..Behaviour::of(&image)
    });
    let (_dir, cache) = cache();
    let told = Told::default();
    let got = cache.obtain(&source(&server), &told).await.unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), image);
    let requests = server.requests();
    let ranges: Vec<Option<&str>> = requests.iter().map(|r| r.range.as_deref()).collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=200000-"),
            Some("bytes=200000-"),
            Some("bytes=500000-")
        ]
    );
    assert!(
        requests[1..]
            .iter()
            .all(|r| r.if_range.as_deref() == Some("\"one\""))
    );
    assert!(told.text().contains("broke off"), "{}", told.text());
    assert_tidy(&cache);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_downloaded_from_its_beginning() {
    let image = iso("ONE", 600);
    let server = Server::start(Behaviour {
        cuts: vec![200_000, 0, 0, 0, 0],
        ..Behaviour::of(&image)
    });
    let (_dir, cache) = cache();
    let error = cache.obtain(&source(&server), &Silent).await.unwrap_err();
    assert!(
        matches!(error, IsoError::Download { got: 200_000, .. }),
        "{error}"
    );
    let newer = iso("TWO", 500);
    server.change(|server| {
        server.body = newer.clone();
        server.etag = Some("\"two\"");
    });
    let got = cache.obtain(&source(&server), &Silent).await.unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), newer);
    assert_eq!(got.label, "TWO");
}

#[tokio::test]
async fn pieces_of_another_version_are_not_put_together() {
    let server = Server::start(Behaviour {
        if_range: false,
        cuts: vec![200_000, 0, 0, 0, 0],
        ..Behaviour::of(&iso("ONE", 600))
    });
    let (_dir, cache) = cache();
    cache.obtain(&source(&server), &Silent).await.unwrap_err();
    let newer = iso("TWO", 600);
    server.change(|server| {
        server.body = newer.clone();
        server.etag = Some("\"two\"");
    });
    let told = Told::default();
    let got = cache.obtain(&source(&server), &told).await.unwrap();
    assert!(fs::read(&got.path).unwrap() == newer, "{}", told.text());
    assert!(
        told.text().contains("the file has changed meanwhile"),
        "{}",
        told.text()
    );
}

#[tokio::test]
async fn a_download_that_ended_with_its_last_byte_is_whole() {
    let image = iso("ONE", 300);
    let server = Server::start(Behaviour::of(&image));
    let (_dir, cache) = cache();
    fs::create_dir_all(cache.dir()).unwrap();
    let origin = format!(
        r#"{{"Url": "{}", "Version": "\"one\""}}"#,
        server.url("/b.iso")
    );
    fs::write(cache.dir().join(".b.part.json"), origin).unwrap();
    fs::write(cache.dir().join(".b.part"), &image).unwrap();
    let got = cache.obtain(&source(&server), &Silent).await.unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), image);
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0].range, Some(format!("bytes={}-", image.len())));
    assert_tidy(&cache);

    // A part that is longer than the file is none of it.
    cache.remove(&name("b"), &Silent).await.unwrap();
    let origin = format!(
        r#"{{"Url": "{}", "Version": "\"one\""}}"#,
        server.url("/b.iso")
    );
    fs::write(cache.dir().join(".b.part.json"), origin).unwrap();
    fs::write(cache.dir().join(".b.part"), iso("ONE", 301)).unwrap();
    let got = cache.obtain(&source(&server), &Silent).await.unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), image);
}

#[tokio::test]
async fn a_download_that_is_noted_gets_its_name_later() {
    let server = Server::start(Behaviour::of(&iso("TWO", 300)));
    let (_dir, cache) = cache();
    // What is in the way stands for an end of the process just before the file gets its name.
    let place = cache.dir().join("b.iso");
    fs::create_dir_all(&place).unwrap();
    let error = cache
        .obtain_anew(&source(&server), &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, IsoError::Io { .. }), "{error}");
    fs::remove_dir(&place).unwrap();
    fs::write(&place, iso("ONE", 300)).unwrap();

    let got = cache.obtain(&source(&server), &Silent).await.unwrap();
    assert_eq!(got.label, "TWO");
    assert_eq!(got.source, Some(server.url("/b.iso")));
    assert_eq!(server.requests().len(), 1);
    assert_tidy(&cache);
}

#[tokio::test]
async fn a_file_with_another_date_is_still_from_where_it_came() {
    let server = Server::start(Behaviour::of(&iso("ONE", 300)));
    let (_dir, cache) = cache();
    let source = source(&server);
    let got = cache.obtain(&source, &Silent).await.unwrap();
    let touch = || {
        let file = fs::File::options().write(true).open(&got.path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    touch();
    assert_eq!(cache.obtain(&source, &Silent).await.unwrap(), got);
    touch();
    let verdict = cache.verify(&got.name, &Silent).await.unwrap();
    assert_eq!((verdict.iso, verdict.recorded), (got.clone(), got.sha256));
    assert_eq!(cache.obtain(&source, &Silent).await.unwrap(), got);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn pieces_that_do_not_belong_together_are_found_by_the_checksum() {
    let image = iso("ONE", 600);
    // Without a version, only the checksum can tell.
    let server = Server::start(Behaviour {
        etag: None,
        cuts: vec![200_000, 0, 0, 0, 0],
        ..Behaviour::of(&iso("OLD", 600))
    });
    let (_dir, cache) = cache();
    let source = source(&server).checked(Sha256::of(&image));
    cache.obtain(&source, &Silent).await.unwrap_err();
    server.change(|server| server.body = image.clone());
    let told = Told::default();
    let got = cache.obtain(&source, &told).await.unwrap();
    assert_eq!(fs::read(&got.path).unwrap(), image);
    assert!(told.text().contains("once more"), "{}", told.text());
}

#[tokio::test]
async fn servers_without_ranges_or_versions_serve_as_well() {
    let image = iso("ONE", 300);
    for (ranges, etag) in [
        (false, Some("\"one\"")),
        (true, None),
        (true, Some("W/\"x\"")),
    ] {
        let server = Server::start(Behaviour {
            ranges,
            etag,
            cuts: vec![100_000],
            refusals: vec![503],
            ..Behaviour::of(&image)
        });
        let (_dir, cache) = cache();
        let got = cache.obtain(&source(&server), &Silent).await.unwrap();
        assert_eq!(fs::read(&got.path).unwrap(), image);
    }
}

#[tokio::test]
async fn what_is_wrong_is_never_given_a_name() {
    let image = iso("ONE", 100);
    let server = Server::start(Behaviour::of(&image));
    let (_dir, cache) = cache();
    let wrong = source(&server).checked(Sha256::of(b"other"));
    let error = cache.obtain(&wrong, &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Checksum { .. }), "{error}");
    assert_eq!(
        server.requests().len(),
        1,
        "a wrong file is not asked for twice"
    );

    server.change(|server| server.body = b"<html>no</html>".repeat(5000));
    let error = cache.obtain(&source(&server), &Silent).await.unwrap_err();
    assert!(error.to_string().contains("no ISO 9660 head"), "{error}");

    server.change(|server| server.body = image[..50 * 2048].to_vec());
    let error = cache.obtain(&source(&server), &Silent).await.unwrap_err();
    assert!(error.to_string().contains("cut off"), "{error}");

    server.change(|server| server.refusals = vec![404]);
    let error = cache.obtain(&source(&server), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Refused { .. }), "{error}");
    assert!(cache.list().unwrap().is_empty());
    assert_tidy(&cache);
}

#[tokio::test]
async fn a_mirror_that_fails_makes_way_for_the_next_place() {
    let server = Server::start(Behaviour {
        path: "/good/v19.03.12/boot2docker.iso",
        ..Behaviour::of(&iso("B2D", 100))
    });
    let (_dir, cache) = cache();
    let mirrored = Source::boot2docker(Some(&server.url("/good"))).unwrap();
    // The published checksum is not that of a test's file.
    let mirrored = mirrored.checked(Sha256::of(&iso("B2D", 100)));
    let got = cache.obtain(&mirrored, &Silent).await.unwrap();
    assert_eq!(got.name.as_str(), Source::DEFAULT_NAME);
    assert_eq!(
        server.requests()[0].line,
        "GET /good/v19.03.12/boot2docker.iso HTTP/1.1"
    );
}

#[tokio::test]
async fn an_iso_that_was_put_there_by_hand_is_taken() {
    let (_dir, cache) = cache();
    fs::create_dir_all(cache.dir()).unwrap();
    let by_hand = cache.dir().join("boot2docker.iso");
    fs::write(&by_hand, iso("Boot2Docker-v18.09.9", 50)).unwrap();
    let default = Source::boot2docker(None).unwrap();
    let told = Told::default();
    let got = cache.obtain(&default, &told).await.unwrap();
    assert_eq!(got.label, "Boot2Docker-v18.09.9");
    assert!(told.text().contains("taken as it is"), "{}", told.text());
    // It was looked at; nobody is told again.
    let told = Told::default();
    assert_eq!(cache.obtain(&default, &told).await.unwrap(), got);
    assert_eq!(told.text(), "");

    // The very file that was published needs no words.
    let published = iso("Boot2Docker-v19.03.12", 60);
    fs::write(&by_hand, &published).unwrap();
    let told = Told::default();
    let default = default.checked(Sha256::of(&published));
    cache.obtain(&default, &told).await.unwrap();
    assert!(!told.text().contains("warning"), "{}", told.text());
}

#[tokio::test]
async fn what_was_put_there_by_hand_is_not_taken_where_somebody_says_what_it_must_be() {
    let (_dir, cache) = cache();
    fs::create_dir_all(cache.dir()).unwrap();
    for file in ["boot2docker.iso", "mine.iso"] {
        fs::write(cache.dir().join(file), iso("MINE", 50)).unwrap();
    }
    let default = Source::boot2docker(None).unwrap();
    cache.obtain(&default, &Silent).await.unwrap();
    for wanted in [
        default.clone().checked(Sha256::of(b"other")),
        default.clone().named(name("mine")),
    ] {
        // Looked at for the first time, and known already.
        for _ in 0..2 {
            let error = cache.obtain(&wanted, &Silent).await.unwrap_err();
            let cached = Some(wanted.name());
            assert!(
                matches!(&error, IsoError::Checksum { cached: c, .. } if c.as_ref() == cached),
                "{error}"
            );
        }
    }
    let same_name = default.clone().named(name(Source::DEFAULT_NAME));
    cache.obtain(&same_name, &Silent).await.unwrap();
}

#[tokio::test]
async fn what_lies_under_another_name_is_not_taken_for_it() {
    let server = Server::start(Behaviour::of(&iso("ONE", 50)));
    let (_dir, cache) = cache();
    fs::create_dir_all(cache.dir()).unwrap();
    fs::write(cache.dir().join("b.iso"), iso("OTHER", 50)).unwrap();
    let error = cache.obtain(&source(&server), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Taken { .. }), "{error}");
    // Half a file is nobody's.
    fs::write(cache.dir().join("b.iso"), &iso("OTHER", 50)[..70_000]).unwrap();
    let told = Told::default();
    let got = cache.obtain(&source(&server), &told).await.unwrap();
    assert_eq!(got.label, "ONE");
    assert!(told.text().contains("it is replaced"), "{}", told.text());
}

#[tokio::test]
async fn files_are_taken_where_they_lie() {
    let (dir, cache) = cache();
    let file = dir.path().join("my own.iso");
    fs::write(&file, iso("MINE", 40)).unwrap();
    let source = Source::at(file.to_str().unwrap()).unwrap();
    let got = cache.obtain(&source, &Silent).await.unwrap();
    assert_eq!(
        (got.path.as_path(), got.label.as_str()),
        (file.as_path(), "MINE")
    );
    let error = cache
        .obtain(&source.clone().checked(Sha256::of(b"")), &Silent)
        .await
        .unwrap_err();
    assert!(matches!(error, IsoError::Checksum { .. }), "{error}");
    fs::remove_file(&file).unwrap();
    let error = cache.obtain(&source, &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Io { .. }), "{error}");
}

#[tokio::test]
async fn imports_verifies_and_removes() {
    let (dir, cache) = cache();
    let file = dir.path().join("mine.iso");
    let put = |label: &str| fs::write(&file, iso(label, 40)).unwrap();
    let import = async |replace| {
        let (file, name) = (Path::new(&file), name("mine"));
        cache.import(file, &name, None, replace, &Silent).await
    };
    put("ONE");
    let got = import(false).await.unwrap();
    assert_eq!(got.source.as_deref(), file.to_str());
    import(false).await.unwrap();
    put("TWO");
    let error = import(false).await.unwrap_err();
    assert!(matches!(error, IsoError::Taken { .. }), "{error}");
    assert_eq!(import(true).await.unwrap().label, "TWO");

    let verdict = cache.verify(&name("mine"), &Silent).await.unwrap();
    assert_eq!(verdict.recorded, verdict.iso.sha256);
    let mut changed = iso("TWO", 40);
    changed[70_000] ^= 1;
    fs::write(cache.dir().join("mine.iso"), changed).unwrap();
    let error = cache.verify(&name("mine"), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Checksum { .. }), "{error}");

    cache.remove(&name("mine"), &Silent).await.unwrap();
    let error = cache.remove(&name("mine"), &Silent).await.unwrap_err();
    assert!(matches!(error, IsoError::Unknown { .. }), "{error}");
    assert!(cache.list().unwrap().is_empty());
    assert_tidy(&cache);
}

#[tokio::test]
async fn nobody_waits_for_ever_for_a_process_that_does_nothing() {
    let server = Server::start(Behaviour::of(&iso("ONE", 40)));
    let (_dir, cache) = cache();
    let cache = cache.with_patience(Duration::from_millis(300));
    fs::create_dir_all(cache.dir()).unwrap();
    let holder = fs::File::create(cache.dir().join(".b.lock")).unwrap();
    holder.lock().unwrap();
    let told = Told::default();
    let error = cache.obtain(&source(&server), &told).await.unwrap_err();
    assert!(matches!(error, IsoError::Busy { .. }), "{error}");
    assert!(told.text().contains("to make the ISO b"), "{}", told.text());
    drop(holder);
    cache.obtain(&source(&server), &Silent).await.unwrap();
}
