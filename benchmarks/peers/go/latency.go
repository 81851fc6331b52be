// SPDX-License-Identifier: BSL-1.0
// How long does a goroutine wait that ticks every 5 ms beside goroutines that keep every core busy?
// The cases of benchmarks/latency_bench.cpp.
package main

import (
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Goroutines have no classes and need no safepoints: the hogs are plain loops, which the runtime
// preempts by signal.
var latencyCases = []benchCase{
	{"latency/hogs_2", "us", "p99 delay of n ticks (400) of 5 ms beside 2 busy loops per worker", 400, hogs(2)},
	{"latency/hogs_8", "us", "p99 delay of n ticks (400) of 5 ms beside 8 busy loops per worker", 400, hogs(8)},
}

const tick = 5 * time.Millisecond

// hogStep is about 10 us of work that no compiler can shorten, as hog_step in benchmarks/hogs.hpp.
func hogStep(x uint64) uint64 {
	for i := 0; i < 5_000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func hogs(perWorker int) func(uint64) sample {
	return func(n uint64) sample {
		var over atomic.Bool
		var ended sync.WaitGroup
		for i := 0; i < perWorker*runtime.GOMAXPROCS(0); i++ {
			ended.Add(1)
			go func() {
				x := uint64(1)
				for !over.Load() {
					x = hogStep(x)
				}
				require(x != 0, "the hog computed")
				ended.Done()
			}()
		}
		var late []float64
		inside(func() {
			due := time.Now().Add(tick)
			for uint64(len(late)) < n {
				time.Sleep(time.Until(due))
				// One wake-up serves all ticks that are due, each late by its own measure.
				now := time.Now()
				for ; !due.After(now) && uint64(len(late)) < n; due = due.Add(tick) {
					late = append(late, float64(now.Sub(due).Nanoseconds())/1e3)
				}
			}
		})
		over.Store(true)
		ended.Wait()
		sort.Float64s(late)
		return sample{late[(n*99+99)/100-1], hash(n), late[n/2]}
	}
}
