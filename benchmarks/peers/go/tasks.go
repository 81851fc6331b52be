// SPDX-License-Identifier: BSL-1.0
// What does it cost Go to start, yield, wake and time out a goroutine? The cases of
// benchmarks/spawn_bench.cpp and wake_bench.cpp.
package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Two things are not as in pacebench. Every goroutine runs on a worker, main too, so that "outside"
// means main and no thread of its own. And goroutines have no handles, so that all are joined by
// one WaitGroup, which is less work than a handle each.
var taskCases = []benchCase{
	{"spawn/local", "ns/task", "a goroutine that starts n others (default 1000000)", 1_000_000, spawnLocal},
	{"spawn/remote", "ns/task", "main starts n goroutines (10000) and joins them", 10_000, spawnRemote},
	{"spawn/chained", "ns/task", "n goroutines (10000), each started by the one before", 10_000, spawnChained},
	{"yield/many", "ns/yield", "n goroutines (200) that give way 1000 times each", 200, yieldMany},
	{"wake/ping_pong", "ns/pair", "n pairs (1000) of goroutines with two one-shot hand-overs each", 1_000, pingPong},
	{"timer/sleep", "ns/task", "n goroutines (10000) that sleep 1 ms once", 10_000, timerSleep},
}

// inside runs f as a goroutine of its own and waits for it.
func inside(f func()) {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	<-done
}

// startMany starts n goroutines that run f and waits for them.
func startMany(n uint64, f func()) {
	var ended sync.WaitGroup
	ended.Add(int(n))
	for i := uint64(0); i < n; i++ {
		go func() {
			f()
			ended.Done()
		}()
	}
	ended.Wait()
}

func spawnLocal(n uint64) sample {
	start := time.Now()
	inside(func() { startMany(n, func() {}) })
	return sample{value: per(start, n), workHash: hash(n)}
}

func spawnRemote(n uint64) sample {
	start := time.Now()
	startMany(n, func() {})
	return sample{value: per(start, n), workHash: hash(n)}
}

func chainLink(end chan struct{}, left uint64) {
	if left == 0 {
		close(end)
	} else {
		go chainLink(end, left-1)
	}
}

func spawnChained(n uint64) sample {
	start := time.Now()
	inside(func() {
		end := make(chan struct{})
		go chainLink(end, n)
		<-end
	})
	return sample{value: per(start, n), workHash: hash(n)}
}

func yieldMany(n uint64) sample {
	const times = 1000
	var yields atomic.Uint64
	start := time.Now()
	startMany(n, func() {
		for i := 0; i < times; i++ {
			runtime.Gosched()
		}
		yields.Add(times)
	})
	value := per(start, n*times)
	require(yields.Load() == n*times, "every yield returned")
	return sample{value: value, workHash: hash(n * times)}
}

// pair hands over through channels of one slot: a one-shot sender does not wait for its receiver.
func pair() {
	ping, reply := make(chan struct{}, 1), make(chan struct{}, 1)
	go func() {
		<-ping
		reply <- struct{}{}
	}()
	ping <- struct{}{}
	<-reply
}

func pingPong(n uint64) sample {
	start := time.Now()
	inside(func() { startMany(n, pair) })
	return sample{value: per(start, n), workHash: hash(n)}
}

func timerSleep(n uint64) sample {
	start := time.Now()
	inside(func() { startMany(n, func() { time.Sleep(time.Millisecond) }) })
	value := per(start, n)
	require(value*float64(n) >= 1e6, "the goroutines slept")
	return sample{value: value, workHash: hash(n)}
}
