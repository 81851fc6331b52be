#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Runs a program and proves that its sanitizer reports what was planted in it, or nothing at all.
#   expect_report.py PROGRAM MISTAKE KIND [FUNCTION]
# KIND is a part of the report's first line, FUNCTION must stand in its stack traces. With KIND
# "nothing" the program must end well, say so, and write no report.
import os
import subprocess
import sys

program, mistake, kind = sys.argv[1:4]
function = sys.argv[4] if len(sys.argv) > 4 else ""

# The defaults of each sanitizer, whatever the surroundings say, but for leaks: always looked for.
environment = {name: value for name, value in os.environ.items() if not name.endswith("SAN_OPTIONS")}
environment["ASAN_OPTIONS"] = "detect_leaks=1"
environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
# Two threads may by chance have run in order, and then there was no race to see: what should be
# reported has several goes, what should not has one.
GOES = 1 if kind == "nothing" else 10
for _ in range(GOES):
    run = subprocess.run([program, mistake], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, errors="replace", env=environment, timeout=100, check=False)
    if run.returncode != 0:
        break


def fail(why):
    sys.exit(f"{program} {mistake}: {why}; exit code {run.returncode}, stderr:\n{run.stderr}")


reported = [line for line in run.stderr.splitlines() if "Sanitizer" in line or "runtime error" in line]
ended_well = run.returncode == 0 and run.stdout == "reached the end\n"
if kind == "nothing":
    if not ended_well:
        fail("did not end well")
    if run.stderr:
        fail("is clean, but something was reported")
else:
    if ended_well or run.returncode == 0:
        fail("the mistake did not fail the run")
    if not any(kind in line for line in reported):
        fail(f"'{kind}' was not reported")
    if function and function not in run.stderr:
        fail(f"the report does not name {function}")
