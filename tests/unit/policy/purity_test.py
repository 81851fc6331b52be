# SPDX-License-Identifier: BSL-1.0
"""Proves that policies are pure: what their objects need from outside is on a short list.

purity_test.py LIBRARY reads the static library with nm. All objects of runtime/policy count,
also those that come later. Without symbols to read (objects of a link-time optimiser) it skips.
"""
import os
import re
import subprocess
import sys

SKIPPED = 77
OBJECT = re.compile(r"policy_\w+\.cpp\.o")

# Everything else is refused: clocks, threads, locks, logs, files, allocation, exceptions.
ALLOWED = re.compile(
    r"^("
    r"mem(cpy|move|set|cmp)"  # compilers turn loops and copies into these
    r"|(ceil|floor|round|trunc|exp2?|log2?|pow|sqrt|fm(ax|in)|ldexp|frexp|scalbn)[fl]?"  # arithmetic
    r"|__(popcount|clz|ctz|u?div|u?mod|mul)[a-z]*[0-9]"  # the compiler's own arithmetic
    r"|__stack_chk_fail(_local)?|_GLOBAL_OFFSET_TABLE_"
    r"|abort|_ZSt21__glibcxx_assert_fail\w*|_ZSt\w*__replacement_assert\w*"  # checked builds end
    r"|__(asan|ubsan|tsan|hwasan|sanitizer|gcov|llvm_profile|llvm_gcov|sancov)_\w+"
    r"|__gxx_personality_v0|_Unwind_Resume|_ZSt9terminatev|__clang_call_terminate"  # noexcept
    r"|\w*_ZN8paceline4core16invariant_broken\w*"  # a broken invariant ends the program
    r")$"
)

# Tables are made once, before scheduling starts, in objects of their own, which may allocate and
# refuse their input.
START = re.compile(r"_start\.cpp\.o$")
ALLOWED_AT_START = re.compile(
    r"^(_Zn[wa]m|_Zd[la]Pvm?|__cxa_\w+|_ZSt\d+__throw_\w+|_Z(N|TI)?K?St\w*(invalid_arg|logic_err|string)\w*"
    r"|strlen|_ZT[IV]St\w+|_ZNSt16invalid_argument\w+)$"
)


def undefined_and_defined(listing):
    """From `nm -A`: the wanted symbols by object, and all that the objects define."""
    wanted, defined = {}, set()
    for line in listing.splitlines():
        found = re.match(r"^(.*?):\s*(?:[0-9a-fA-F]+\s+|\s+)?([A-Za-z?])\s+(\S+)$", line)
        if not found:
            continue
        obj = OBJECT.search(found[1])
        if not obj:
            continue
        wanted.setdefault(obj[0], set())
        if found[2] in "Uw":
            wanted[obj[0]].add(found[3])
        else:
            defined.add(found[3])
    return wanted, defined


def complaints(listing):
    """What the policies want from others than each other and is not allowed."""
    wanted, defined = undefined_and_defined(listing)
    return [
        f"{obj}: {symbol}"
        for obj in sorted(wanted)
        for symbol in sorted(wanted[obj] - defined)
        if not ALLOWED.match(symbol)
        and not (START.search(obj) and ALLOWED_AT_START.match(symbol))
    ]


def check_the_check():
    """The check complains about planted symbols and knows an object's own."""
    def listing(*symbols):
        lines = ["lib.a:policy_a.cpp.o: U " + s for s in symbols]
        lines.append("lib.a:policy_b.cpp.o:0000000000000000 T _ZN1a1fEv")
        lines.append("lib.a:sched_worker.cpp.o: U malloc")
        return "\n".join(lines)

    forbidden = [
        "malloc", "_Znwm", "_ZdlPv", "clock_gettime", "rand", "pthread_mutex_lock", "write",
        "_ZNSt6chrono3_V212steady_clock3nowEv", "__tls_get_addr", "__cxa_throw", "printf",
        "__cxa_guard_acquire", "_ZN8paceline4core3log5writeEv",
    ]
    for symbol in forbidden:
        assert len(complaints(listing(symbol))) == 1, symbol
    for symbol in ["memset", "_ZN1a1fEv", "__asan_report_load8", "__popcountdi2", "exp2"]:
        assert not complaints(listing(symbol)), symbol


def main():
    check_the_check()
    library = sys.argv[1]
    nm = os.environ.get("NM", "nm")
    run = subprocess.run([nm, "-A", library], capture_output=True, text=True, check=False)
    wanted, defined = undefined_and_defined(run.stdout)
    if not defined:
        print(f"no symbols of policies in {library}: {run.stderr.strip()[:300]}")
        return SKIPPED
    found = complaints(run.stdout)
    print(f"{len(wanted)} objects of policies define {len(defined)} symbols")
    for complaint in found:
        print("a policy is not pure:", complaint)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
