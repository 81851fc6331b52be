# SPDX-License-Identifier: BSL-1.0
"""Paceline for gdb: what tasks there are, and the call stacks of parked ones.

    (gdb) source runtime/gdb/paceline.py
    (gdb) paceline tasks
    (gdb) paceline stack 12

Reads memory only: works on a stopped process and on a core. Needs the library's debug information.
"""

import gdb
import gdb.unwinder

PHASES = {1: "suspended", 2: "running", 3: "running"}
CLASSES = ["urgent", "user_interactive", "user_initiated", "standard", "utility", "background"]
# Where Boost.Context keeps registers, in words from the saved stack pointer.
SAVED = {"r12": 1, "r13": 2, "r14": 3, "r15": 4, "rbx": 5, "rbp": 6, "rip": 7}


def atomic(value):
    """What std::atomic holds, of either standard library."""
    for path in (("_M_i",), ("_M_b", "_M_p"), ("_M_b", "_M_i"), ("__a_", "__a_value")):
        try:
            inner = value
            for field in path:
                inner = inner[field]
            return inner
        except gdb.error:
            continue
    raise gdb.GdbError("unknown layout of std::atomic")


def elements(vector):
    """The elements of a std::vector, of either standard library."""
    try:
        at, end = vector["_M_impl"]["_M_start"], vector["_M_impl"]["_M_finish"]
    except gdb.error:
        at, end = vector["__begin_"], vector["__end_"]
    while at != end:
        yield at.dereference()
        at += 1


def text_of(string):
    """The bytes of a std::string, without a pretty printer."""
    try:
        data, size = string["_M_dataplus"]["_M_p"], int(string["_M_string_length"])
        return data.string(length=size, errors="replace")
    except gdb.error:
        return str(string)


def word(address):
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8), "little")


def runtimes():
    core = gdb.parse_and_eval("'paceline::core::(anonymous namespace)::registry'")
    while int(core) != 0:
        yield core.dereference()
        core = core["next_registered_"]


def seats_of(core):
    for seat in elements(core["seats_"]):
        yield seat.dereference()
    crew = core["crew_"]
    for i in range(int(atomic(crew["count_"]))):
        refuge = crew["refuges_"][i]
        try:
            pointer = refuge["_M_t"]["_M_t"]["_M_head_impl"]
        except gdb.error:
            pointer = gdb.parse_and_eval("*(void**)%d" % int(refuge.address))
        kind = gdb.lookup_type("paceline::core::Refuge").pointer()
        yield pointer.cast(kind)["seat"].referenced_value()


def collections_of(seat):
    """Every collection of a worker with its class: of tasks without a group, and of each group."""
    homes = [seat["collections"]]
    lanes = seat["lanes"]
    for index in range(lanes.type.range()[1] + 1):
        lane = atomic(lanes[index])
        if int(lane) != 0:
            homes.append(lane.dereference()["collections"])
    for collections in homes:
        low, high = collections.type.range()
        for qos in range(low, high + 1):
            yield collections[qos], qos


def slots_of(seat):
    """Every slot in use of a worker, with its class."""
    for collection, qos in collections_of(seat):
        for s in range(int(atomic(collection["segment_count_"]))):
            segment = atomic(collection["segments_"][s])
            dormant = int(atomic(segment["dormant"]))
            for g in range(64):
                group = atomic(segment["groups"][g])
                if int(group) == 0:
                    break
                if dormant >> g & 1:
                    continue
                yield from slots_in(group.dereference(), qos)


def slots_in(group, qos):
    cold = int(atomic(group["cold"]))
    slots = group["slots"]
    first = int(slots.address)
    size = slots[0].type.sizeof
    in_page = 64
    memory = gdb.selected_inferior()
    for page in range(64):
        if cold >> page & 1:
            continue
        block = bytes(memory.read_memory(first + page * in_page * size, in_page * size))
        for i in range(in_page):
            # The state word comes first; its low byte is the phase.
            if block[i * size] != 0:
                yield slots[page * in_page + i], block[i * size], qos


def executor_of(slot):
    bits = int(slot["resume"])
    if bits & 1 == 0:
        return None
    kind = gdb.lookup_type("paceline::core::Executor").pointer()
    return gdb.Value(bits & ~1).cast(kind).dereference()


class Task:
    def __init__(self, slot, phase, qos, worker):
        self.id = int(atomic(slot["id"]))
        self.state = PHASES.get(phase, "?")
        self.qos = CLASSES[qos] if qos < len(CLASSES) else str(qos)
        self.worker = worker
        self.executor = executor_of(slot)
        name = atomic(slot["name"])
        self.name = text_of(name["text"]) if int(name) != 0 else ""
        self.waits_for = ""
        if self.state == "suspended" and int(slot["waiting"]) != 0:
            self.waits_for = slot["waiting"]["ops"]["what"].string()
        if self.executor is not None:
            self.waits_for += ", on its stack"


def tasks_of(core):
    tasks, parked = [], {}
    for seat in seats_of(core):
        worker = int(atomic(seat["index"]))
        for slot, phase, qos in slots_of(seat):
            if int(atomic(slot["frame"])) != 0:
                tasks.append(Task(slot, phase, qos, worker))
            elif int(atomic(slot["id"])) != 0:  # an executor that was preempted
                parked[int(atomic(slot["id"]))] = executor_of(slot)
    for task in tasks:
        if task.id in parked:
            task.state, task.executor = "preempted", parked[task.id]
    return sorted(tasks, key=lambda task: task.id)


class Paceline(gdb.Command):
    """Tasks of the Paceline runtimes in this process."""

    def __init__(self):
        super().__init__("paceline", gdb.COMMAND_STACK, prefix=True)


class Tasks(gdb.Command):
    """List the tasks that live: id, state, class, worker, name, and what each waits for."""

    def __init__(self):
        super().__init__("paceline tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        for core in runtimes():
            tasks = tasks_of(core)
            print("runtime %d '%s': %d tasks" % (
                int(core["id_"]), text_of(core["options_"]["name"]), len(tasks)))
            for task in tasks:
                waits = " in " + task.waits_for if task.waits_for else ""
                print("task %6d  %-9s  %-16s  worker %3d  %-20s%s" % (
                    task.id, task.state, task.qos, task.worker, task.name, waits))


class FromSaved(gdb.unwinder.Unwinder):
    """Makes the selected thread's innermost frame look as if a parked stack had called it."""

    registers = None

    def __init__(self):
        super().__init__("paceline")

    def __call__(self, pending):
        if self.registers is None or pending.level() != 0:
            return None
        known = gdb.lookup_type("unsigned long")
        info = pending.create_unwind_info(
            FrameId(gdb.Value(self.registers["rsp"] - 8).cast(known), pending.read_register("rip")))
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(known))
        return info


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Stack(gdb.Command):
    """Show the call stack of a parked task: paceline stack ID."""

    unwinder = FromSaved()

    def __init__(self):
        super().__init__("paceline stack", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not argument.strip().isdigit():
            raise gdb.GdbError("which task? See 'paceline tasks'; then: paceline stack ID")
        wanted = int(argument)
        for core in runtimes():
            for task in tasks_of(core):
                if task.id == wanted:
                    self.show(task)
                    return
        raise gdb.GdbError("no task %d lives" % wanted)

    def show(self, task):
        if task.executor is None:
            raise gdb.GdbError(
                "task %d is %s and parked on no stack; of a running one see 'thread apply all bt'"
                % (task.id, task.state))
        at = int(task.executor["fiber_"]["inside_"])
        words = [word(at + 8 * i) for i in range(9)]
        # Builds of Boost.Context with stack protection keep a canary first.
        shift = 0 if gdb.block_for_pc(words[7]) is not None else 1
        registers = {name: words[i + shift] for name, i in SAVED.items()}
        registers["rsp"] = at + 8 * (8 + shift)
        self.unwinder.registers = registers
        gdb.invalidate_cached_frames()
        try:
            print("task %d '%s', %s" % (task.id, task.name, task.state))
            frame, number = gdb.newest_frame().older(), 0
            while frame is not None and frame.is_valid() and number < 200:
                place = frame.find_sal()
                where = " at %s:%d" % (place.symtab.filename, place.line) if place.symtab else ""
                print("  #%-2d %s%s" % (number, frame.name() or hex(frame.pc()), where))
                frame, number = frame.older(), number + 1
        finally:
            self.unwinder.registers = None
            gdb.invalidate_cached_frames()


gdb.unwinder.register_unwinder(None, Stack.unwinder, replace=True)
Paceline()
Tasks()
Stack()
