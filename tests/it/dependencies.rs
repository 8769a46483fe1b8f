//! Dependencies come from crates.io and have licences that `deny.toml` allows. `cargo deny`, which also checks
//! advisories, runs in continuous integration on GitHub because it takes longer to build than the server.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, ParseMode};

#[test]
fn dependencies_come_from_the_registry_and_have_allowed_licenses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml");
    let (_, allowed) = config.split_once("allow = [").expect("a list");
    let (allowed, _) = allowed.split_once(']').expect("its end");
    let allowed: BTreeSet<&str> = allowed.split('"').skip(1).step_by(2).collect();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 300, "{} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let Some(source) = package["source"].as_str() else { continue };
        assert!(source.starts_with("registry+"), "{name} comes from {source}");
        let licence = package["license"].as_str().unwrap_or_default();
        let expression = Expression::parse_mode(licence, ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{name}: {licence}: {error}"));
        let fits = expression.evaluate(|it| {
            it.addition.is_none() && it.license.id().is_some_and(|it| allowed.contains(it.name))
        });
        assert!(fits, "{name} has the licence {licence}, which deny.toml does not allow");
    }
}
