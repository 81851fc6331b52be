#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Proves what `coretest --virtual-time` says of itself: 32 sleepers end after 15.5 virtual seconds on
# any number of workers, at once; two runs with one seed write the same bytes, and another seed takes
# other decisions; a mistake planted in the runtime is found, and the line that a failure prints
# shows it again.
#   virtual_time_test.py CORETEST
import json
import os
import re
import subprocess
import sys
import tempfile

CORETEST = os.path.abspath(sys.argv[1])
# A timer ends with its tick: each half second of the longest sleeper, number 31, takes so long.
TICK_NS = 1 << 14
HALF_SECOND_NS = -(-500_000_000 // TICK_NS) * TICK_NS
LONGEST_S = 31 * HALF_SECOND_NS / 1e9
SCENARIOS = ["sleepers", "hog", "ring", "wake-storm", "wake-late", "park-edge", "spawn-flood",
             "fork-join", "steal", "preempt-mix", "blocking", "timers", "shutdown", "qos",
             "stacks"]
MACHINES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "topology")
# What the scenarios that were made for preemption and signals are about must have happened.
GOALS = {"hog": {"a hog gave way at a safepoint", "a hog lost its worker"},
         "wake-storm": {"woken from a signal handler", "two wakes became one",
                        "a worker slept and was woken"}}
# Slow builds and loaded machines have so long, in real seconds; the virtual ones are always the same.
PATIENCE_S = 120
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAILED:", what)


def run_raw(*arguments):
    """The exit code, the output, and the report as text."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([CORETEST, *arguments, "--json", "report"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, cwd=folder,
                              timeout=PATIENCE_S)
        report = ""
        if os.path.exists(os.path.join(folder, "report")):
            with open(os.path.join(folder, "report"), encoding="utf-8") as file:
                report = file.read()
    return done.returncode, done.stdout, report


def records_in(report):
    records = [json.loads(line) for line in report.splitlines()]
    return [r for r in records if r["record"] == "run"]


def run(*arguments):
    """The exit code, the output, and the records of the runs."""
    code, output, report = run_raw(*arguments)
    return code, output, records_in(report)


def sleepers_end_in_time():
    for workers, seed in [("1", "7"), ("2", "7"), ("3", "8"), ("8", "7"), ("64", "7"), ("64", "8")]:
        code, output, runs = run("--virtual-time", "32", "--workers", workers, "--seed", seed)
        check(code == 0, f"{workers} workers: ends with {code}: {output}")
        if code != 0:
            continue
        check("coretest pass. 32 sleepers, 15.50 s" in output, f"{workers} workers: {output}")
        elapsed_s = runs[0]["elapsed_s"]
        check(abs(elapsed_s - LONGEST_S) < 1e-6,
              f"{workers} workers: {elapsed_s} virtual seconds instead of {LONGEST_S}")
        check(runs[0]["virtual_threads"] >= int(workers) + 1, f"{workers} workers are not there")
        check(len(re.findall(r"^sleeper +\d+: \d+ of 10$", output, re.MULTILINE)) == 160,
              f"{workers} workers: not every sleep of the even sleepers is told")


def difference(one, other):
    for left, right in zip(one.splitlines(), other.splitlines()):
        if left != right:
            at = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), 0)
            return f"...{left[max(0, at - 80):at + 80]}... and ...{right[max(0, at - 80):at + 80]}..."
    return "one is longer"


def every_scenario_runs_and_the_seed_decides():
    def session(seed):
        return run_raw("--virtual-time", "--all", "--table", "--workers", "3", "--tasks", "40",
                       "--seed", seed, "--iterations", "2")
    code, output, report = session("5")
    check(code == 0, f"scenarios end with {code}: {output}")
    skipped = [r["scenario"] for r in records_in(report) if r["verdict"] == "skip"]
    check(skipped == ["affinity-churn"], f"skipped, as there are no masks: {skipped}")
    runs = [r for r in records_in(report) if r["verdict"] != "skip"]
    check(sorted(r["scenario"] for r in runs) == sorted(SCENARIOS), f"ran: {output}")
    check(all(r["park_mode"] == "simulated" for r in runs), "a run in real time")
    for r in runs:
        missed = {goal for goal in GOALS.get(r["scenario"], ()) if not r["goals"].get(goal)}
        check(not missed, f"{r['scenario']} did not reach {missed}")
    again, same_output, same_report = session("5")
    check(again == code, f"the same seed ends with {again}")
    check(output == same_output, f"one seed, two outputs: {difference(output, same_output)}")
    check(report == same_report, f"one seed, two reports: {difference(report, same_report)}")
    _, _, other = session("6")
    others = {r["virtual_trace"] for r in records_in(other) if r["verdict"] != "skip"}
    check(not {r["virtual_trace"] for r in runs} & others, "another seed, the same decisions")


def virtual_workers_of_two_kinds():
    code, output, runs = run("--virtual-time", "--topology", "4P+4E", "--seed", "7")
    check(code == 0 and "32 sleepers, 15.50 s" in output, f"4P+4E ends with {code}: {output}")
    check(bool(runs) and runs[0]["virtual_threads"] > 8, "4P+4E has no eight workers")
    for machine, cores in [("2x20x2", 40), ("m4-pro-12p-4e", 16)]:
        path = os.path.join(MACHINES, machine + ".xml")
        code, output, runs = run("--virtual-time", "--topology", path, "--seed", "7")
        check(code == 0 and "32 sleepers, 15.50 s" in output, f"{machine} ends with {code}: {output}")
        check(bool(runs) and runs[0]["virtual_threads"] > cores, f"{machine} has no {cores} workers")
    code, output, _ = run("--virtual-time", "--topology", "4P+4E", "--seed", "7", "--tasks", "40",
                          "--scenario", "steal,fork-join,hog,ring,spawn-flood")
    check(code == 0, f"4P+4E ends with {code}: {output}")


def a_planted_mistake_is_found_again():
    for seed in range(1, 20):
        line = f"sleepers,seed={seed},workers=2,tasks=8,parks=simulated,planted=drop_wake/20"
        code, output, runs = run("--replay", line)
        if code != 0:
            break
    check(code == 1, f"a dropped wake ends with {code}: {output}")
    replay = re.search(r"replay: coretest --replay '(.*)'", output)
    check(replay is not None, f"no way to run it again: {output}")
    if replay is not None:
        again, _, runs_again = run("--replay", replay[1])
        check(again == code, f"run again it ends with {again} instead of {code}")
        check(runs == runs_again, f"run again it fails otherwise: {runs} and {runs_again}")
        check(all(r["struck"] and r["dump"] for r in runs), f"it is not told that it struck: {runs}")


def what_cannot_run_is_skipped():
    code, output, _ = run("--virtual-time", "--scenario", "steal", "--workers", "1")
    check(code == 77 and "needs at least 2 workers" in output, f"steal alone ends with {code}: {output}")


def contradictions_are_refused():
    for arguments in [["--duration", "3", "--scenario", "ring"], ["--chaos", "light"], ["--prove"],
                      ["--all", "--quick"], ["--replay", "ring,seed=1"]]:
        code, output, _ = run("--virtual-time", *arguments)
        check(code == 2 and "--virtual-time" in output, f"{arguments}: ends with {code}: {output}")


sleepers_end_in_time()
every_scenario_runs_and_the_seed_decides()
virtual_workers_of_two_kinds()
a_planted_mistake_is_found_again()
what_cannot_run_is_skipped()
contradictions_are_refused()
if failures:
    sys.exit(f"{len(failures)} failed")
print("virtual time keeps its promises")
