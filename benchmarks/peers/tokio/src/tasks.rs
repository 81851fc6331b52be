// SPDX-License-Identifier: BSL-1.0
// What does it cost tokio to start, yield, wake and time out a task? The cases of
// benchmarks/spawn_bench.cpp and wake_bench.cpp.
use crate::{hash, Case, Sample};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, Notify};

pub const CASES: &[Case] = &[
    Case {
        name: "spawn/local",
        unit: "ns/task",
        what: "a task that starts n others (default 1000000)",
        n: 1_000_000,
        once: spawn_local,
    },
    Case {
        name: "spawn/remote",
        unit: "ns/task",
        what: "an outside thread starts n tasks (10000) and joins them",
        n: 10_000,
        once: spawn_remote,
    },
    Case {
        name: "spawn/chained",
        unit: "ns/task",
        what: "n tasks (10000), each started by the one before",
        n: 10_000,
        once: spawn_chained,
    },
    Case {
        name: "yield/many",
        unit: "ns/yield",
        what: "n tasks (200) that give way 1000 times each",
        n: 200,
        once: yield_many,
    },
    Case {
        name: "wake/ping_pong",
        unit: "ns/pair",
        what: "n pairs (1000) of tasks with two one-shot hand-overs each",
        n: 1_000,
        once: ping_pong,
    },
    Case {
        name: "timer/sleep",
        unit: "ns/task",
        what: "n tasks (10000) that sleep 1 ms once",
        n: 10_000,
        once: timer_sleep,
    },
];

/// Runs `future` as a task on a worker: block_on alone would poll it on the calling thread, from
/// where every spawn is a remote one.
pub fn on_worker<F>(rt: &Runtime, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    rt.block_on(rt.spawn(future)).expect("the task ended")
}

/// The last of n tasks to arrive wakes the one that started them.
struct Countdown {
    left: AtomicU64,
    done: Notify,
}

impl Countdown {
    /// Leaked, so that tasks hold a plain reference as pacebench's do and no task pays for an Arc.
    fn leak(n: u64) -> &'static Countdown {
        Box::leak(Box::new(Countdown {
            left: AtomicU64::new(n),
            done: Notify::new(),
        }))
    }

    fn arrive(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    fn sample(&self, start: Instant, n: u64) -> Sample {
        let value = start.elapsed().as_nanos() as f64 / n as f64;
        assert_eq!(self.left.load(Ordering::Acquire), 0, "every task ran");
        Sample {
            value,
            work_hash: hash(&[n]),
            p50: None,
        }
    }
}

fn spawn_local(rt: &Runtime, n: u64) -> Sample {
    let countdown = Countdown::leak(n);
    let start = Instant::now();
    on_worker(rt, async move {
        for _ in 0..n {
            tokio::spawn(async move { countdown.arrive() });
        }
        countdown.done.notified().await;
    });
    countdown.sample(start, n)
}

fn spawn_remote(rt: &Runtime, n: u64) -> Sample {
    let mut handles = Vec::with_capacity(n as usize);
    let start = Instant::now();
    for _ in 0..n {
        handles.push(rt.spawn(async {}));
    }
    rt.block_on(async {
        for handle in &mut handles {
            handle.await.expect("the task ended");
        }
    });
    Sample {
        value: start.elapsed().as_nanos() as f64 / n as f64,
        work_hash: hash(&[n]),
        p50: None,
    }
}

fn chain_link(end: &'static Countdown, left: u64) {
    if left == 0 {
        end.arrive();
    } else {
        tokio::spawn(async move { chain_link(end, left - 1) });
    }
}

fn spawn_chained(rt: &Runtime, n: u64) -> Sample {
    let end = Countdown::leak(1);
    let start = Instant::now();
    on_worker(rt, async move {
        chain_link(end, n);
        end.done.notified().await;
    });
    end.sample(start, n)
}

fn yield_many(rt: &Runtime, n: u64) -> Sample {
    const TIMES: u64 = 1_000;
    let mut handles = Vec::with_capacity(n as usize);
    let start = Instant::now();
    for _ in 0..n {
        handles.push(rt.spawn(async {
            for _ in 0..TIMES {
                tokio::task::yield_now().await;
            }
            TIMES
        }));
    }
    let yields = rt.block_on(async {
        let mut yields = 0;
        for handle in &mut handles {
            yields += handle.await.expect("the task ended");
        }
        yields
    });
    let ns = start.elapsed().as_nanos() as f64;
    assert_eq!(yields, n * TIMES, "every yield returned");
    Sample {
        value: ns / yields as f64,
        work_hash: hash(&[yields]),
        p50: None,
    }
}

async fn pair(pairs: &'static Countdown) {
    let (ping, pinged) = oneshot::channel::<()>();
    let (reply, replied) = oneshot::channel::<()>();
    tokio::spawn(async move {
        pinged.await.expect("the ping came");
        reply.send(()).expect("the reply is awaited");
    });
    ping.send(()).expect("the ping is awaited");
    replied.await.expect("the reply came");
    pairs.arrive();
}

fn ping_pong(rt: &Runtime, n: u64) -> Sample {
    let pairs = Countdown::leak(n);
    let start = Instant::now();
    on_worker(rt, async move {
        for _ in 0..n {
            tokio::spawn(pair(pairs));
        }
        pairs.done.notified().await;
    });
    pairs.sample(start, n)
}

fn timer_sleep(rt: &Runtime, n: u64) -> Sample {
    const NAP: Duration = Duration::from_millis(1);
    let countdown = Countdown::leak(n);
    let start = Instant::now();
    on_worker(rt, async move {
        for _ in 0..n {
            tokio::spawn(async move {
                tokio::time::sleep(NAP).await;
                countdown.arrive();
            });
        }
        countdown.done.notified().await;
    });
    assert!(start.elapsed() >= NAP, "the tasks slept");
    countdown.sample(start, n)
}
