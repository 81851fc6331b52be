#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""How does Paceline compare with tokio, Go, oneTBB and plain threads on this machine?

    run.py --pacebench PATH --build-dir DIR [--rounds N] [--workers N] [--repeat N]
           [--require CASE=RATIO:PEER ...] [CASE...]

Builds the peers into DIR, then measures the cases (area/name, area/* or all; default all that a peer
has), one program at a time. A ratio is peer / paceline, so more than 1 means that paceline is faster.

Speed drifts while this runs: clocks change, other programs come and go. So every round runs all
programs right after each other in a random order, and a ratio is the median of the ratios within
the rounds. That holds for drift slower than a round; still, measure on an otherwise idle machine.

Beside other programs two stand-ins are peers: "threads", one thread of the system per task, and "off",
Paceline's own variant of a case without preemption (CASE_off).

The programs of a case report a hash of the work they did. If these differ the case says so and has
no ratio. Every single result is kept in DIR/peers.jsonl.

The exit status is 1 if no peer could be built, a program failed or did other work; a missed
requirement or a missing peer does not change it.
"""
import argparse
import ctypes
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent


class CommandFailed(Exception):
    pass


def output_of(*command, **options):
    """The output of a command that has to succeed."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, **options
        )
    except FileNotFoundError:
        raise CommandFailed(f"there is no '{command[0]}'") from None
    if done.returncode != 0:
        raise CommandFailed(f"'{command[0]}' failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def build_tokio(out):
    # A copy, because cargo writes Cargo.lock next to Cargo.toml.
    project = shutil.copytree(HERE / "tokio", out / "project", dirs_exist_ok=True)
    env = os.environ | {"CARGO_TARGET_DIR": str(out)}
    output_of("cargo", "build", "--release", "--offline", cwd=project, env=env)
    lock = (project / "Cargo.lock").read_text()
    version = re.search(r'name = "tokio"\nversion = "(.*)"', lock)[1]
    return out / "release" / "peer", f"tokio {version}, {output_of('rustc', '--version').strip()}"


def build_go(out):
    env = os.environ | {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(out / "cache")}
    output_of("go", "build", "-buildvcs=false", "-o", out / "peer", ".", cwd=HERE / "go", env=env)
    return out / "peer", output_of("go", "version").strip()


def build_cpp(out, folder, *libraries):
    compiler = next(filter(shutil.which, ("clang++-19", "clang++")), "g++")
    sources = [HERE / "harness.cpp", *sorted((HERE / folder).glob("*.cpp"))]
    output_of(compiler, "-O3", "-std=c++20", "-o", out / "peer", *sources, *libraries)
    return compiler


def build_tbb(out):
    compiler = build_cpp(out, "tbb", "-ltbb")
    tbb_version = ctypes.CDLL("libtbb.so.12").TBB_runtime_version
    tbb_version.restype = ctypes.c_char_p
    return out / "peer", f"oneTBB {tbb_version().decode()}, {compiler}"


def build_threads(out):
    compiler = build_cpp(out, "threads", "-pthread")
    return out / "peer", f"{os.uname().sysname} {os.uname().release}, {compiler}"


# How each is built, and the Debian packages that takes.
PEERS = {
    "tokio": (build_tokio, "cargo rustc librust-tokio-dev"),
    "go": (build_go, "golang-go"),
    "tbb": (build_tbb, "g++ libtbb-dev"),
    "threads": (build_threads, "g++"),
}
OFF = "off"  # not a program: our own cases without preemption
RIVALS = (*PEERS, OFF)


# The sizes of the cases, the same for all programs whatever their own defaults are.
SIZES = {
    "spawn/local": 1_000_000,
    "spawn/remote": 10_000,
    "spawn/chained": 10_000,
    "yield/many": 200,
    "wake/ping_pong": 1_000,
    "timer/sleep": 10_000,
    "fork/fib": 30,
    "fork/skynet": 1_000_000,
    "fork/nqueens": 10,
    "fork/matmul": 512,
    "latency/hogs_2": 400,
    "latency/hogs_8": 400,
}
# Repeats within a run, where one takes so long that the rounds are repeats enough.
REPEATS = {"latency/hogs_2": 1, "latency/hogs_8": 1}

# What the ratios of waiting times are to be. One below 1 says how much slower than the peer
# we may be.
WANTED = [
    ("latency/hogs_2", 100, OFF),
    ("latency/hogs_2", 50, "go"),
    ("latency/hogs_2", 4, "tokio"),
    ("latency/hogs_2", 1 / 3, "threads"),
    ("latency/hogs_8", 100, OFF),
    ("latency/hogs_8", 50, "go"),
    ("latency/hogs_8", 4, "tokio"),
    ("latency/hogs_8", 10, "threads"),
]


def build_all(build_dir):
    """The programs of the peers that could be built."""
    programs = {}
    for name, (build, packages) in PEERS.items():
        out = build_dir / name
        out.mkdir(parents=True, exist_ok=True)
        try:
            programs[name], version = build(out)
            print(f"{name}: {version}")
        except CommandFailed as why:
            print(f"{name}: NOT BUILT: {why}\n{name}: it needs the Debian packages: {packages}")
    return programs


def cases_of(program):
    return [line.split()[0] for line in output_of(program, "--list").splitlines()]


def choose(patterns, known):
    chosen = []
    for pattern in patterns:
        hits = [
            case
            for case in known
            if pattern in ("all", case)
            or (pattern.endswith("/*") and case.startswith(pattern[:-1]))
        ]
        if not hits:
            sys.exit(f"run.py: no peer has a case '{pattern}'; there are: {' '.join(known)}")
        chosen += [case for case in hits if case not in chosen]
    return chosen


def run_once(name, program, case, options):
    """The row of one run. Its table is dropped; a failed check ends everything."""
    rows = options.build_dir / "row.json"
    repeats = REPEATS.get(case, options.repeat)
    settings = ["--workers", options.workers, "--n", SIZES[case], "--repeat", repeats]
    variant = f"{case}_{OFF}" if name == OFF else case
    try:
        output_of(program, variant, *settings, "--json", rows, timeout=600)
    except (CommandFailed, subprocess.TimeoutExpired) as why:
        sys.exit(f"run.py: {name} failed on {variant}: {why}")
    return json.loads(rows.read_text())


class Result:
    """What all rounds of one case said."""

    def __init__(self):
        self.values = defaultdict(list)  # name -> the median of each round
        self.p50s = defaultdict(list)
        self.hashes = {}
        self.unit = ""

    def add(self, name, row):
        self.values[name].append(row["median"])
        if "p50" in row:
            self.p50s[name].append(row["p50"])
        self.hashes[name] = row["work_hash"]
        self.unit = row["unit"]

    def same_work(self):
        return len(set(self.hashes.values())) == 1

    def ratio(self, peer):
        """peer / paceline, or None if one of them has no such case."""
        ours, theirs = self.values.get("paceline"), self.values.get(peer)
        if not ours or not theirs or not self.same_work():
            return None
        return median(their / our for our, their in zip(ours, theirs))


def measure(case, programs, options, order, raw):
    result = Result()
    for number in range(options.rounds):
        for name in order.sample(list(programs), len(programs)):
            row = run_once(name, programs[name], case, options)
            result.add(name, row)
            raw.write(json.dumps({"peer": name, "round": number} | row) + "\n")
            raw.flush()
    return result


def heading(names):
    titles = "".join(f"{name:>10}" for name in names)
    ratios = "".join(f"{name + '/us':>11}" for name in names[1:])
    return f"{'case':<16}{'unit':<9}{titles}{ratios}"


def figures(title, unit, values, names):
    cells = [f"{title:<16}{unit:<9}"]
    for name in names:
        cells.append(f"{median(values[name]):>10.1f}" if values.get(name) else f"{'-':>10}")
    return "".join(cells)


def table_lines(case, result, names):
    line = figures(case, result.unit, result.values, names)
    for name in names[1:]:
        ratio = result.ratio(name)
        line += f"{'-':>11}" if ratio is None else f"{ratio:>10.2f}x"
    if not result.same_work():
        line += f"  DIFFERENT WORK: {result.hashes}"
    return [line] + ([figures("  p50", "", result.p50s, names)] if result.p50s else [])


def requirement(text):
    match = re.fullmatch(r"(\S+)=([0-9.]+):(\w+)", text)
    if match is None or match[3] not in RIVALS:
        raise argparse.ArgumentTypeError(f"'{text}' is not CASE=RATIO:PEER of {' '.join(RIVALS)}")
    return match[1], float(match[2]), match[3]


def verdict(case, least, peer, results):
    ratio = results[case].ratio(peer) if case in results else None
    if ratio is None:
        return f"miss  {case}: {peer}/paceline >= {least:g}x: no such ratio was measured"
    outcome = "pass" if ratio >= least else "miss"
    return f"{outcome}  {case}: {peer}/paceline >= {least:g}x: {ratio:.2f}x"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", default=["all"], metavar="CASE")
    parser.add_argument("--pacebench", type=Path, required=True)
    parser.add_argument("--build-dir", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="measured repeats in one run")
    parser.add_argument("--require", type=requirement, action="append", default=[])
    options = parser.parse_args()
    if not options.pacebench.is_file():
        parser.error(f"there is no {options.pacebench}; build pacebench first")
    return options


def main():
    options = arguments()
    peers = build_all(options.build_dir)
    if not peers:
        sys.exit("run.py: no peer could be built")
    # A copy, so that a rebuild meanwhile does not mix two versions.
    ours = shutil.copy(options.pacebench, options.build_dir / "pacebench.copy")
    programs = {"paceline": ours} | peers | {OFF: ours}
    has = {name: set(cases_of(program)) for name, program in programs.items()}
    has[OFF] = {case[: -len(OFF) - 1] for case in has[OFF] if case.endswith(f"_{OFF}")}
    chosen = choose(options.cases, sorted(set().union(*(has[name] for name in peers))))

    busy = os.getloadavg()[0]
    print(
        f"{options.workers} workers, {options.rounds} rounds of {options.repeat} repeats; "
        f"{os.cpu_count()} CPUs with a load of {busy:.1f} before the start\n"
    )
    order = random.Random(1)  # a fixed seed: the same order next time
    results = {}
    names = []
    with open(options.build_dir / "peers.jsonl", "w", encoding="utf-8") as raw:
        for case in chosen:
            able = {name: program for name, program in programs.items() if case in has[name]}
            results[case] = measure(case, able, options, order, raw)
            # A table for each area, with those who have cases there.
            area = case.split("/")[0] + "/"
            before, names = names, [n for n in programs if any(c.startswith(area) for c in has[n])]
            if names != before:
                print(heading(names))
            print("\n".join(table_lines(case, results[case], names)), flush=True)
    print()
    wanted = [want for want in WANTED if want[0] in results]
    for case, least, peer in wanted + options.require:
        print(verdict(case, least, peer, results))
    sys.exit(0 if all(result.same_work() for result in results.values()) else 1)


if __name__ == "__main__":
    main()
