#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs gdb on a program that stops with parked tasks, live and from a core, and checks what
share/gdb/paceline.py shows. Skipped (77) where gdb is missing or may not trace."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def gdb(*arguments):
    command = ["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    return run.stdout + run.stderr


def require(text, pattern, what):
    if re.search(pattern, text, re.MULTILINE | re.DOTALL):
        return
    print(text)
    sys.exit("gdb_test: missing: " + what)


def check(text, where):
    require(text, r"runtime \d+ 'subject': 4 tasks", where + ": the runtime and its tasks")
    require(text, r"suspended +utility +worker +0 +sleeper +in sleep", where + ": the sleeper")
    require(text, r"suspended +standard .*on its stack +in sleep, on its stack",
            where + ": the task that waits on its stack")
    require(text, r"(one|another) hog", where + ": the hogs")


def main():
    script, program = sys.argv[1:3]
    if shutil.which("gdb") is None:
        print("skipped: no gdb")
        return SKIPPED
    python = gdb("-ex", "python print('has python')")
    if "has python" not in python:
        print("skipped: gdb without Python")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        core = os.path.join(folder, "core")
        live = gdb("-ex", "source " + script, "-ex", "run", "-ex", "paceline tasks",
                   "-ex", "generate-core-file " + core, "--args", program)
        if "SIGABRT" not in live:
            print(live)
            print("skipped: gdb may not run a program here")
            return SKIPPED
        check(live, "live")
        ids = {name: number for number, name in
               re.findall(r"^task +(\d+) .*?worker +0 +(sleeper|on its stack)", live, re.MULTILINE)}
        parked = re.search(r"^task +(\d+) +preempted", live, re.MULTILINE)
        commands = ["-ex", "source " + script, "-ex", "paceline tasks",
                    "-ex", "paceline stack " + ids["on its stack"],
                    "-ex", "paceline stack " + ids["sleeper"], "-ex", "paceline stack 99999999"]
        if parked:
            commands += ["-ex", "paceline stack " + parked[1]]
        if not os.path.exists(core):
            print("skipped in part: no core could be written")
            return SKIPPED
        dead = gdb(*commands, program, core)
        check(dead, "core")
        require(dead, r"task \d+ 'on its stack', suspended\n.*waits_in_the_subject.* at .*subject.cpp",
                "the stack that waits")
        if parked:
            require(dead, r"task \d+ '\w+ hog', preempted\n.*computes_in_the_subject",
                    "the preempted stack")
        require(dead, "parked on no stack", "that a sleeper has no stack")
        require(dead, "no task 99999999 lives", "that there is no such task")
    print("gdb shows tasks and parked stacks, live and from a core; preempted one seen: %s"
          % bool(parked))
    return 0


sys.exit(main())
