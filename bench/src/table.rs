//! `table`: prints the JSON lines of several runs as one Markdown table.

use std::io::{BufRead, stdin};

use serde_json::Value;

use crate::Result;

/// Prints a row for every line of stdin that is the JSON of a run; returns whether all runs were ok.
pub fn run() -> Result<bool> {
    let mut all_ok = true;
    println!("| run | result | p50 ms | p99 ms | server CPU s | bench CPU s | promise |");
    println!("|---|---|---|---|---|---|---|");
    for line in stdin().lock().lines() {
        let line = line?;
        let Ok(run) = serde_json::from_str::<Value>(&line) else { continue };
        let ok = run["ok"] == true;
        all_ok &= ok;
        println!("{}", row(&run, ok));
    }
    Ok(all_ok)
}

fn row(run: &Value, ok: bool) -> String {
    let text = |key: &str| match &run[key] {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let bench = text("bench");
    let (result, latency) = match bench.as_str() {
        "floor" => (format!("{} inserts/s", text("inserts_per_s")), "insert"),
        "sends" => (format!("{} sends/s", text("sends_per_s")), "ack"),
        "fanout" => (format!("{} deliveries/s", text("deliveries_per_s")), "delivery"),
        "reconnect" => {
            (format!("{} clients up to date in {} s", text("clients"), text("seconds")), "catching_up")
        }
        "logins" => (
            format!(
                "{} logins/s by {} users at once, {} of {} hashes/s; RSS {} MB before, {} at peak",
                text("logins_per_s"),
                text("people"),
                text("of_floor"),
                text("hashes_per_s"),
                text("fresh_rss_mb"),
                text("peak_rss_mb")
            ),
            "login",
        ),
        "photo" => (format!("{} megapixels", text("megapixels")), "photo"),
        _ => (
            format!(
                "{} KB per socket; RSS {} MB fresh, {} with {} sockets, {} after",
                text("kb_per_socket"),
                text("fresh_rss_mb"),
                text("open_rss_mb"),
                text("sockets"),
                text("after_rss_mb")
            ),
            "none",
        ),
    };
    let (p50, p99) = (text(&format!("{latency}_p50_ms")), text(&format!("{latency}_p99_ms")));
    let promise = if ok { "kept" } else { "BROKEN" };
    let (server, own) = (text("server_cpu_s"), text("bench_cpu_s"));
    format!("| {bench}, {} | {result} | {p50} | {p99} | {server} | {own} | {promise} |", text("label"))
}
