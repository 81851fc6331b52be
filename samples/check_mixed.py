#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Runs mixed_qos and proves that it ends well and that each kind of work had turns.
#   check_mixed.py PROGRAM
import subprocess
import sys

run = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, text=True, check=False)
print(run.stdout, end="")
rows = [line.split() for line in run.stdout.splitlines()]
expected = [("ticker", "user_interactive"), ("compiler", "user_initiated"),
            ("collector", "utility"), ("cleanup", "background")]
if run.returncode != 0:
    sys.exit(f"exit code {run.returncode}")
if [tuple(row[:2]) for row in rows[1:]] != expected:
    sys.exit(f"the rows are not {expected}")
if not all(int(row[2]) > 0 for row in rows[1:]):
    sys.exit("some work had no turn")
