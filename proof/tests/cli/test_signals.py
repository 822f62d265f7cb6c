# SPDX-License-Identifier: MIT
"""Signals: each reaches the command once, whoever sent it and whatever sits between."""
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from harness import PAWL, PAWL_FLOCK, PATIENCE, clean_env, is_alive, reporter, wait_dead


def send_line(proc, text):
    proc.popen.stdin.write(text.encode() + b"\n")
    proc.popen.stdin.flush()


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH"])
def test_a_kill_of_pawl_reaches_the_command_once(sqlite, name):
    number = getattr(signal, "SIG" + name)
    fence = "USR2" if name != "USR2" else "CONT"
    proc = sqlite.start("run", "k", *reporter(name, fence), stdin=subprocess.PIPE)
    proc.expect("ready")
    proc.kill(number)
    proc.expect(f"{name} 1")
    # signals are passed on in order: after this one a second copy would have come
    proc.kill(getattr(signal, "SIG" + fence))
    assert proc.expect((name, fence)) == f"{fence} 1"
    send_line(proc, "exit 4")
    assert proc.wait() == 4


def test_a_command_that_dies_of_a_relayed_signal(sqlite):
    proc = sqlite.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGTERM
    assert not sqlite.show("k")["held"]


def test_the_whole_group_gets_it(sqlite):
    """A shell dies of TERM at once; what it was waiting for must not live on."""
    proc = sqlite.start("run", "k", "sh", "-c", "echo start; sleep 1000 & echo pid $!; wait")
    pid = int(proc.expect("pid").split()[1])
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGTERM
    wait_dead(pid)


def test_a_second_term_kills(sqlite):
    proc = sqlite.start("run", "k", *reporter("TERM"), stdin=subprocess.PIPE)
    proc.expect("ready")
    proc.kill(signal.SIGTERM)
    proc.expect("TERM 1")
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGKILL


def test_ignored_signals_stay_ignored(sqlite):
    """nohup pawl run ...: HUP ends neither the wait nor the command."""
    def nohup():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    holder = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    proc = sqlite.start("run", "k", *reporter("USR1"), stdin=subprocess.PIPE, preexec=nohup)
    sqlite.until_waiting("k", 1)
    proc.kill(signal.SIGHUP)
    holder.popen.stdin.close()
    proc.expect("ready")
    proc.kill(signal.SIGHUP)
    proc.kill(signal.SIGUSR1)
    proc.expect("USR1 1")
    send_line(proc, "exit 0")
    assert proc.wait() == 0


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM"])
def test_a_signal_while_waiting_leaves_the_queue(rig, name):
    number = getattr(signal, "SIG" + name)
    holder = rig.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    for verb in (["run", "k", "echo", "ran"], ["acquire", "k"], ["hold", "k"]):
        waiter = rig.start(*verb)
        rig.until_waiting("k", 1)
        waiter.kill(number)
        assert waiter.wait() == 128 + number
        assert waiter.line() == "" and waiter.errors() == ""
        rig.until_waiting("k", 0)
    holder.popen.stdin.close()
    assert holder.wait() == 0
    assert rig.run("run", "-n", "k", "true").code == 0


def test_killed_pawl_takes_its_command_along(rig):
    """SIGKILL of pawl: the kernel tells the command, and PAWL_FD ends."""
    proc = rig.start("run", "k", *reporter("TERM"), stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    proc.kill(signal.SIGKILL)
    seen = {proc.expect(("TERM 1", "fd end")), proc.expect(("TERM 1", "fd end"))}
    assert seen == {"TERM 1", "fd end"}
    send_line(proc, "exit 0")
    wait_dead(pid)


def test_death_of_a_holder_hands_over_at_once_on_sqlite(sqlite, capsys):
    """kill -9 of a holder: the next waiter has the lock within 50 ms (measured, bound generous)."""
    holder = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    waiter = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    sqlite.until_waiting("k", 1)
    killed = time.monotonic()
    holder.kill(signal.SIGKILL)
    waiter.expect("held")
    took_ms = (time.monotonic() - killed) * 1000
    with capsys.disabled():
        print(f"\nkill -9 of a holder on SQLite: the next waiter had it after {took_ms:.1f} ms")
    assert took_ms < 2000


def test_a_stopped_command_is_not_a_dead_one(sqlite):
    proc = sqlite.start("run", "-t", "1s", "k", *reporter("CONT"), stdin=subprocess.PIPE)
    pid = int(proc.expect("ready").split()[1])
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        assert sqlite.run("run", "-n", "k", "true").code == 75, "pawl goes on renewing"
    proc.kill(signal.SIGCONT)
    proc.expect("CONT 1")
    send_line(proc, "exit 3")
    assert proc.wait() == 3


# ---- On a terminal ----------------------------------------------------------------------------------

class Terminal:
    """pawl as the leader of a session with a terminal of its own; the pty is what a user types on."""

    def __init__(self, rig, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python's own
            os.execve(argv[0], argv, clean_env({"PAWL_STORE": rig.url}))
        self.text = b""
        self.status = None

    def expect(self, wanted, timeout=PATIENCE):
        """Reads until a whole line with `wanted` in it has come; returns the text so far."""
        until = time.monotonic() + timeout
        while wanted.encode() not in self.text or not self.text.endswith(b"\n"):
            left = until - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.text
            try:
                piece = os.read(self.fd, 4096)
            except OSError:  # EIO: everybody has gone
                piece = b""
            assert piece, self.text
            self.text += piece
        return self.text.decode()

    def type(self, data):
        os.write(self.fd, data)

    def wait(self):
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        return os.waitstatus_to_exitcode(self.status)

    def hang_up(self):
        """The window is closed, or the line is cut."""
        os.close(self.fd)
        self.fd = -1

    def end(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        if self.fd >= 0:
            os.close(self.fd)


@pytest.fixture
def terminal(sqlite):
    made = []

    def make(*argv):
        made.append(Terminal(sqlite, list(argv)))
        return made[-1]
    yield make
    for one in made:
        one.end()


@pytest.mark.parametrize("flags", [[], ["--foreground"]], ids=["shared", "foreground"])
def test_a_typed_interrupt_comes_once(terminal, flags):
    t = terminal(PAWL, "run", *flags, "k", *reporter("INT", "USR1"))
    t.expect("ready")
    # pawl stands still meanwhile: a second copy then comes alone, not merged with the first
    os.kill(t.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, t.pid, os.WSTOPPED)
    t.type(b"\x03")
    t.expect("INT 1")
    os.kill(t.pid, signal.SIGUSR1)  # passed on after anything that came before it
    os.kill(t.pid, signal.SIGCONT)
    text = t.expect("USR1 1")
    assert "INT 2" not in text
    t.type(b"exit 6\n")
    assert t.wait() == 6


@pytest.mark.parametrize("flags", [[], ["--foreground"]], ids=["shared", "foreground"])
def test_the_command_reads_the_terminal(terminal, flags):
    t = terminal(PAWL, "run", *flags, "k", *reporter())
    t.expect("ready")
    t.type(b"hello\n")
    t.expect("in hello")
    t.type(b"exit 0\n")
    assert t.wait() == 0


def test_a_kill_on_a_terminal_comes_once(terminal):
    t = terminal(PAWL, "run", "k", *reporter("TERM", "USR1"))
    t.expect("ready")
    os.kill(t.pid, signal.SIGTERM)
    t.expect("TERM 1")
    os.kill(t.pid, signal.SIGUSR1)
    assert "TERM 2" not in t.expect("USR1 1")
    t.type(b"exit 0\n")
    assert t.wait() == 0


def test_typed_interrupt_while_waiting(sqlite, terminal):
    holder = sqlite.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    t = terminal(PAWL, "run", "k", "echo", "ran")
    sqlite.until_waiting("k", 1)
    t.type(b"\x03")
    assert t.wait() == 130
    sqlite.until_waiting("k", 0)


SHELL_JOB = r"""
import os, signal, sys, time
# A shell with job control, reduced: one job in a group of its own, in the foreground.
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
tty = os.open("/dev/tty", os.O_RDWR)
os.tcsetpgrp(tty, os.getpgrp())
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(tty, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(job, os.WUNTRACED)
os.tcsetpgrp(tty, os.getpgrp())
print("stopped" if os.WIFSTOPPED(status) else "ended", flush=True)
input()
os.tcsetpgrp(tty, job)
os.killpg(job, signal.SIGCONT)
_, status = os.waitpid(job, os.WUNTRACED)
os.tcsetpgrp(tty, os.getpgrp())
print("status", os.WEXITSTATUS(status), flush=True)
"""


@pytest.mark.parametrize("flags", [[], ["--foreground"]], ids=["shared", "foreground"])
def test_job_control(terminal, flags):
    """^Z gives the terminal back to the shell; fg goes on as if nothing had been."""
    t = terminal(sys.executable, "-c", SHELL_JOB, PAWL, "run", *flags, "k", *reporter())
    t.expect("ready")
    t.type(b"\x1a")
    t.expect("stopped\r")
    t.type(b"\n")
    t.type(b"hello\n")
    t.expect("in hello")
    t.type(b"exit 8\n")
    t.expect("status 8")


BACKGROUND_JOB = r"""
import os, signal, sys
# A shell with job control, reduced: one job in a group of its own, in the background.
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
for line in sys.stdin:
    stopped = os.waitid(os.P_PID, job, os.WSTOPPED | os.WNOHANG) is not None
    print("job stopped" if stopped else "job runs", line.strip(), flush=True)
    if line.strip() == "end":
        break
os.kill(job, signal.SIGTERM)
"""


def test_a_hold_in_the_background_leaves_the_terminal_alone(sqlite, terminal):
    """The next key would stop it, and its lock would run out without a word."""
    t = terminal(sys.executable, "-c", BACKGROUND_JOB, PAWL, "hold", "-t", "1s", "k")
    t.expect("held ")
    began = time.monotonic()
    while time.monotonic() - began < 1.5:  # longer than its ttl
        t.type(b"x\n")
        t.expect("job runs x")
        t.text = b""
        assert sqlite.show("k")["held"]
    t.type(b"end\n")
    t.wait()
    sqlite.until_free("k")


FOREGROUND_ELSEWHERE = r"""
import os, sys, time
# A shell with job control, reduced: one job in a group of its own, in the background, which begins and
# then ends when it is told to. Whose is the terminal meanwhile, and afterwards?
tty = os.open("/dev/tty", os.O_RDWR)
begun, go_on = sys.argv[1:3]
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    script = 'touch "$0"; while [ ! -e "$1" ]; do sleep 0.02; done'
    os.execv(sys.argv[3], sys.argv[3:] + ["sh", "-c", script, begun, go_on])
while not os.path.exists(begun):
    time.sleep(0.02)
meanwhile = os.tcgetpgrp(tty) == os.getpgrp()
open(go_on, "w").close()
_, status = os.waitpid(job, 0)
print("ours", meanwhile, os.tcgetpgrp(tty) == os.getpgrp(), os.WEXITSTATUS(status), flush=True)
"""


def test_a_command_in_the_background_leaves_the_terminal_to_the_shell(terminal, tmp_path):
    """An interactive shell that loses it reads an error, and ends."""
    t = terminal(sys.executable, "-c", FOREGROUND_ELSEWHERE, str(tmp_path / "begun"),
                 str(tmp_path / "go on"), PAWL, "run", "--foreground", "k")
    assert "ours True True 0" in t.expect("ours")
    t.wait()


@pytest.mark.parametrize("words", [("run", "k"), ("run", "--foreground", "k"), ("lead", "k"),
                                   ("flock", "file")], ids=lambda words: "-".join(words))
def test_the_end_of_the_terminal_reaches_the_command(sqlite, terminal, tmp_path, words):
    """The kernel tells the leader of the session alone, which pawl is where a window or ssh runs it."""
    heard = tmp_path / "heard"
    # Not a line of text: whoever writes to a terminal that is gone gets an error.
    command = ["sh", "-c", 'trap \'touch "$0"; exit 3\' HUP; echo ready; while :; do sleep 0.02; done',
               str(heard)]
    if words[0] == "flock":
        t = terminal("/usr/bin/env", "PAWL_STORE=", PAWL_FLOCK, str(tmp_path / "file"), *command)
    else:
        t = terminal(PAWL, *words, *command)
    t.expect("ready")
    t.hang_up()
    until = time.monotonic() + PATIENCE
    while not heard.exists():
        assert time.monotonic() < until, "the command was not told"
        time.sleep(0.02)
    assert t.wait() in (3, 128 + signal.SIGHUP)  # lead tells by which signal it ended
    if words[0] != "flock":
        sqlite.until_free("k")


def shell_on_a_terminal(terminal, flags):
    """A shell whose job pawl is; the command notes each TERM, and dies of KILL only."""
    stubborn = "trap 'echo term' TERM; echo command $$ $PPID; while :; do read x; done"
    script = f'{PAWL} run -t 2s {flags} k sh -c "$1" & echo pawl $!; wait $!; echo code $?; read end'
    t = terminal("/bin/sh", "-c", script, "sh", stubborn)
    pids = {}
    for line in t.expect("command").splitlines():
        words = line.split()
        if words and words[0] in ("pawl", "command"):
            pids[words[0]] = int(words[1])
    return t, pids


def test_the_guardian_stops_a_command_on_a_terminal(sqlite, terminal):
    """It has no group of its own there, and gets both TERM and KILL all the same."""
    t, pids = shell_on_a_terminal(terminal, "-g 300ms")
    os.kill(pids["pawl"], signal.SIGKILL)
    text = t.expect("SIGKILL to the command")
    assert "term" in text.splitlines()
    wait_dead(pids["command"])
    sqlite.until_free("k")


def test_the_commands_own_kill_comes_in_time_on_a_terminal(sqlite, terminal):
    """The lock is broken; the command ignores TERM and has nothing below it."""
    t, pids = shell_on_a_terminal(terminal, "-g 300ms")
    assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
    text = t.expect("code 76")
    assert "term" in text.splitlines() and "SIGKILL to the command" in text
    wait_dead(pids["command"])


def test_a_second_term_kills_on_a_terminal(sqlite, terminal):
    t, pids = shell_on_a_terminal(terminal, "-g 300ms")
    os.kill(pids["pawl"], signal.SIGTERM)
    t.expect("term")
    os.kill(pids["pawl"], signal.SIGTERM)
    t.expect("code 137")
    wait_dead(pids["command"])


def test_loss_on_a_terminal_reaches_all_and_spares_the_neighbours(sqlite, terminal):
    """The command shares our group there: what else is in it must survive."""
    stubborn = ("trap 'echo term' TERM; sleep 1000 & echo command $$; echo inner $!; "
                "while :; do wait; done")
    script = ("sleep 1000 & echo neighbour $!; "
              f'{PAWL} run -t 600ms k sh -c "$1"; echo code $?; read x')
    t = terminal("/bin/sh", "-c", script, "sh", stubborn)
    text = t.expect("inner")
    pids = {w[0]: int(w[1]) for w in (line.split() for line in text.splitlines()) if len(w) == 2}
    assert sqlite.run("break", "k", "--fence", sqlite.show("k")["fence"]).code == 0
    assert "term" in t.expect("code 76"), "the command itself is asked first"
    wait_dead(pids["command"])
    wait_dead(pids["inner"])
    assert is_alive(pids["neighbour"])
    os.kill(pids["neighbour"], signal.SIGKILL)
    t.type(b"\n")
    t.wait()
