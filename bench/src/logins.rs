//! `logins`: users who log in at the same time, with the password hashes of real accounts. For comparison, the same run
//! measures how many such hashes the machine's processors compute when they do nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use crate::Result;
use crate::process::Process;
use crate::report::Report;
use crate::users;

/// Options of `logins`.
#[derive(Args)]
pub struct Options {
    /// URL of the server, which must use the default `PASSWORD_HASH`.
    #[arg(long, default_value = "http://127.0.0.1:5000")]
    url: String,
    /// Process id of the server, to read its memory.
    #[arg(long)]
    pid: u32,
    /// Users who log in again and again, each with one login in flight.
    #[arg(long, default_value_t = 50)]
    people: usize,
    /// Measured seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// A name for this run in the output.
    #[arg(long)]
    label: Option<String>,
}

/// Runs the bench; returns whether every login succeeded.
pub async fn run(options: Options) -> Result<bool> {
    let time = Duration::from_secs(options.seconds.max(1));
    let server = Process::new(options.pid);
    let fresh = server.rss_kib()?;
    let floor = hashes_per_second(time / 2).await?;
    let accounts = users::register_for_login(&options.url, options.people.max(1)).await?;
    let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let tracker = tokio::spawn(track_peak_memory(server.clone(), stop.clone(), peak.clone()));
    let until = Instant::now() + time;
    let tasks: Vec<_> = accounts
        .into_iter()
        .map(|(name, password)| tokio::spawn(log_in(options.url.clone(), name, password, until)))
        .collect();
    let (mut micros, mut rejected) = (Vec::new(), 0);
    for task in tasks {
        let (durations, failures) = task.await??;
        micros.extend(durations);
        rejected += failures;
    }
    stop.store(true, Ordering::Relaxed);
    tracker.await??;
    let mut report = Report::new("logins", options.label.as_deref());
    let rate = micros.len() as f64 / time.as_secs_f64();
    report.number("people", options.people as f64, "users, each with one login in flight");
    report.number("logins_per_s", rate, "logins per second: hash verified, session and tokens stored");
    report.number("hashes_per_s", floor, "the floor: hashes per second on all processors, without a server");
    report.number("of_floor", rate / floor, "logins per second as a share of the floor");
    report.latency("login", micros, "of one login, including the wait in the queue");
    report.number("fresh_rss_mb", fresh as f64 / 1_024.0, "MB of memory before the logins");
    let peak = peak.load(Ordering::Relaxed).max(fresh);
    report.number("peak_rss_mb", peak as f64 / 1_024.0, "peak MB of memory while the users log in");
    report.number("after_rss_mb", server.rss_kib()? as f64 / 1_024.0, "MB of memory after the logins");
    report.number("refused", f64::from(rejected), "should be 0: logins that were rejected");
    Ok(report.finish(rejected == 0))
}

/// Records the peak of the server's memory by reading it often.
async fn track_peak_memory(server: Process, stop: Arc<AtomicBool>, peak: Arc<AtomicU64>) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        peak.fetch_max(server.rss_kib()?, Ordering::Relaxed);
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn log_in(url: String, name: String, password: String, until: Instant) -> Result<(Vec<u32>, u32)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let body = json!({"username": name, "password": password});
    let (mut micros, mut rejected) = (Vec::new(), 0);
    loop {
        let start = Instant::now();
        let response = http.post(format!("{url}/auth/login")).json(&body).send().await?;
        let succeeded = response.status().is_success();
        response.bytes().await?;
        if Instant::now() >= until {
            return Ok((micros, rejected));
        }
        if succeeded {
            micros.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        } else {
            rejected += 1;
        }
    }
}

/// Computes the default `PASSWORD_HASH` on every processor at once; returns the hashes per second.
async fn hashes_per_second(time: Duration) -> Result<f64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let until = Instant::now() + time;
    let working: Vec<_> = (0..threads)
        .map(|_| {
            tokio::task::spawn_blocking(move || -> Result<u32> {
                let params = Params::new(19_456, 2, 1, None).map_err(|error| error.to_string())?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let hash = argon2.hash_password(b"floor").map_err(|error| error.to_string())?;
                let mut count = 0;
                while Instant::now() < until {
                    argon2.verify_password(b"floor", &hash).map_err(|error| error.to_string())?;
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    let mut total = 0;
    for thread in working {
        total += thread.await??;
    }
    Ok(f64::from(total) / time.as_secs_f64())
}
