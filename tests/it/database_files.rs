//! Unusable databases: one line names the setting or file and says what to do.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;

use crate::binary::{BINARY, command};
use crate::support::{database_kind, fresh_database};

/// An unprivileged user, because root may read and write everything.
const NOBODY: u32 = 65_534;

/// Returns the errors of `serve` and `migrate status` for this database.
fn refusals(folder: &TempDir, url: &str, extra: &[(&str, &str)], as_nobody: bool) -> Vec<String> {
    let told = |arguments: &[&str]| {
        let mut command = command(folder);
        command.args(arguments).env("MANGO_ENV", "test").env("DATABASE_URL", url);
        if as_nobody {
            command.uid(NOBODY);
        }
        for (name, value) in extra {
            command.env(name, value);
        }
        let output = output_of(command);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{url}: {told}");
        let told = told.trim_end().to_owned();
        assert_eq!(told.lines().count(), 1, "{url}: {told}");
        told
    };
    vec![told(&["serve"]), told(&["migrate", "status"]), told(&["admin", "list"])]
}

/// Returns the output of a command. A command that does not end is killed and has no exit code.
fn output_of(mut command: Command) -> Output {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("runs");
    let pid = child.id().to_string();
    let (ended, waiting) = mpsc::channel();
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(Duration::from_secs(20)).is_err() {
            drop(Command::new("kill").args(["-KILL", &pid]).status());
        }
    });
    let output = child.wait_with_output().expect("ends");
    drop((ended.send(()), watch.join()));
    output
}

fn says(told: &[String], parts: &[&str]) {
    for line in told {
        assert!(line.starts_with("mango-chat: DATABASE_URL: "), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}

fn url_of(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

#[test]
fn an_invalid_database_file_is_reported_with_its_name_and_a_remedy() {
    if database_kind() != "sqlite" {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder")).expect("made");
    says(
        &refusals(&folder, &url_of(&at("folder")), &[], false),
        &["/folder is a folder", "name a file in it"],
    );
    for (name, text) in
        [("letter.txt", "Dear all,\nthis is no database at all.\n".repeat(50)), ("short", "x".into())]
    {
        std::fs::write(at(name), text).expect("written");
        says(
            &refusals(&folder, &url_of(&at(name)), &[], false),
            &[name, "is not a SQLite database", "name another"],
        );
    }
    assert_eq!(std::fs::read(at("short")).expect("read"), b"x", "it is left alone");
    says(&refusals(&folder, &url_of(&at("short/mango.db")), &[], false), &["short is not a folder"]);
    // A missing parent folder is created.
    let output = command(&folder)
        .args(["migrate", "up"])
        .env("MANGO_ENV", "test")
        .env("DATABASE_URL", url_of(&at("new/deep/mango.db")))
        .output()
        .expect("runs");
    assert!(output.status.success() && at("new/deep/mango.db").is_file());
}

#[test]
fn a_database_file_without_permissions_is_reported_with_its_name_and_a_remedy() {
    if database_kind() != "sqlite" {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let set = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    let is_root = std::fs::read_dir("/root").is_ok();
    let reaches = Path::new(BINARY)
        .ancestors()
        .skip(1)
        .all(|it| it.metadata().is_ok_and(|it| it.permissions().mode() & 0o001 != 0));
    if is_root && !reaches {
        eprintln!("skipped: only root reaches {BINARY}");
        return;
    }
    set(folder.path(), 0o777);
    let data = folder.path().join("data").display().to_string();
    let extra = [("DATA_DIR", data.as_str()), ("LOG_DIR", data.as_str())];
    let file = folder.path().join("mango.db");
    let made = command(&folder)
        .args(["migrate", "up"])
        .env("MANGO_ENV", "test")
        .env("DATABASE_URL", url_of(&file))
        .output()
        .expect("runs");
    assert!(made.status.success());
    std::fs::remove_dir_all(folder.path().join("assets")).ok();
    for (mode, reason) in [(0o444, "Permission denied"), (0o000, "Permission denied")] {
        set(&file, mode);
        let told = refusals(&folder, &url_of(&file), &extra, is_root);
        says(&told, &["/mango.db cannot be opened", reason, "give this user the right to read and write it"]);
    }
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).expect("made");
    set(&closed, 0o555);
    let told = refusals(&folder, &url_of(&closed.join("mango.db")), &extra, is_root);
    says(&told, &["closed/mango.db cannot be made", "give this user the right to write its folder"]);
}

#[harness::test]
async fn a_database_of_a_newer_version_is_rejected_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = fresh_database(&folder).await;
    let up =
        command(&folder).args(["migrate", "up"]).env("MANGO_ENV", "test").env("DATABASE_URL", &url).output();
    assert!(up.expect("runs").status.success());
    let db = Database::connect(&url).await.expect("opens");
    let sql =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_later', 4070908800)";
    db.execute_unprepared(sql).await.expect("noted");
    db.close().await.expect("closed");
    for extra in [&[][..], &[("MIGRATE_ON_START", "false")]] {
        let told = refusals(&folder, &url, extra, false);
        says(
            &told,
            &["newer mango-chat", "m20990101_000001_later", "Start that version, or restore a backup"],
        );
    }
}
