#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Proves what people see of paceline-topology: a table of this machine and of others, a picture that
# is XML and shows each processor once, and errors that say what is wrong.
#   check_topology.py PROGRAM FOLDER-OF-MACHINES
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree
from pathlib import Path

program, machines = sys.argv[1], Path(sys.argv[2])
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)


def run(*arguments):
    return subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)


ended = run()
check(ended.returncode == 0 and ended.stdout.startswith("this machine: "), "this machine is shown")

ended = run("--topology", "4P+4E")
for line in ("4P+4E: 8 processors in 8 cores, 2 clusters, 2 kinds, 1 memory node",
             "P                 4      1024     0  configured",
             "1        E                 4      4    0     0  4-7"):
    check(line in ended.stdout, f"the table of 4P+4E has '{line}':\n{ended.stdout}")

ended = run("--topology", str(machines / "offline.xml"))
check("switched off: CPUs 0,3,6" in ended.stdout, "what is switched off is listed")
ended = run("--topology", str(machines / "cgroup.xml"))
check("not for this process: CPUs 0-1,6-7" in ended.stdout, "what is forbidden is listed")

with tempfile.TemporaryDirectory() as folder:
    picture = Path(folder) / "machine.svg"
    for machine in sorted(machines.glob("*.xml")):
        ended = run("--topology", str(machine), "--svg", str(picture))
        check(ended.returncode == 0, f"{machine.name} is drawn: {ended.stderr}")
        root = tree.fromstring(picture.read_text())
        numbers = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")
                   if e.get("text-anchor") == "middle"]
        count = int(ended.stdout.split(": ", 1)[1].split(" ", 1)[0])
        boxes = [[float(e.get(k)) for k in ("x", "y", "width", "height")]
                 for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("x")]
        check(all(x + w <= float(root.get("width")) and y + h <= float(root.get("height"))
                  for x, y, w, h in boxes), f"{machine.name} fits its picture")
        cells = [b for b in boxes if b[2] == 34]
        apart = sorted((y, x) for x, y, _, _ in cells)
        check(all(b[0] - a[0] >= 25 or b[1] - a[1] >= 34 for a, b in zip(apart, apart[1:])),
              f"the processors of {machine.name} do not overlap")
        check(len(numbers) == count == len(set(numbers)), f"{machine.name} shows each CPU once")

for arguments, code, words in [
        (["--bogus"], 2, "see --help"), (["--svg"], 2, "--svg needs a value"),
        (["--topology", "4P+"], 1, "expected"), (["--topology", "4Q"], 1, "neither like"),
        (["--topology", "/nonexistent.xml"], 1, "cannot read '/nonexistent.xml'"),
        (["--svg", "/nonexistent/picture.svg"], 1, "cannot write")]:
    ended = run(*arguments)
    check(ended.returncode == code and words in ended.stderr,
          f"{arguments}: {ended.returncode}, {ended.stderr}")
check("--svg FILE" in run("--help").stdout, "the help names its options")

sys.exit("\n".join(failures) if failures else 0)
