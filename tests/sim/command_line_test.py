#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Proves what people and scripts rely on in paceline-sim: every scenario holds its checks for some
# seeds, the same run gives the same bytes, a bound that is too tight fails with a message that names
# seed and command, that command fails again, and a wrong command line says what is wrong.
#   command_line_test.py PACELINE-SIM
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

SIM = sys.argv[1]
SEEDS = ["1", "2", "31415926535"]
USAGE_ERRORS = [
    ([], "--list names them"),
    (["--bogus"], "unknown argument '--bogus'"),
    (["--scenario"], "--scenario needs a value"),
    (["--scenario", "nope"], "there is no scenario 'nope'; there are classes"),
    (["--scenario", "stir", "--seed", "-1"], "'-1' is not a whole number"),
    (["--scenario", "stir", "--seed", "1x"], "'1x' is not a whole number"),
    (["--scenario", "stir", "--topology", "4P+4Q"], "4P+4Q"),
    (["--scenario", "stir", "--topology", "/nonexistent/machine.xml"], "machine.xml"),
    (["--scenario", "classes", "--topology", "4P"], "a machine of its own"),
    (["--scenario", "hogs40", "--topology", "4P+4E"], "one kind"),
    (["--scenario", "stir", "--bound", "progress_ratio"], "CHECK=VALUE"),
    (["--scenario", "stir", "--bound", "progress_ratio=nan"], "finite"),
    (["--scenario", "stir", "--bound", "nope=1"], "stir has no check 'nope'"),
    (["--scenario", "stir", "--svg", "/nonexistent/x.svg"], "cannot write '/nonexistent/x.svg'"),
]
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)


def run(*words):
    return subprocess.run([SIM, *words], capture_output=True, text=True)


def check_scenario(name, folder):
    for seed in SEEDS:
        at = f"{name} with seed {seed}"
        svg = os.path.join(folder, "picture.svg")
        words = ["--scenario", name, "--seed", seed, "--json", "--svg", svg]
        first = run(*words)
        check(first.returncode == 0, f"{at}: exit code {first.returncode}: {first.stderr}")
        with open(svg) as file:
            picture = file.read()
        report = json.loads(first.stdout)
        check(report["ok"] is True and report["checks"], f"{at}: not ok")
        check(report["scenario"] == name and report["seed"] == int(seed), f"{at}: names another")
        check(all(set(c) >= {"name", "figure", "bound", "ok"} for c in report["checks"]),
              f"{at}: a check lacks a field")
        check(picture.count("<rect class=") > 10 and report["command"] in picture,
              f"{at}: the picture is empty or does not name its command")
        again = run(*words)
        with open(svg) as file:
            check(again.stdout == first.stdout and file.read() == picture,
                  f"{at}: the second run differs from the first")


def check_planted(name):
    """A bound that cannot hold, for the last check of the scenario."""
    report = json.loads(run("--scenario", name, "--seed", "7", "--json").stdout)
    check_name = report["checks"][-1]["name"]
    impossible = {"<=": "-1", ">=": "1e9", "==": "-12345"}[report["checks"][-1]["relation"]]
    planted = run("--scenario", name, "--seed", "7", "--json", "--bound",
                  f"{check_name}={impossible}")
    check(planted.returncode == 1, f"{name}: a planted bound ends with {planted.returncode}")
    check(json.loads(planted.stdout)["ok"] is False, f"{name}: a planted bound is ok")
    check(f"{name} with seed 7: {check_name} does not hold" in planted.stderr,
          f"{name}: the failure does not name check and seed: {planted.stderr}")
    command = re.search(r"repeat with: \./dev sim (.*)", planted.stderr)
    check(command is not None, f"{name}: the failure names no command")
    if command:
        again = run(*shlex.split(command[1]))
        check(again.returncode == 1 and again.stderr == planted.stderr,
              f"{name}: the printed command does not repeat the failure")


def check_more():
    text = run("--scenario", "classes")
    check("ok    five_switches_other_than_printed" in text.stdout, "the text lacks a check")
    for machine in ["2P+4E", "8", "2x20x2"]:
        report = run("--scenario", "stir", "--topology", machine, "--json")
        check(report.returncode == 0 and json.loads(report.stdout)["topology"] == machine,
              f"stir on {machine}: {report.stderr}")
    with tempfile.TemporaryDirectory() as folder:
        page = os.path.join(folder, "page.html")
        run("--scenario", "cfs_timeline", "--html", page)
        with open(page) as file:
            html = file.read()
        check("<svg" in html and "exact_moves_at_15" in html, "the page lacks picture or checks")
        check("http" not in html.replace("http://www.w3.org/2000/svg", ""),
              "the page needs another file")
    for words, expected in USAGE_ERRORS:
        wrong = run(*words)
        check(wrong.returncode == 2 and expected in wrong.stderr,
              f"{words}: {wrong.returncode}, {wrong.stderr.strip()}")


names = [line.split()[0] for line in run("--list").stdout.splitlines()]
check(len(names) == 12, f"--list has {names}")
with tempfile.TemporaryDirectory() as folder:
    for name in names:
        check_scenario(name, folder)
        check_planted(name)
check_more()
for failure in failures:
    print("FAILED:", failure)
sys.exit(1 if failures else 0)
