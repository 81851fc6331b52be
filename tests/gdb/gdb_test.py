#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs gdb on a program that stops with parked tasks, live and from a core, and checks what
runtime/gdb/paceline.py shows. Skipped (77) where gdb is missing or may not trace."""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
WAITING_STACK = r"task \d+ 'on its stack', suspended\n.*waits_in_the_subject.* at .*subject.cpp"
STACK_OF_WAITER = ("import re; listed = gdb.execute('paceline tasks', to_string=True); "
                   "gdb.execute('paceline stack ' + re.search(r'task +([0-9]+).*on its stack', listed)[1])")


def core_of(program, folder):
    """The core that the system writes: gdb's own leaves out mappings that begin with a guard."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    try:
        subprocess.run([program], cwd=folder, timeout=240, stderr=subprocess.DEVNULL,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited))
    except (subprocess.SubprocessError, OSError):  # the limit may not be raised
        return None
    cores = [entry for entry in os.listdir(folder) if entry.startswith("core")]
    return os.path.join(folder, cores[0]) if cores else None


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
    live = gdb("-ex", "source " + script, "-ex", "run", "-ex", "paceline tasks",
               "-ex", "python " + STACK_OF_WAITER, "--args", program)
    if "SIGABRT" not in live:
        print(live)
        print("skipped: gdb may not run a program here")
        return SKIPPED
    check(live, "live")
    require(live, WAITING_STACK, "live: the stack that waits")
    with tempfile.TemporaryDirectory() as folder:
        core = core_of(program, folder)
        if core is None:
            print("skipped in part: the system writes no core into the working directory")
            return SKIPPED
        listed = gdb("-ex", "source " + script, "-ex", "paceline tasks", program, core)
        check(listed, "core")
        ids = {name: number for number, name in
               re.findall(r"^task +(\d+) .*?worker +0 +(sleeper|on its stack)", listed, re.MULTILINE)}
        parked = re.search(r"^task +(\d+) +preempted", listed, re.MULTILINE)
        commands = ["-ex", "source " + script,
                    "-ex", "paceline stack " + ids["on its stack"],
                    "-ex", "paceline stack " + ids["sleeper"], "-ex", "paceline stack 99999999"]
        if parked:
            commands += ["-ex", "paceline stack " + parked[1]]
        dead = gdb(*commands, program, core)
        require(dead, WAITING_STACK, "core: the stack that waits")
        if parked:
            require(dead, r"task \d+ '\w+ hog', preempted\n.*computes_in_the_subject",
                    "the preempted stack")
        require(dead, "parked on no stack", "that a sleeper has no stack")
        require(dead, "no task 99999999 lives", "that there is no such task")
    print("gdb shows tasks and parked stacks, live and from a core; preempted one seen: %s"
          % bool(parked))
    return 0


sys.exit(main())
