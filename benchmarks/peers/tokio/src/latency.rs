// SPDX-License-Identifier: BSL-1.0
// How long does a task wait that ticks every 5 ms beside tasks that keep every core busy? The cases
// of benchmarks/latency_bench.cpp. Nothing preempts a tokio task: these hogs yield every 10 us.
use crate::tasks::on_worker;
use crate::{hash, Case, Sample, WORKERS};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::{sleep_until, Instant};

pub const CASES: &[Case] = &[
    Case {
        name: "latency/hogs_2",
        unit: "us",
        what: "p99 delay of n ticks (400) of 5 ms beside 2 hogs per worker that yield every 10 us",
        n: 400,
        once: |rt, n| beside_hogs(rt, n, 2),
    },
    Case {
        name: "latency/hogs_8",
        unit: "us",
        what: "p99 delay of n ticks (400) of 5 ms beside 8 hogs per worker that yield every 10 us",
        n: 400,
        once: |rt, n| beside_hogs(rt, n, 8),
    },
];

const TICK: Duration = Duration::from_millis(5);

/// About 10 us of work that no compiler can shorten, as hog_step in benchmarks/hogs.hpp.
fn hog_step(mut x: u64) -> u64 {
    for _ in 0..5_000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

async fn hog(over: Arc<AtomicBool>) -> u64 {
    let mut x = 1;
    while !over.load(Ordering::Relaxed) {
        x = hog_step(x);
        tokio::task::yield_now().await;
    }
    x
}

async fn ticks(n: u64) -> Vec<f64> {
    let mut late = Vec::with_capacity(n as usize);
    let mut due = Instant::now() + TICK;
    while late.len() < n as usize {
        sleep_until(due).await;
        // One wake-up serves all ticks that are due, each late by its own measure.
        let now = Instant::now();
        while due <= now && late.len() < n as usize {
            late.push((now - due).as_nanos() as f64 / 1e3);
            due += TICK;
        }
    }
    late
}

fn beside_hogs(rt: &Runtime, n: u64, per_worker: usize) -> Sample {
    let over = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..per_worker * WORKERS.load(Ordering::Relaxed))
        .map(|_| rt.spawn(hog(over.clone())))
        .collect();
    let mut late = on_worker(rt, ticks(n));
    over.store(true, Ordering::Relaxed);
    for hog in hogs {
        assert_ne!(rt.block_on(hog).expect("the hog ended"), 0, "it computed");
    }
    late.sort_by(f64::total_cmp);
    Sample {
        value: late[(late.len() * 99 + 99) / 100 - 1],
        work_hash: hash(&[n]),
        p50: Some(late[late.len() / 2]),
    }
}
