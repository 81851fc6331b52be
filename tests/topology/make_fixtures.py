#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Writes the machines of this folder as hwloc XML (format 2.0). Each is composed here from the public
# shape of a machine: counts of cores, caches, packages, numbering. Clocks and capacities are round
# figures in the right proportion, not measurements.
#   make_fixtures.py           write the files beside this script
#   make_fixtures.py --check   exit 1 if one of them is not what would be written
import sys
from pathlib import Path

MIB = 1 << 20


def mask(numbers):
    """A set as hwloc writes it: groups of 32 bits, the highest first."""
    numbers = set(numbers)
    words = max(numbers, default=0) // 32 + 1
    groups = []
    for word in range(words - 1, -1, -1):
        bits = sum(1 << (n - 32 * word) for n in numbers if n // 32 == word)
        groups.append(f"0x{bits:08x}")
    return ",".join(groups)


class Thing:
    """An object of the machine: its type, attributes, and what is in it."""

    def __init__(self, kind, children=(), index=None, node=None, **attributes):
        self.kind, self.index, self.node = kind, index, node
        self.children, self.attributes = list(children), attributes
        self.memory = []

    def cpus(self):
        own = {self.index} if self.kind == "PU" else set()
        return own.union(*(child.cpus() for child in self.children))


def pu(number):
    return Thing("PU", index=number)


def core(*numbers):
    return Thing("Core", [pu(n) for n in numbers])


def cache(level, size, *children):
    return Thing(f"L{level}Cache", children, cache_size=size, depth=level, cache_linesize=64,
                 cache_associativity=0, cache_type=0)


def package(*children, node=None):
    made = Thing("Package", children)
    if node is not None:
        made.memory.append(Thing("NUMANode", index=node, local_memory=8192 * MIB))
    return made


def private(level, size, cores):
    """Each core with a cache of its own."""
    return [cache(level, size, c) for c in cores]


class Machine:
    def __init__(self, children, kinds=(), offline=(), allowed=None, distances=None):
        self.root = Thing("Machine", children)
        self.kinds, self.distances = kinds, distances
        self.offline, self.allowed = set(offline), allowed
        self.memory = {}
        for thing in self.walk(self.root):
            for memory in thing.memory:
                self.memory[memory.index] = thing
        if not self.memory:
            self.root.memory.append(Thing("NUMANode", index=0, local_memory=16384 * MIB))
            self.memory[0] = self.root
        self.next = 0

    def walk(self, thing):
        yield thing
        for child in thing.children:
            yield from self.walk(child)

    def nodes_of(self, thing):
        cpus = thing.cpus()
        return {n for n, home in self.memory.items() if home.cpus() & cpus}

    def sets(self, thing, owner=None):
        about = owner or thing
        cpus = about.cpus() & self.online
        nodes = {thing.index} if owner else self.nodes_of(about)
        whole = cpus | (self.offline if about is self.root else set())
        text = (f' cpuset="{mask(cpus)}" complete_cpuset="{mask(whole)}"')
        if about is self.root and not owner:
            allowed = self.allowed if self.allowed is not None else cpus
            text += f' allowed_cpuset="{mask(allowed)}"'
        text += f' nodeset="{mask(nodes)}" complete_nodeset="{mask(nodes)}"'
        if about is self.root and not owner:
            text += f' allowed_nodeset="{mask(nodes)}"'
        return text

    def lines(self, thing, depth, owner=None):
        self.next += 1
        index = "" if thing.index is None else f' os_index="{thing.index}"'
        extra = "".join(f' {k}="{v}"' for k, v in thing.attributes.items())
        start = f'{" " * depth}<object type="{thing.kind}"{index}{self.sets(thing, owner)}'
        start += f'{extra} gp_index="{self.next}"'
        inside = []
        for memory in thing.memory:
            inside += self.lines(memory, depth + 1, thing)
        for child in thing.children:
            inside += self.lines(child, depth + 1)
        if not inside:
            return [start + "/>"]
        return [start + ">", *inside, f'{" " * depth}</object>']

    def xml(self):
        self.online = self.root.cpus()
        self.next = 0
        out = ['<?xml version="1.0" encoding="UTF-8"?>',
               '<!DOCTYPE topology SYSTEM "hwloc2.dtd">', '<topology version="2.0">']
        out += self.lines(self.root, 1)
        if self.distances:
            numbers = sorted(self.memory)
            values = [str(v) for row in self.distances for v in row]
            which = "".join(f"{n} " for n in numbers)
            flat = "".join(f"{v} " for v in values)
            out += [f' <distances2 type="NUMANode" nbobjs="{len(numbers)}" kind="5" '
                    'name="NUMALatency" indexing="os">',
                    f'  <indexes length="{len(which)}">{which}</indexes>',
                    f'  <u64values length="{len(flat)}">{flat}</u64values>', ' </distances2>']
        for cpus, efficiency, facts in self.kinds:
            forced = f' forced_efficiency="{efficiency}"' if efficiency is not None else ""
            out.append(f' <cpukind cpuset="{mask(cpus)}"{forced}>')
            out += [f'  <info name="{k}" value="{v}"/>' for k, v in facts.items()]
            out.append(" </cpukind>")
        return "\n".join(out + ["</topology>", ""])


def m4_pro():
    """12 P in two clusters of 6, 4 E that have the low numbers; the caches are L2."""
    return Machine(
        [package(cache(2, 4 * MIB, *(core(n) for n in range(4))),
                 *(cache(2, 16 * MIB, *(core(n) for n in range(f, f + 6))) for f in (4, 10)))],
        kinds=[(range(4), 0, {"FrequencyMaxMHz": 2500}),
               (range(4, 16), 1, {"FrequencyMaxMHz": 4500})])


def o1():
    """2 + 4 + 2 + 2 under one L3; the middle ones are one design at two clocks."""
    return Machine(
        [package(cache(3, 16 * MIB, *private(2, MIB, (core(n) for n in range(10)))))],
        kinds=[((0, 1), None, {"LinuxCapacity": 230, "CPUPart": "0xd80"}),
               ((2, 3), None, {"LinuxCapacity": 420, "CPUPart": "0xd87"}),
               (range(4, 8), None, {"LinuxCapacity": 760, "CPUPart": "0xd87"}),
               ((8, 9), None, {"LinuxCapacity": 1024, "CPUPart": "0xd85"})])


def hybrid():
    """6 P with two threads, 8 E in two modules, one L3. Two P are favoured: 4 % more clock."""
    p = private(2, MIB, (core(2 * n, 2 * n + 1) for n in range(6)))
    e = [cache(2, 2 * MIB, *(core(n) for n in range(f, f + 4))) for f in (12, 16)]
    return Machine(
        [package(cache(3, 24 * MIB, *p, *e))],
        kinds=[(range(12, 20), None, {"CoreType": "IntelAtom", "FrequencyMaxMHz": 3700,
                                      "FrequencyBaseMHz": 1400}),
               ([*range(4), *range(8, 12)], None,
                {"CoreType": "IntelCore", "FrequencyMaxMHz": 5000, "FrequencyBaseMHz": 1900}),
               (range(4, 8), None,
                {"CoreType": "IntelCore", "FrequencyMaxMHz": 5200, "FrequencyBaseMHz": 1900})])


def three_types():
    """2 P with two threads and 8 E under the L3, 2 slow ones beside it."""
    p = private(2, 2 * MIB, (core(0, 1), core(2, 3)))
    e = [cache(2, 2 * MIB, *(core(n) for n in range(f, f + 4))) for f in (4, 8)]
    return Machine(
        [package(cache(3, 12 * MIB, *p, *e), cache(2, 2 * MIB, core(12), core(13)))],
        kinds=[((12, 13), None, {"CoreType": "IntelLowPower", "FrequencyMaxMHz": 2400}),
               (range(4, 12), None, {"CoreType": "IntelAtom", "FrequencyMaxMHz": 3800}),
               (range(4), None, {"CoreType": "IntelCore", "FrequencyMaxMHz": 4800})])


def interleaved():
    """4 fast and 8 dense cores, each with two threads, an L3 for each sort; numbers alternate."""
    fast = [core(n, n + 12) for n in range(4)]
    dense = [core(n, n + 12) for n in range(4, 12)]
    return Machine(
        [package(cache(3, 16 * MIB, *fast), cache(3, 8 * MIB, *dense))],
        kinds=[([*range(4, 12), *range(16, 24)], None, {"FrequencyMaxMHz": 3300}),
               ([*range(4), *range(12, 16)], None, {"FrequencyMaxMHz": 5100})])


def two_sockets():
    """2 x 20 x 2: second threads have the numbers from 40 on."""
    def socket(first, node):
        cores = (core(n, n + 40) for n in range(first, first + 20))
        return package(cache(3, 28 * MIB, *private(2, MIB, cores)), node=node)
    return Machine([socket(0, 0), socket(20, 1)], distances=[[10, 21], [21, 10]])


def many_caches():
    """24 caches of 8 cores in two packages."""
    def socket(first, node):
        return package(*(cache(3, 32 * MIB, *(core(n) for n in range(f, f + 8)))
                         for f in range(first, first + 96, 8)), node=node)
    return Machine([socket(0, 0), socket(96, 1)], distances=[[10, 32], [32, 10]])


def one_big():
    """Four little cores share an L2; the one big core has the highest number."""
    return Machine(
        [package(cache(3, 4 * MIB, cache(2, 1536 * 1024, *(core(n) for n in range(4))),
                       cache(2, MIB // 2, core(4))))],
        kinds=[(range(4), None, {"CoreType": "IntelAtom", "FrequencyMaxMHz": 2800}),
               ((4,), None, {"CoreType": "IntelCore", "FrequencyMaxMHz": 3000})])


def jitter(model):
    """Two L3, each with 5 middle and 5 big cores whose capacities differ by a few parts in 1000."""
    def half(first):
        return cache(3, 16 * MIB, *private(2, MIB, (core(n) for n in range(first, first + 10))))
    capacities = {718: range(5), 997: range(5, 10), 731: range(10, 15), 1017: range(15, 19),
                  1024: (19,)}
    part = {True: "0xd87", False: "0xd85"}
    return Machine([package(half(0), half(10))], kinds=[
        (cpus, None, {"LinuxCapacity": c, **({"CPUPart": part[c < 800]} if model else {})})
        for c, cpus in capacities.items()])


def unranked():
    """Three kinds of equal efficiency: told apart, but not by speed."""
    return Machine([package(cache(3, 8 * MIB, *(core(n) for n in range(6))))],
                   kinds=[((0, 1), 234, {}), ((2, 3), 234, {}), ((4, 5), 234, {})])


def split_core():
    """Two cores whose two threads are said to be of different kinds: nobody builds that."""
    return Machine([package(cache(3, 16 * MIB, core(0, 1), core(2, 3)))],
                   kinds=[((1, 3), 0, {"LinuxCapacity": 400}),
                          ((0, 2), 1, {"LinuxCapacity": 1024})])


def offline():
    """CPUs 0, 3 and 6 of 8 are switched off; the first node's number is 2."""
    return Machine(
        [package(cache(3, 8 * MIB, core(1), core(2)), node=2),
         package(cache(3, 8 * MIB, core(4), core(5), core(7)), node=5)],
        offline=(0, 3, 6), distances=[[10, 20], [20, 10]])


def sparse():
    """Numbers with holes, beyond one word."""
    return Machine([package(cache(3, 8 * MIB, core(1, 65), core(33, 700))),
                    package(cache(3, 8 * MIB, core(9, 129), core(1023)))])


def cgroup():
    """8 cores in two packages; the cgroup grants CPUs 2 to 5."""
    def socket(first, node):
        return package(cache(3, 8 * MIB, *(core(n) for n in range(first, first + 4))), node=node)
    return Machine([socket(0, 0), socket(4, 1)], allowed={2, 3, 4, 5})


def ring():
    """Four nodes of two cores; nodes across the ring are farther."""
    rows = [[10, 16, 22, 16], [16, 10, 16, 22], [22, 16, 10, 16], [16, 22, 16, 10]]
    return Machine([package(cache(3, 4 * MIB, core(2 * n), core(2 * n + 1)), node=n)
                    for n in range(4)], distances=rows)


def irregular():
    """One core without any cache, one with its own only, two that share one."""
    return Machine([package(core(0), cache(2, MIB, core(1)),
                            cache(3, 4 * MIB, *private(2, MIB, (core(2), core(3)))))])


def single():
    return Machine([package(cache(2, MIB, core(0)))])


FIXTURES = {
    "m4-pro-12p-4e": m4_pro(), "o1-2-4-2-2": o1(), "6p-8e-smt": hybrid(),
    "three-types": three_types(), "interleaved": interleaved(), "2x20x2": two_sockets(),
    "24-caches-of-8": many_caches(), "1-big-4-little": one_big(),
    "capacity-jitter": jitter(True), "capacity-jitter-no-model": jitter(False),
    "unranked": unranked(), "split-core": split_core(), "offline": offline(), "sparse": sparse(), "cgroup": cgroup(),
    "ring-of-4-nodes": ring(), "irregular-caches": irregular(), "1-processor": single(),
}


def main():
    here = Path(__file__).parent
    wrong = []
    for name, machine in FIXTURES.items():
        path = here / f"{name}.xml"
        text = machine.xml()
        if sys.argv[1:] == ["--check"]:
            if not path.exists() or path.read_text() != text:
                wrong.append(f"{path} is not what make_fixtures.py writes")
        else:
            path.write_text(text)
    if sys.argv[1:] == ["--check"]:
        extra = {p.stem for p in here.glob("*.xml")} - FIXTURES.keys()
        wrong += [f"{here}/{name}.xml has no maker" for name in sorted(extra)]
    sys.exit("\n".join(wrong) if wrong else 0)


main()
