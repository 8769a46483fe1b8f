//! Writes `bench/RESULTS.md` and the plot.

use std::fs;
use std::path::Path;

use time::OffsetDateTime;

use super::plot;
use super::program::run;
use super::results::Results;
use super::server::Environment;
use crate::Result;

/// Writes both files into the source tree.
pub fn write(environment: &Environment, results: &Results, table: &str) -> Result<()> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(bench.join("compare.svg"), plot::draw(results))?;
    let text = format!(
        "# Comparison\n\n\
         Written by `{}` on {}. How to read it: [README](README.md#comparison-with-other-servers).\n\n\
         Machine: {}. Kernel {}.\n\n\
         Versions: {}.\n\n\
         {table}\n\
         ![The same, relative to the first server](compare.svg)\n",
        command(),
        OffsetDateTime::now_utc().date(),
        machine()?,
        fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        versions(environment)?.join(", "),
    );
    Ok(fs::write(bench.join("RESULTS.md"), text)?)
}

/// Returns the command line without the folder of the program.
pub fn command() -> String {
    let words = std::env::args().skip(1).map(|word| match word.split_once('=') {
        Some((name, path)) if path.contains('/') => format!("{name}=…"),
        _ if word.contains('/') => "…".into(),
        _ => word,
    });
    std::iter::once("mango-bench".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Describes the CPUs.
pub fn machine() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let value = |name: &str| {
        info.lines().find_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim().to_owned()))
    };
    let vendor = value("vendor_id").unwrap_or_else(|| "unknown".into());
    let model = value("model name").unwrap_or_else(|| "unknown".into());
    let cpus = std::thread::available_parallelism()?;
    Ok(format!("{cpus} CPUs ({vendor}, {model}), shared by servers, database and load generator"))
}

fn versions(environment: &Environment) -> Result<Vec<String>> {
    let folder = environment.peers.folder();
    let mut versions =
        vec![environment.postgres.version.replace(" (PostgreSQL)", "").replace("postgres", "PostgreSQL")];
    // A peer that was not measured may not be installed.
    if let Ok(version) = run(&["node", "--version"], folder) {
        versions.push(format!("node {}", version.trim()));
    }
    let package: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.join("package.json"))?)?;
    for (name, version) in package["dependencies"].as_object().into_iter().flatten() {
        versions.push(format!("{name} {}", version.as_str().unwrap_or_default()));
    }
    if let Ok(version) = run(&["venv/bin/python", "--version"], folder) {
        versions.push(version.trim().to_owned());
    }
    let requirements = fs::read_to_string(folder.join("requirements.txt"))?;
    // The first paragraph is what the peer uses; the rest is what that brings along.
    let direct =
        requirements.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with('#'));
    versions.extend(direct.map(|line| line.replace("==", " ")));
    Ok(versions)
}
