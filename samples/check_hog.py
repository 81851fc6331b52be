#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Runs hog_is_demoted and proves that its rounds did what they say.
import re
import subprocess
import sys

run = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, text=True, check=True)
rounds = {}
for line in run.stdout.splitlines():
    title, demotions, handoffs = re.match(
        r"(.*?):\s+late by .* (\d+) demotions, (\d+) hand-offs$", line
    ).groups()
    rounds[title] = int(demotions), int(handoffs)
assert rounds["preemption off"] == (0, 0), rounds
assert rounds["safepoints"][0] > 0 and rounds["safepoints"][1] == 0, rounds
assert rounds["blocked threads, hand-off"][1] > 0, rounds
