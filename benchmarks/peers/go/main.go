// SPDX-License-Identifier: BSL-1.0
// What do the cases of pacebench cost as goroutines?
// This file is the harness: command line, statistics and rows are those of benchmarks/main.cpp.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

// One repeat. The hash depends on the work alone and equals pacebench's for the same work.
type sample struct {
	value    float64
	workHash uint64
	p50      float64 // where value is a 99th percentile; else 0
}

type benchCase struct {
	name, unit, what string
	n                uint64
	once             func(n uint64) sample
}

// hash is a work hash: FNV-1a over the numbers' bytes, as mix() in benchmarks/harness.hpp.
func hash(numbers ...uint64) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, number := range numbers {
		for i := 0; i < 8; i++ {
			h = (h ^ number&0xff) * 0x100000001b3
			number >>= 8
		}
	}
	return h
}

// per is the time since start for each of n operations.
func per(start time.Time, n uint64) float64 {
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

// require makes a failed check a failed run.
func require(holds bool, what string) {
	if !holds {
		fmt.Fprintln(os.Stderr, "go peer: FAILED:", what)
		os.Exit(1)
	}
}

func badUsage(what string) {
	fmt.Fprintln(os.Stderr, "go peer:", what)
	fmt.Fprintln(os.Stderr, "peer --list | peer CASE... [--workers N] [--n N] [--repeat N] [--json FILE]")
	os.Exit(2)
}

func median(values []float64) float64 {
	sorted := append([]float64(nil), values...)
	sort.Float64s(sorted)
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

func matches(pattern, name string) bool {
	return pattern == "all" || pattern == name ||
		strings.HasSuffix(pattern, "/*") && strings.HasPrefix(name, strings.TrimSuffix(pattern, "*"))
}

type options struct {
	patterns           []string
	list               bool
	workers, n, repeat uint64
	json               string
}

func parse(args []string) options {
	o := options{workers: 2, repeat: 11}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		text := func() string {
			if i++; i == len(args) {
				badUsage(arg + " needs a value")
			}
			return args[i]
		}
		number := func(least uint64) uint64 {
			text := text()
			value, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				badUsage(arg + " takes a number, not '" + text + "'")
			}
			if value < least {
				return least
			}
			return value
		}
		switch {
		case arg == "--list":
			o.list = true
		case arg == "--workers":
			o.workers = number(1)
		case arg == "--n":
			o.n = number(0)
		case arg == "--repeat":
			o.repeat = number(1)
		case arg == "--json":
			o.json = text()
		case strings.HasPrefix(arg, "-"):
			badUsage("unknown option " + arg)
		default:
			o.patterns = append(o.patterns, arg)
		}
	}
	return o
}

// measure prints the case's line of the table and returns its JSON row.
func measure(c benchCase, o options) string {
	n := c.n
	if o.n != 0 {
		n = o.n
	}
	workHash := c.once(n).workHash // the warm-up
	values := make([]float64, o.repeat)
	p50s := make([]float64, o.repeat)
	for i := range values {
		s := c.once(n)
		require(s.workHash == workHash, c.name+": the work differs by repeat")
		values[i], p50s[i] = s.value, s.p50
	}
	middle := median(values)
	deviations := make([]float64, len(values))
	least, most := values[0], values[0]
	for i, v := range values {
		deviations[i] = math.Abs(v - middle)
		least, most = math.Min(least, v), math.Max(most, v)
	}
	mad := median(deviations)
	fmt.Printf("%-20s %12.1f %10.1f %12.1f %12.1f  %s\n", c.name, middle, mad, least, most, c.unit)
	also := ""
	if p50 := median(p50s); p50 != 0 {
		fmt.Printf("  %-18s %12.1f\n", "p50", p50)
		also = fmt.Sprintf(`"p50": %.3f, `, p50)
	}
	return fmt.Sprintf(`{"name": "%s", "params": {"n": "%d", "workers": "%d"}, "unit": "%s", `+
		`"median": %.3f, "mad": %.3f, "min": %.3f, "max": %.3f, %s"repeats": %d, "work_hash": "%016x"}`,
		c.name, n, o.workers, c.unit, middle, mad, least, most, also, o.repeat, workHash)
}

func main() {
	o := parse(os.Args[1:])
	all := append(append(taskCases, forkCases...), latencyCases...)
	if o.list {
		for _, c := range all {
			fmt.Printf("%-20s %-10s %s\n", c.name, c.unit, c.what)
		}
		return
	}
	if len(o.patterns) == 0 {
		badUsage("no case given")
	}
	var chosen []benchCase
	for _, pattern := range o.patterns {
		before := len(chosen)
		for _, c := range all {
			if matches(pattern, c.name) {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == before {
			badUsage("no case matches '" + pattern + "'; see --list")
		}
	}
	var rows *os.File
	if o.json != "" {
		var err error
		if rows, err = os.Create(o.json); err != nil {
			badUsage(err.Error())
		}
	}
	runtime.GOMAXPROCS(int(o.workers))
	fmt.Printf("%-20s %12s %10s %12s %12s  unit\n", "case", "median", "MAD", "min", "max")
	for _, c := range chosen {
		row := measure(c, o)
		if rows != nil {
			_, err := fmt.Fprintln(rows, row)
			require(err == nil, "the row is written")
		}
	}
}
