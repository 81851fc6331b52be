// SPDX-License-Identifier: BSL-1.0
// What do the cases of pacebench cost on tokio's multi-thread runtime?
// This file is the harness: command line, statistics and rows are those of benchmarks/main.cpp.
mod fork;
mod latency;
mod tasks;

use std::fs::File;
use std::io::Write;
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Runtime};

/// One repeat. The hash depends on the work alone and equals pacebench's for the same work.
pub struct Sample {
    pub value: f64,
    pub work_hash: u64,
    /// Where the value is a 99th percentile.
    pub p50: Option<f64>,
}

pub struct Case {
    pub name: &'static str,
    pub unit: &'static str,
    pub what: &'static str,
    pub n: u64,
    pub once: fn(&Runtime, u64) -> Sample,
}

/// Of the runtime that is measured.
pub static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// A work hash: FNV-1a over the numbers' bytes, as mix() in benchmarks/harness.hpp.
pub fn hash(numbers: &[u64]) -> u64 {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    bytes.fold(0xcbf29ce484222325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3)
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        (sorted[half - 1] + sorted[half]) / 2.0
    }
}

struct Options {
    patterns: Vec<String>,
    list: bool,
    workers: usize,
    n: u64,
    repeat: usize,
    json: Option<String>,
}

fn bad_usage(what: &str) -> ! {
    eprintln!("tokio peer: {what}");
    eprintln!("peer --list | peer CASE... [--workers N] [--n N] [--repeat N] [--json FILE]");
    exit(2)
}

fn options() -> Options {
    let mut o = Options {
        patterns: vec![],
        list: false,
        workers: 2,
        n: 0,
        repeat: 11,
        json: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut text = || {
            args.next()
                .unwrap_or_else(|| bad_usage(&format!("{arg} needs a value")))
        };
        let mut number = || {
            let text = text();
            text.parse::<u64>()
                .unwrap_or_else(|_| bad_usage(&format!("{arg} takes a number, not '{text}'")))
        };
        match arg.as_str() {
            "--list" => o.list = true,
            "--workers" => o.workers = number().max(1) as usize,
            "--n" => o.n = number(),
            "--repeat" => o.repeat = number().max(1) as usize,
            "--json" => o.json = Some(text()),
            _ if arg.starts_with('-') => bad_usage(&format!("unknown option {arg}")),
            _ => o.patterns.push(arg),
        }
    }
    o
}

fn matches(pattern: &str, name: &str) -> bool {
    let in_area = || pattern.ends_with("/*") && name.starts_with(&pattern[..pattern.len() - 1]);
    pattern == "all" || pattern == name || in_area()
}

/// Measures one case, prints its line of the table and returns its JSON row.
fn measure(case: &Case, options: &Options) -> String {
    let rt = Builder::new_multi_thread()
        .worker_threads(options.workers)
        .enable_all()
        .build()
        .expect("the runtime starts");
    WORKERS.store(options.workers, Ordering::Relaxed);
    let n = if options.n == 0 { case.n } else { options.n };
    let work_hash = (case.once)(&rt, n).work_hash; // the warm-up
    let mut p50s = vec![];
    let values: Vec<f64> = (0..options.repeat)
        .map(|_| {
            let sample = (case.once)(&rt, n);
            assert_eq!(
                sample.work_hash, work_hash,
                "{}: the work differs by repeat",
                case.name
            );
            p50s.extend(sample.p50);
            sample.value
        })
        .collect();
    let middle = median(&values);
    let mad = median(
        &values
            .iter()
            .map(|v| (v - middle).abs())
            .collect::<Vec<_>>(),
    );
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(0.0, f64::max);
    println!(
        "{:<20} {middle:>12.1} {mad:>10.1} {min:>12.1} {max:>12.1}  {}",
        case.name, case.unit
    );
    let mut also = String::new();
    if !p50s.is_empty() {
        let p50 = median(&p50s);
        println!("  {:<18} {p50:>12.1}", "p50");
        also = format!("\"p50\": {p50:.3}, ");
    }
    format!(
        "{{\"name\": \"{}\", \"params\": {{\"n\": \"{n}\", \"workers\": \"{}\"}}, \
         \"unit\": \"{}\", \"median\": {middle:.3}, \"mad\": {mad:.3}, \"min\": {min:.3}, \
         \"max\": {max:.3}, {also}\"repeats\": {}, \"work_hash\": \"{work_hash:016x}\"}}",
        case.name, options.workers, case.unit, options.repeat
    )
}

fn main() {
    let options = options();
    let cases = || tasks::CASES.iter().chain(fork::CASES).chain(latency::CASES);
    if options.list {
        for case in cases() {
            println!("{:<20} {:<10} {}", case.name, case.unit, case.what);
        }
        return;
    }
    if options.patterns.is_empty() {
        bad_usage("no case given");
    }
    for pattern in &options.patterns {
        if !cases().any(|case| matches(pattern, case.name)) {
            bad_usage(&format!("no case matches '{pattern}'; see --list"));
        }
    }
    let mut rows = options.json.as_ref().map(|path| {
        File::create(path)
            .unwrap_or_else(|error| bad_usage(&format!("cannot write {path}: {error}")))
    });
    println!(
        "{:<20} {:>12} {:>10} {:>12} {:>12}  unit",
        "case", "median", "MAD", "min", "max"
    );
    for case in cases().filter(|c| options.patterns.iter().any(|p| matches(p, c.name))) {
        let row = measure(case, &options);
        if let Some(file) = &mut rows {
            writeln!(file, "{row}").expect("the row is written");
        }
    }
}
