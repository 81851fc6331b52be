#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Proves what people and scripts rely on in coretest: the scenarios are listed, a wrong command
# line says what is wrong and ends with 2, each verdict has its exit code, a hang shows the state of
# the runtime, a printed replay string runs the same again, and every line of a report is JSON.
# An installation finds its probed twins wherever it was moved.
#   command_line_test.py CORETEST PATH-FROM-IT-TO-ITS-TWINS-WHEN-INSTALLED
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

CORETEST, TWINS_FROM_BIN = sys.argv[1:]
SCENARIOS = ["sleepers", "hog", "ring", "wake-storm", "wake-late", "park-edge", "spawn-flood",
             "fork-join", "steal", "preempt-mix", "blocking", "timers", "shutdown",
             "affinity-churn", "qos", "stacks"]
# What is wrong, and what the message must say about it.
USAGE_ERRORS = [
    (["--bogus"], "see coretest --help"),
    (["ring"], "takes a whole number from 1"),
    (["0"], "takes a whole number from 1"),
    (["4", "5"], "One number of sleepers is enough"),
    (["--scenario"], "--scenario needs a value"),
    (["--scenario", "nope"], "coretest --list shows what there is"),
    (["--all", "--scenario", "ring"], "give one"),
    (["--all", "8"], "coretest [N]"),
    (["--seed", "zz"], "0x... or decimal"),
    (["--seeds", "0"], "from 1 to"),
    (["--workers", "0"], "from 1 to 1024"),
    (["--topology", ""], "a file or a text"),
    (["--topology", "4P+4Q"], "neither like"),
    (["--topology", "/nonexistent/machine.xml"], "cannot read '/nonexistent/machine.xml'"),
    (["--show-topology", "--topology", "0"], "a number of cores"),
    (["--replay", "ring,seed=1", "--topology", "2P"], "drop the other options"),
    (["--prove", "--topology", "2P"], "--prove chooses its own runs"),
    (["--duration", "-1"], "above 0"),
    (["--duration", "nan"], "above 0"),
    (["--timeout", "0"], "above 0"),
    (["--tasks", "99999999999999999999"], "from 1 to"),
    (["--chaos", "wild"], "off, light, heavy"),
    (["--json", ""], "takes a file name"),
    (["--all", "--json", "/nonexistent/report"], "cannot write '/nonexistent/report'"),
    (["--list-file", "/nonexistent"], "cannot read '/nonexistent'"),
    (["--replay", "nope,seed=1"], "there is no scenario 'nope'"),
    (["--replay", "ring,seed=1,speed=3"], "it looks like ring,seed="),
    (["--replay", "ring,seed=1", "--seed", "2"], "drop the other options"),
    (["--prove", "--all"], "--prove chooses its own runs"),
    (["--duration", "3"], "need --scenario or --all"),
]
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAILED:", what)


def run(*arguments):
    return subprocess.run([CORETEST, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)


def run_with_report(*arguments):
    """Runs with --json; gives the process and its records. No record may say a thing twice."""
    def unique(pairs):
        keys = [key for key, _ in pairs]
        check(len(keys) == len(set(keys)), f"a record has each key once: {arguments}, {keys}")
        return dict(pairs)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report")
        ended = run(*arguments, "--json", path)
        with open(path, encoding="utf-8") as report:
            records = [json.loads(line, object_pairs_hook=unique) for line in report]
    check([r["record"] for r in records[:1] + records[-1:]] == ["header", "summary"],
          f"a report begins with a header and ends with a summary: {arguments}")
    check(records[-1]["exit_code"] == ended.returncode, f"the summary has the code: {arguments}")
    check(records[-1]["final"] == ended.stdout.splitlines()[-1],
          f"the last line is the summary's: {arguments}")
    return ended, records


def expect_code(code, start, *arguments):
    """Runs and checks the exit code and the first words of the last line."""
    ended, records = run_with_report(*arguments)
    last = ended.stdout.splitlines()[-1]
    said = f"{' '.join(arguments)}: code {ended.returncode}, {last}"
    check(ended.returncode == code, f"the exit code is {code}: {said}")
    check(last.startswith(start), f"the last line begins with '{start}': {said}")
    return ended, records


def the_list_has_every_scenario():
    listed = run("--list")
    names = [line.split()[1] for line in listed.stdout.splitlines()]
    check(listed.returncode == 0 and names == SCENARIOS, f"--list shows them all: {names}")


def a_wrong_command_line_ends_with_2():
    for arguments, hint in USAGE_ERRORS:
        ended = run(*arguments)
        said = f"{arguments}: code {ended.returncode}, '{ended.stderr.strip()}'"
        check(ended.returncode == 2, f"a wrong command line ends with 2: {said}")
        check(hint in ended.stderr, f"the message has '{hint}': {said}")
        check(ended.stdout == "", f"nothing has run: {said}")


def a_replay_runs_the_same_again():
    chosen = ["--scenario", "fork-join", "--seed", "0x2a", "--workers", "3", "--tasks", "50",
              "--duration", "0.3125", "--chaos", "light", "--timeout", "100"]
    first = expect_code(0, "coretest pass. 1 runs", *chosen)[1][1]
    text = first["replay"].removeprefix("coretest --replay ")
    again = expect_code(0, "coretest pass. 1 runs", "--replay", text)[1][1]
    for key in ("scenario", "seed", "workers", "chaos", "park_mode", "replay"):
        check(first[key] == again[key], f"a replay has the same {key}: {first[key]}, {again[key]}")
    for part in ("workers=3", "tasks=50", "duration=0.3125", "chaos=light"):
        check(part in text.split(","), f"the replay string has {part}: {text}")


def another_machine_is_shown_and_run_on():
    shown = run("--show-topology", "--topology", "4P+4E")
    check(shown.returncode == 0 and shown.stdout.startswith("4P+4E: 8 processors"),
          f"--show-topology shows it: {shown.stdout}{shown.stderr}")
    check(run("--show-topology").stdout.startswith("this machine: "), "and this machine")
    machine = "package:2 core:2 pu:1(indexes=0,2,1,3)"
    run_there = expect_code(0, "coretest pass. 1 runs", "--scenario", "fork-join", "--topology",
                            machine, "--duration", "0.2", "--timeout", "100")[1][1]
    text = run_there["replay"].removeprefix("coretest --replay ")
    check("topology=package:2 core:2 pu:1(indexes=0%2c2%2c1%2c3)" in text,
          f"the replay string has the machine: {text}")
    expect_code(0, "coretest pass. 1 runs", "--replay", text, "--timeout", "100")


def every_verdict_has_its_code():
    expect_code(0, "coretest pass. 2 sleepers", "2", "--timeout", "100")
    ended, records = expect_code(1, "coretest FAIL 1/1.", "--timeout", "100", "--replay",
                                 "wake-late,seed=3,workers=2,duration=60,planted=trust_late_wake/20")
    check(records[1]["verdict"] == "fail" and records[1]["code"] == "stale",
          f"the broken invariant is named: {records[1]['code']}")
    check(f"--replay '{records[1]['replay'].split()[-1]}'" in ended.stdout,
          "a failure prints its replay string")
    expect_code(5, "coretest FAIL 1/1.", "--timeout", "100", "--replay",
                "shutdown,seed=7,workers=2,iterations=2,planted=leak_descriptor/1")
    expect_code(77, "coretest skipped.", "--scenario", "steal", "--workers", "1")


def an_unreached_goal_ends_with_7(sanitized):
    # A pile of one task leaves nothing to do for the other worker.
    ended, _ = expect_code(7, "coretest FAIL 1/1.", "--scenario", "steal", "--workers", "2",
                           "--tasks", "1", "--duration", "12" if sanitized else "1.2")
    check("goal not reached: steal: every worker took part" in ended.stdout, "the goal is named")


def a_hang_ends_with_4_and_shows_the_runtime():
    # Every hand-over of this scenario counts, so the first dropped wake stops it.
    ended, records = expect_code(4, "coretest FAIL 1/1.", "--timeout", "3", "--replay",
                                 "park-edge,seed=7,workers=2,duration=60,planted=drop_wake/100")
    dump = "\n".join(records[1]["dump"])
    for part in (r"runtime: 2 workers, \d+ live, \d+ spawned", r"worker 1: \d+ polls, \d+ wakes",
                 r"task +\d+  waiting .* in waker", r"\d+ live tasks"):
        check(re.search(part, dump) is not None, f"the dump has '{part}': {dump}")
        check(re.search(part, ended.stdout) is not None, f"the terminal shows '{part}'")


def a_crash_ends_with_6():
    def shoot(parent):
        children = f"/proc/{parent}/task/{parent}/children"
        for _ in range(10_000):
            with open(children, encoding="ascii") as listed:
                child = listed.read().split()
            # Not before it is the child program: until then it is a copy of the parent.
            if child:
                with open(f"/proc/{child[0]}/cmdline", "rb") as line:
                    if b"--child" in line.read():
                        os.kill(int(child[0]), signal.SIGKILL)
                        return
            time.sleep(0.001)

    parent = subprocess.Popen([CORETEST, "--scenario", "ring", "--duration", "60"],
                              stdout=subprocess.PIPE, text=True)
    shooter = threading.Thread(target=shoot, args=(parent.pid,))
    shooter.start()
    said = parent.communicate()[0]
    shooter.join()
    check(parent.returncode == 6 and "ended by signal 9" in said,
          f"a child that is killed is a crash: code {parent.returncode}, {said}")


def a_list_file_says_what_is_expected():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cases")
        for text, code, hint in (("fork-join pass  # both\nsleepers pass\n", 0, "2 runs"),
                                 ("fork-join fail\n", 1, "expected fail, got pass"),
                                 ("fork-join perhaps\n", 2, f"{path}:1"),
                                 ("fork-join\n", 2, f"{path}:1")):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            ended = run("--list-file", path, "--duration", "0.2", "--timeout", "100")
            check(ended.returncode == code and hint in ended.stdout + ended.stderr,
                  f"list file '{text}': code {ended.returncode}, {ended.stdout}{ended.stderr}")


def the_table_puts_failures_first():
    ended = run("--scenario", "fork-join,sleepers", "--duration", "0.2", "--table", "--timeout",
                "100")
    lines = ended.stdout.splitlines()
    check(any(line.split()[:3] == ["scenario", "verdict", "ops"] for line in lines),
          f"--table has a head: {lines}")
    check(sum("pass" in line.split()[1:2] for line in lines) == 4,
          f"each run has a line and a row: {lines}")


def a_moved_installation_finds_its_twins():
    with tempfile.TemporaryDirectory() as prefix:
        programs = os.path.join(prefix, *["bin"] * TWINS_FROM_BIN.split("/").count(".."))
        twins = os.path.join(programs, TWINS_FROM_BIN)
        os.makedirs(programs)
        moved = shutil.copy(CORETEST, programs)
        arguments = ["--replay", "fork-join,seed=1,workers=2,duration=0.2,parks=infinite",
                     "--timeout", "100"]
        alone = subprocess.run([moved, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, check=False)
        os.makedirs(twins)
        for name in ("coretest-probed", "coretest-probed-timed"):
            shutil.copy(os.path.join(os.path.dirname(CORETEST), name), twins)
        whole = subprocess.run([moved, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, check=False)
    check(f"{programs}/{TWINS_FROM_BIN}/coretest-probed" in alone.stderr or alone.returncode == 0,
          f"without its twins it says where it looked: code {alone.returncode}, {alone.stderr}")
    check(alone.returncode in (0, 3), f"without its twins nothing can run: {alone.returncode}")
    check(whole.returncode == 0, f"with its twins it runs: {whole.returncode}, {whole.stderr}")


the_list_has_every_scenario()
a_wrong_command_line_ends_with_2()
header = run_with_report("--scenario", "fork-join", "--duration", "0.1", "--timeout", "100")[1][0]
a_replay_runs_the_same_again()
another_machine_is_shown_and_run_on()
every_verdict_has_its_code()
an_unreached_goal_ends_with_7(header["sanitizer"] != "none")
a_hang_ends_with_4_and_shows_the_runtime()
a_crash_ends_with_6()
a_list_file_says_what_is_expected()
the_table_puts_failures_first()
a_moved_installation_finds_its_twins()
sys.exit(f"{len(failures)} checks failed" if failures else 0)
