#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Proves that tree_index counts right, whatever the number of workers: on a temporary tree with
# everything a file system has to offer, its JSON is compared with a plain count in Python.
#   check_tree_index.py TREE_INDEX CASE...   (a case is a method of TreeIndexTest)
import collections
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import tempfile
import unittest

KIB = 1024
CHUNK = 64 * KIB
ENDLESS = 1 << 40  # bytes of a sparse file: nobody reads it to the end within a test
TREE_INDEX = ""


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def random_text(seed, size):
    """About `size` bytes of words and separators."""
    dice = random.Random(seed)
    vocabulary = [
        "".join(dice.choices("abcXYZ019_", k=dice.randint(1, 12))) for _ in range(20_000)
    ]
    separators = [" ", "\n", "-", "\t", "\u00e9", "(", "0x"]
    text, length = [], 0
    while length < size:
        piece = dice.choice(vocabulary) + dice.choice(separators)
        text.append(piece)
        length += len(piece)
    return "".join(text).encode()


def make_tree(root):
    """Fills `root` (bytes). Returns what is in it as path -> content, for regular files."""
    files = {
        b"empty": b"",
        b"plain.txt": b"One two, three; THREE three_3 _four 5five si if",
        b"a name with\nnew lines\tand \xff bytes": b"name name newline",
        b"directory with spaces/file with spaces": b"spaces everywhere",
        b"deep/er/and/deep/er/still/file": b"deep deeper deepest",
        b"binary": b"word word\0word",
        b"nul behind 8 KiB": b"early " * (2 * KIB) + b"\0late",
        b"large": random_text(1, 5_000_000),
        b"large and different": random_text(2, 500_000),
        b"cut words": b"ab " * (CHUNK // 3) + b"straddling" + b" z" * CHUNK + b"end_of_file",
        b"exactly one chunk": b"x" * 5 + b" " + b"chunk " * ((CHUNK - 6) // 6) + b"tail",
        b"one run over three chunks": b"s" * (2 * CHUNK + 10),
        b"long runs": b" ".join(b"r" * n for n in (254, 255, 256, 257, 2 * CHUNK, 3, 2)),
    }
    for i in range(300):
        files[b"many/%d/file %d" % (i % 7, i)] = b"many file_%d " % i * (i % 40)
    files = {os.path.join(root, name): content for name, content in files.items()}
    for path, content in files.items():
        write(path, content)
    os.makedirs(os.path.join(root, b"empty directory"))
    os.symlink(b"..", os.path.join(root, b"deep/loop"))
    os.symlink(b"large", os.path.join(root, b"link to large"))
    os.symlink(b"nowhere", os.path.join(root, b"dangling link"))
    os.mkfifo(os.path.join(root, b"pipe"))
    return files


def count_plainly(files, top):
    """What tree_index should say about `files`, by an independent program."""
    words = collections.Counter()
    binaries = 0
    for content in files.values():
        if b"\0" in content[: 8 * KIB]:
            binaries += 1
            continue
        for run in re.findall(rb"[A-Za-z0-9_]+", content):
            if 3 <= len(run) <= 255 and run[:1].isalpha():
                words[run.lower().decode()] += 1
    by_size = sorted(files, key=lambda path: (-len(files[path]), path))
    return {
        "complete": True,
        "files": len(files),
        "binary_files": binaries,
        "bytes": sum(map(len, files.values())),
        "words": sum(words.values()),
        "different_words": len(words),
        "top_words": [
            {"word": word, "count": count}
            for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:top]
        ],
        "largest_files": [
            {"path": os.fsdecode(path), "bytes": len(files[path])} for path in by_size[:10]
        ],
    }


def run(*arguments):
    return subprocess.run(
        [TREE_INDEX, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
    )


def run_json(*arguments):
    """The result as printed and as read."""
    done = run("--json", *arguments)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout, json.loads(done.stdout)


class TreeIndexTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="tree_index.")
        self.addCleanup(self.temporary.cleanup)
        self.root = os.path.join(os.fsencode(self.temporary.name), b"tree")

    def test_counts_as_a_plain_program_does(self):
        files = make_tree(self.root)
        _, result = run_json("--serial", "--top", "100000", self.root)
        expected = count_plainly(files, 100_000)
        self.assertEqual({key: result[key] for key in expected}, expected)
        self.assertEqual(result["directories"], len(list(os.walk(self.root))))

    def test_is_the_same_for_any_number_of_workers(self):
        make_tree(self.root)
        arguments = ["--top", "100000", self.root, "/proc/self/mem", "no/such/path"]
        serial, _ = run_json("--serial", *arguments)
        for workers in ("1", "2", "8"):
            for _ in range(3):
                parallel, _ = run_json("--workers", workers, *arguments)
                self.assertEqual(parallel, serial, f"{workers} workers")

    def test_follows_no_symbolic_link(self):
        files = make_tree(self.root)
        for mode in (["--serial"], ["--workers", "2"]):
            _, result = run_json(*mode, self.root)
            self.assertEqual(result["symbolic_links"], 3)
            self.assertEqual(result["special_files"], 1)
            self.assertEqual(result["files"], len(files))
            self.assertEqual(result["unreadable"], 0)

    def test_names_what_it_cannot_read_and_goes_on(self):
        write(os.path.join(self.root, b"file"), b"still counted")
        link = os.path.join(self.root, b"link")
        os.symlink(b"file", link)
        # /proc/self/mem is a regular file that not even root can read at address 0.
        missing = [b"/no/such/%02d" % i for i in range(10)]
        paths = [link, *missing, b"/proc/self/mem", self.root]
        for mode in (["--serial"], ["--workers", "2"]):
            done = run(*mode, *paths)
            self.assertEqual(done.returncode, 0)
            self.assertIn(b"Unreadable: 12\n", done.stdout)
            for path in missing[:-1]:
                self.assertIn(path + b": No such file or directory\n", done.stdout)
            self.assertIn(b"  and 2 more\n", done.stdout)
            _, result = run_json(*mode, "/proc/self/mem", self.root)
            self.assertEqual(
                result["unreadable_paths"],
                [{"path": "/proc/self/mem", "reason": "Input/output error"}],
            )
            self.assertEqual([entry["word"] for entry in result["top_words"]], ["counted", "still"])
            self.assertEqual(run(*mode, *missing).returncode, 1)

    def test_survives_a_tree_deeper_than_a_path_may_be_long(self):
        # From inside, since no path leads there: 30 directories of 200 characters.
        os.makedirs(self.root)
        here = os.open(self.root, os.O_RDONLY)
        for _ in range(30):
            os.mkdir(b"d" * 200, dir_fd=here)
            below = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        serial, result = run_json("--serial", self.root)
        self.assertEqual(result["unreadable"], 1)
        self.assertEqual(result["unreadable_paths"][0]["reason"], "File name too long")
        self.assertEqual(run_json("--workers", "2", self.root)[0], serial)

    def make_endless_tree(self):
        for i in range(5):
            write(os.path.join(self.root, b"%d" % i), b"finished")
        # In a directory, as a serial walk takes files before directories.
        endless = os.path.join(self.root, b"directory/endless")
        write(endless, b"unfinished " * KIB)
        os.truncate(endless, ENDLESS)

    def test_stops_when_interrupted(self):
        self.make_endless_tree()
        for mode in (["--serial"], ["--workers", "1"], ["--workers", "2"]):
            for order in (signal.SIGINT, signal.SIGTERM):
                done = self.interrupt(order, "--json", *mode, self.root)
                result = json.loads(done)
                self.assertEqual((result["complete"], result["files"]), (False, 5))
                self.assertEqual(result["top_words"], [{"word": "finished", "count": 5}])
        summary = self.interrupt(signal.SIGINT, self.root)
        self.assertIn(b"Interrupted. Of 6 files found so far 5 were read", summary)

    def interrupt(self, order, *arguments):
        """Sends `order` once the five small files are read. Returns what is printed then."""
        # Without buffers, as a line that Python has read ahead would be lost to communicate().
        with subprocess.Popen(
            [TREE_INDEX, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as process:
            self.addCleanup(process.kill)
            for line in process.stderr:
                if line.startswith(b"tree_index: 5 of 6 files found"):
                    break
            process.send_signal(order)
            printed, _ = process.communicate()
        self.assertEqual(process.returncode, 130)
        return printed

    def test_draws_a_bar_on_a_terminal_until_somebody_presses_ctrl_c(self):
        self.make_endless_tree()
        process, terminal = pty.fork()
        if process == 0:
            os.execv(TREE_INDEX, [TREE_INDEX, self.root])
        screen, pressed = b"", False
        try:
            while shown := os.read(terminal, 4096):
                screen += shown
                if not pressed and b"5 of 6 files found" in screen:
                    pressed = os.write(terminal, b"\x03") == 1
        except OSError:
            pass  # EIO: the program has ended
        os.close(terminal)
        _, status = os.waitpid(process, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 130)
        self.assertRegex(screen, rb"\r\[####################\.\.\.\.\] 5 of 6 files found, .*\x1b\[K")
        self.assertRegex(screen, rb"\r\x1b\[KInterrupted\. Of 6 files found so far 5 were read")

    def test_refuses_bad_usage_with_exit_code_2(self):
        bad = {
            ("--colour",): b"unknown option '--colour'",
            ("--top",): b"--top needs a number",
            ("--top", "many"): b"--top takes a number from 1 to 1000000, not 'many'",
            ("--top=0",): b"--top takes a number from 1 to 1000000, not '0'",
            ("--workers", "1000000"): b"--workers takes a number from 1 to 1024, not '1000000'",
            ("--serial=yes",): b"unknown option '--serial=yes'",
            ("--compare", "--json"): b"--compare prints a table",
            ("--serial", "--workers", "2"): b"leave out one of --serial and --workers",
        }
        for arguments, message in bad.items():
            done = run(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, b""), arguments)
            self.assertIn(message, done.stderr)
        self.assertEqual(run("--help").returncode, 0)
        self.assertIn(b"--colour: No such file", run("--", "--colour").stdout)

    def test_prints_the_counters_of_every_worker(self):
        make_tree(self.root)
        done = run("--workers", "3", self.root).stdout.decode()
        self.assertRegex(done, r"\nWorker +tasks +polls +steals +tasks stolen +parks\n")
        rows = [line.split() for line in re.findall(r"(?m)^(?:\d|total) .*$", done)]
        self.assertEqual([row[0] for row in rows], ["0", "1", "2", "total"])
        for column in range(1, 6):
            total = int(rows[3][column].replace(",", ""))
            of_workers = sum(int(row[column].replace(",", "")) for row in rows[:3])
            # Tasks and polls that ended on a spare thread are in the total alone.
            check = self.assertLessEqual if column <= 2 else self.assertEqual
            check(of_workers, total)
        self.assertRegex(done, r"p50 .*, p99 .*, max .* ticks\)")


    def test_compares_preemption_off_and_on_beside_hogs(self):
        files = make_tree(self.root)
        done = run("--compare", "--workers", "2", self.root)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        lines = done.stdout.decode().splitlines()
        titles = ["no hogs", "polite hogs, preemption off", "polite hogs, preemption on",
                  "rude hogs, preemption on"]
        rows = lines[-len(titles):]
        time = r" +[\d.]+ (?:ns|us|ms|s)"
        for title, row in zip(titles, rows):
            found = re.match(re.escape(title) + 3 * time + 5 * r" +([\d,]+)", row)
            self.assertIsNotNone(found, row)
            rate, _, steps, demotions, hand_offs = (int(n.replace(",", "")) for n in found.groups())
            self.assertGreater(rate, 0, row)
            self.assertEqual(steps > 0, title != "no hogs", row)
            if title == "polite hogs, preemption off":
                self.assertEqual((demotions, hand_offs), (0, 0), row)
            if title.startswith("rude"):
                self.assertEqual(demotions, 0, row)
            if "(" in row:  # it ended early: this machine is slow
                self.assertIn(f" of {len(files)} files", row)
        self.assertEqual(run("--compare", "no/such/path").returncode, 1)


if __name__ == "__main__":
    TREE_INDEX = os.path.abspath(sys.argv.pop(1))
    sys.argv[1:] = [f"TreeIndexTest.test_{case}" for case in sys.argv[1:]]
    unittest.main()
