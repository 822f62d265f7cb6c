# SPDX-License-Identifier: MIT
"""pawl top by what it draws: a terminal of the test's own reads it (pyte), and types."""
import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from harness import BUILD, PATIENCE, PAWL, Rig, clean_env
from swallow import Swallow

pyte = pytest.importorskip("pyte", reason="python3-pyte is not installed: pawl top was not drawn")
pytestmark = pytest.mark.skipif(not (BUILD / "pawl-top").exists(), reason="pawl-top was not built")

DOWN, ENTER, ESC = "\x1bOB", "\r", "\x1b"


class Terminal:
    def __init__(self, rig, *words, columns=100, rows=20):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = rig.env({"TERM": "vt100", "LC_ALL": "C.UTF-8"})
        self.popen = subprocess.Popen([PAWL, "top", "-i", "250ms", *words], env=env, stdin=slave, stdout=slave,
                                      stderr=slave, start_new_session=True)
        os.close(slave)

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.popen.send_signal(signal.SIGWINCH)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, timeout):
        """What has come meanwhile; False at the end."""
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        piece = b""
        with contextlib.suppress(OSError):  # its end of the terminal is closed
            piece = os.read(self.master, 65536)
        self.raw += piece
        self.stream.feed(piece)
        return bool(piece)

    def until(self, accept, what=None):
        """Reads until the picture is accepted; returns its lines."""
        end = time.monotonic() + PATIENCE
        while not accept(self.screen.display):
            goes_on = self.read(0.1)
            assert goes_on and time.monotonic() < end, f"never {what}:\n" + "\n".join(self.screen.display)
        return self.screen.display

    def shows(self, *patterns, without=None):
        """Until each stands in one line, and `without` in none; the lines. The picture may come in pieces."""
        def accept(lines):
            if without and any(re.search(without, line) for line in lines):
                return False
            return all(any(re.search(p, line) for line in lines) for p in patterns)
        return self.until(accept, patterns)

    def order(self, *names):
        """Until these lines of the table stand in this order."""
        def accept(lines):
            keys = [line.split()[0] for line in lines[3:-1] if line.strip()]
            return keys == list(names)
        return self.until(accept, names)

    def end(self):
        self.popen.kill()
        self.popen.wait()
        os.close(self.master)


@pytest.fixture
def watching():
    terminals = []

    def start(rig, *words, **options):
        terminals.append(Terminal(rig, *words, **options))
        return terminals[-1]
    yield start
    for terminal in terminals:
        terminal.end()


def holds(rig, *words):
    proc = rig.start("run", *words, "sh", "-c", "echo held; cat", stdin=subprocess.PIPE)
    proc.expect("held")
    return proc


def test_held_and_waiting(rig, watching):
    holds(rig, "a:1")
    holds(rig, "-s", "b:1")
    holds(rig, "-s", "b:1")
    rig.start("run", "a:1", "true")
    rig.until_waiting("a:1")
    top = watching(rig)
    top.shows(r"1 held 2 .* 2 waiting 1 .* 3 hot 0 .* 4 lost 0", r"^a:1 +exclusive +\w+@", r"^b:1 +shared x2 ",
              r"^pawl top .* as of \S+ ago, asked in \S+ *$")
    top.type("2")
    top.shows(r"^KEY +WAITING +OLDEST +HOLDER +LEFT", r"^a:1 +1 +\S+ +\w+@", without=r"^b:1")
    top.type("q")
    assert top.popen.wait(PATIENCE) == 0


def test_sort_filter_and_details(sqlite, watching):
    for key in ("b", "c", "a"):
        holds(sqlite, key)
    sqlite.start("run", "c", "true")
    sqlite.until_waiting("c")
    top = watching(sqlite)
    top.order("a", "b", "c")
    top.type("s")
    top.shows("sort: age")
    top.type("ss")
    top.shows("sort: waiting")
    top.order("c", "a", "b")
    top.type("/b" + ENTER)
    top.order("b")
    top.shows("filter: b")
    top.type("/\x7fc" + ENTER)
    top.order("c")
    top.type(ENTER)
    top.shows(r"^key +c", r"^state +held", r"^waiting +1", r"^ +1 +\w+@.*its place lasts")
    sqlite.start("run", "c", "true")
    top.until(lambda lines: [line[:10].strip() for line in lines if re.match(r"key |waiting +2", line)]
              == ["key", "waiting"], "details once")
    top.type(ESC)
    top.order("c")


def test_the_mark_stays_with_its_lock(sqlite, watching):
    first = holds(sqlite, "a")
    holds(sqlite, "b")
    holds(sqlite, "c")
    top = watching(sqlite)
    top.order("a", "b", "c")
    top.type(DOWN)
    first.popen.stdin.close()
    assert first.wait() == 0
    top.order("b", "c")
    top.type(ENTER)
    top.shows(r"^key +b", r"^holders +1")


def test_a_prefix_is_all_that_is_asked_for(sqlite, watching):
    holds(sqlite, "a:1")
    holds(sqlite, "b:1")
    watching(sqlite, "b:").order("b:1")


def test_hot_counts_other_holders(sqlite, watching):
    first = holds(sqlite, "k")
    top = watching(sqlite)
    top.order("k")
    first.popen.stdin.close()
    assert first.wait() == 0
    holds(sqlite, "k")
    top.type("3")
    top.shows(r"^KEY +CHANGES", r"^k +1 +0 ")


def test_broken_with_the_wrong_and_the_right_fence(rig, watching):
    holder = holds(rig, "-t", "3s", "k")
    top = watching(rig)
    top.order("k")
    fence = rig.show("k")["fence"]
    top.type("b7" + ENTER)
    top.shows("not broken: k: that is not its fence")
    assert rig.show("k")["held"]
    top.type("b")
    top.shows(f"to break k type its fence, {fence}:")
    top.type(f"{fence}{ENTER}")
    top.shows("^broken: k")
    assert holder.wait() == 76
    top.type("4")
    top.shows(r"^KEY +FENCE +AGO +BROKEN BY", rf"^k +{fence} +\S+ +\w+@.* pawl-top|^k +{fence} +\S+ +\w+@", "4 lost 1")


def test_a_break_without_an_answer_is_unknown(redis, watching, tmp_path):
    holder = holds(redis, "k")
    fence = redis.show("k")["fence"]
    assert redis.run("break", "k", "--fence", str(fence + 1)).returncode == 76  # now the server knows the script
    between = Swallow(str(tmp_path / "between.sock"), redis.server.socket)
    far = Rig("redis+unix://" + between.path, tmp_path)
    try:
        top = watching(far, "--store-timeout", "500ms", columns=200)
        top.order("k")
        between.words = b"\r\n" + str(fence).encode() + b"\r\n"
        top.type(f"b{fence}{ENTER}")
        top.shows(r"^unknown whether broken: k: \S+", without="not broken")
        assert between.swallowed and holder.wait() == 76  # it was done, as it happens
    finally:
        between.close()
        far.close()


def test_readonly_breaks_nothing(sqlite, watching):
    holds(sqlite, "k")
    top = watching(sqlite, "--readonly")
    top.order("k")
    top.shows("Space pause  q quit", without="b break")
    top.type("b" + "2")
    top.shows("WAITING +OLDEST")  # b did nothing, 2 was a tab
    assert sqlite.show("k")["held"]


def test_pause_asks_nothing(redis, watching):
    holds(redis, "k")
    top = watching(redis)
    top.order("k")
    top.type(" ")
    top.shows(r"PAUSED, as of [1-9][\d.]*s ago")
    holds(redis, "l")
    before = redis.server.cli("info", "commandstats")
    top.shows(r"PAUSED, as of [2-9][\d.]*s ago")
    scans = re.compile(r"cmdstat_scan:calls=(\d+)")
    assert scans.search(before).group(1) == scans.search(redis.server.cli("info", "commandstats")).group(1)
    top.order("k")
    top.type(" ")
    top.shows("^k ", "^l ")


def test_a_store_that_is_gone_is_shown_as_unknown(redis, watching):
    holds(redis, "k")
    top = watching(redis, columns=250)
    top.order("k")
    redis.server.end()
    top.shows(r"1 held \? .* 2 waiting \? .* 3 hot \?", r"\? nothing is known now: .*redis.sock", without="^k ")
    redis.server.start()
    top.shows("1 held 0 ")


def test_the_mark_and_the_details_outlast_an_outage(redis, watching):
    for name in "klm":
        holds(redis, "-t", "10m", name)
    top = watching(redis, columns=150)
    top.order("k", "l", "m")
    top.type(DOWN)
    away = redis.server.socket + ".away"

    def out(*shown):
        os.rename(redis.server.socket, away)
        for kind in ("normal", "pubsub"):
            subprocess.run(["redis-cli", "-s", away, "client", "kill", "type", kind], check=True, timeout=PATIENCE,
                           stdout=subprocess.DEVNULL)
        top.shows(*shown)
        os.rename(away, redis.server.socket)
    out("nothing is known now")
    top.order("k", "l", "m")
    top.type(ENTER)
    top.shows(r"^key +l", r"^state +held")
    out(r"^key +l", r"^state +\?  \(.*redis", r"1 held \?")
    top.shows(r"^key +l", r"^state +held", "1 held 3")


def test_details_stay_with_their_lock(sqlite, watching):
    holder = holds(sqlite, "k")
    holds(sqlite, "l")
    top = watching(sqlite)
    top.order("k", "l")
    top.type(ENTER)
    top.shows(r"^key +k", r"^state +held")
    holder.popen.stdin.close()
    top.shows(r"^key +k", r"^state +free", "1 held 1")
    holds(sqlite, "m")
    top.shows(r"^key +k", r"^state +free", "1 held 2")  # a later look: k is in no list any more
    top.type(ESC)
    top.order("l", "m")


FORGED = "a\x1b]0;owned\x07\x1b[2J\u202egnp\nnew line"


def test_names_and_labels_are_shown_escaped(sqlite, watching):
    holds(sqlite, "--owner", "x\u202ey", FORGED)
    top = watching(sqlite, columns=140)
    top.shows(r"^a\\x1b\]0;owned\\x07\\x1b\[2J\\xe2\\x80\\xaegnp\\x0anew line")
    top.type(ENTER)
    top.shows(r"^key +a\\x1b\]0;owned")
    assert b"\x1b]0;" not in top.raw and "\u202e".encode() not in top.raw


def test_long_and_wide_names_stay_in_their_column(sqlite, watching):
    holds(sqlite, "锁" * 40)
    holds(sqlite, "x" * 300)
    top = watching(sqlite, columns=80)
    top.shows(r"^锁")
    for line in top.shows(r"^x+\$ exclusive", r"^(锁 ?)+ *\$ exclusive")[:-1]:
        assert len(line) <= 80


def test_a_narrow_terminal_and_one_that_changes(sqlite, watching):
    """What does not fit is cut off; the key is there in any width, and nothing breaks."""
    holds(sqlite, "nightly")
    sqlite.start("run", "nightly", "true")
    sqlite.until_waiting("nightly")
    top = watching(sqlite, columns=30, rows=6)
    top.shows(r"^nightly +exclusive", r"^KEY +MODE")
    top.type(ENTER)
    top.shows(r"^key +nightly", r"^state +held")
    top.type(ESC)
    top.resize(12, 5)
    top.shows(r"^nightly", r"^1-4 tab", without="exclusive")
    top.type("2s")
    top.shows(r"^nightly", r"^KEY")
    top.resize(12, 3)  # no room for the table
    top.type("/n" + ENTER + ENTER + ESC)
    top.resize(100, 10)
    top.shows(r"^nightly +1 +\S+ +\w+@", r"2 waiting 1 .* filter: n", r"^KEY +WAITING +OLDEST +HOLDER +LEFT")
    top.type("q")
    assert top.popen.wait(PATIENCE) == 0


def test_a_label_that_tells_nothing_is_shown_as_unknown(redis, watching):
    """A lock of somebody else's has no fence that says since when, and no label."""
    redis.server.cli("SET", "pawl:theirs", "x", "PX", "600000")
    top = watching(redis, columns=120)
    top.shows(r"^theirs +exclusive +\(not pawl\) +\? +9m\d+s ")
    top.type(ENTER)
    top.shows(r"^key +theirs", r"^state +held, not by pawl", r"^since +\?")


def test_a_terminal_that_goes_ends_it(sqlite, watching):
    """Without a SIGHUP, as under nohup: it would ask for keys again and again."""
    top = watching(sqlite)
    top.shows("1 held 0")
    os.close(top.master)
    top.master = os.open(os.devnull, os.O_RDONLY)
    assert top.popen.wait(PATIENCE) == 71


def test_without_a_terminal(sqlite):
    done = sqlite.run("top")
    assert done.code == 64 and done.out == "" and "pawl stat" in done.err and done.err.count("\n") == 1
    done = subprocess.run([BUILD / "pawl-top", "--help"], env=clean_env(), check=True, timeout=PATIENCE,
                          stdout=subprocess.PIPE)
    assert b"usage: pawl top" in done.stdout
