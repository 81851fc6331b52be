#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Runs a sample and proves that it ends well and prints exactly the given lines.
#   check_output.py PROGRAM LINE...
import subprocess
import sys

program, expected = sys.argv[1], sys.argv[2:]
run = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=False)
printed = run.stdout.splitlines()
if run.returncode != 0 or printed != expected:
    sys.exit(f"{program}: exit code {run.returncode}, printed {printed}, expected {expected}")
