# SPDX-License-Identifier: MIT
"""Processes that tests start, talk to, and always end.

Nothing here sleeps to synchronise: a test waits for a line, for the end of a
process, or for an answer of the store, and fails loudly after PATIENCE seconds.
"""
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

BUILD = Path(os.environ.get("PAWL_BUILD", "build"))
PAWL = str(BUILD / "pawl")
PAWL_FLOCK = str(BUILD / "pawl-flock")
PATIENCE = 30.0

# Whoever runs the tests may have been started by nohup, or in the background by a shell that
# ignores ^C: what is ignored stays ignored in all children. Tests are about signals, so each
# process begins as on a terminal. Python ignores the last two by itself and gives those back.
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
               signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD,
               signal.SIGWINCH, signal.SIGALRM):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_SETMASK, [])

# What a sanitizer prints; a test never takes it for a message of pawl's.
SANITIZER = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def clean_env(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAWL_")}
    env.pop("SHELL", None)
    env.update(extra or {})
    return env


def preloaded(name, extra=None):
    """The environment of a pawl that has this module of ours before the libraries."""
    return {"LD_PRELOAD": str(BUILD / f"proof/tests/cli/pawl-test-{name}.so"), **(extra or {}),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def slow(call, how):
    """The environment in which this call of pawl's takes so long; see slow.c."""
    return preloaded("slow", {call: str(how)})


def check_sanitizers(text):
    for word in SANITIZER:
        assert word not in text, text


class Proc:
    """A process whose stdout is read line by line."""

    def __init__(self, argv, env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                 pass_fds=(), new_session=True, preexec=None, cwd=None):
        self.popen = subprocess.Popen(
            argv, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr,
            pass_fds=pass_fds, start_new_session=new_session, preexec_fn=preexec, cwd=cwd)
        self.pid = self.popen.pid
        self.buffer = b""

    def line(self, timeout=PATIENCE):
        """The next line of stdout, without its newline; "" at the end."""
        until = time.monotonic() + timeout
        out = self.popen.stdout.fileno()
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise AssertionError(f"no line within {timeout} s; so far {self.buffer!r}")
            piece = os.read(out, 65536)
            if not piece:
                line, self.buffer = self.buffer, b""
                return line.decode()
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def expect(self, beginning, timeout=PATIENCE):
        """Reads up to and with the line that begins so, and returns it."""
        until = time.monotonic() + timeout
        while True:
            line = self.line(max(0.01, until - time.monotonic()))
            if line.startswith(beginning):
                return line
            assert line, f"ended before a line {beginning!r}: {self.errors()}"

    def say(self, text):
        """Writes to its stdin; it may have ended meanwhile."""
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.write(text)
            self.popen.stdin.flush()

    def kill(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=PATIENCE):
        """The exit code; a death by signal is negative."""
        return self.popen.wait(timeout)

    def errors(self):
        return self.popen.stderr.read().decode() if self.popen.stderr else ""

    def unread_errors(self):
        """What it has written to stderr and nobody has read. Whatever inherited the pipe may hold it
        open: this does not wait for its end."""
        if not self.popen.stderr or self.popen.stderr.closed:
            return ""
        os.set_blocking(self.popen.stderr.fileno(), False)
        return (self.popen.stderr.read() or b"").decode(errors="replace")

    def end(self):
        """Kills it if it still runs. A report of a sanitizer that no test has read fails here."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
            self.popen.wait()
        unread = self.unread_errors()
        self.close_streams()
        check_sanitizers(unread)

    def close_streams(self):
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            with contextlib.suppress(BrokenPipeError):  # what was not read by a process that is gone
                if stream:
                    stream.close()


class Rig:
    """One store, and everything that a test starts on it."""

    def __init__(self, url, tmp):
        self.url = url
        self.tmp = tmp
        self.procs = []

    def env(self, extra=None):
        env = clean_env({"PAWL_STORE": self.url, "PYTHONUNBUFFERED": "1"})
        env.update(extra or {})
        return env

    def start(self, *argv, env=None, program=PAWL, **options):
        proc = Proc([program, *map(str, argv)], self.env(env), **options)
        self.procs.append(proc)
        return proc

    def run(self, *argv, env=None, program=PAWL, timeout=PATIENCE, text=True, **options):
        """Runs to its end. The result has .code, .out, .err."""
        options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
        if options["stdin"] is None:
            del options["stdin"]
        done = subprocess.run(
            [program, *map(str, argv)], env=self.env(env), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=timeout, start_new_session=True, **options)
        err = done.stderr.decode()
        check_sanitizers(err)
        done.code, done.err = done.returncode, err
        done.out = done.stdout.decode() if text else done.stdout
        return done

    def show(self, key):
        done = self.run("show", key, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    def until(self, key, accept, timeout=PATIENCE):
        """Asks the store until the answer is accepted."""
        until = time.monotonic() + timeout
        while True:
            seen = self.show(key)
            if accept(seen):
                return seen
            assert time.monotonic() < until, f"never came to pass: {seen}"

    def until_waiting(self, key, count=1):
        return self.until(key, lambda seen: seen["waiting"] == count)

    def until_free(self, key):
        return self.until(key, lambda seen: not seen["held"])

    def close(self):
        with contextlib.ExitStack() as ends:  # all of them, also after one that fails
            for proc in self.procs:
                ends.callback(proc.end)


class RedisServer:
    """A private redis-server on a unix socket."""

    def __init__(self, tmp, *options):
        self.socket = str(tmp / "redis.sock")
        self.command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                        "--appendonly", "no", "--dir", str(tmp), *options]
        self.start()

    def start(self):
        self.popen = subprocess.Popen(self.command, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
        for line in self.popen.stdout:
            if b"ready to accept connections" in line.lower():
                return
        raise AssertionError("redis-server did not start")

    @property
    def url(self):
        return f"redis+unix://{self.socket}"

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], check=True,
                              stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode().strip()

    def stop(self):
        self.popen.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WNOWAIT)

    def cont(self):
        self.popen.send_signal(signal.SIGCONT)

    def end(self):
        if self.popen.poll() is None:
            self.cont()
            self.popen.kill()
            self.popen.wait()
        self.popen.stdout.close()


def wait_dead(pid, timeout=PATIENCE):
    """Waits for the end of a process that need not be our child. Returns when it was seen."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return time.monotonic()
    try:
        assert select.select([fd], [], [], timeout)[0], f"process {pid} is still alive"
        return time.monotonic()
    finally:
        os.close(fd)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# A command that reports what it hears, one line each: "ready PID", "TERM 1", "fd lost" ...
# It ends when its stdin says "exit N". Arguments: signals that it counts and survives.
REPORTER = r"""
import os, select, signal, sys
counts = {}
wake_r, wake_w = os.pipe()
os.set_blocking(wake_w, False)
signal.set_wakeup_fd(wake_w)   # one that comes just before select() ends it, too
def say(text):
    os.write(1, (text + "\n").encode())
def heard(number, frame):
    counts[number] = counts.get(number, 0) + 1
    say(f"{signal.Signals(number).name[3:]} {counts[number]}")
for name in sys.argv[1:]:
    signal.signal(getattr(signal, "SIG" + name), heard)
events = int(os.environ.get("PAWL_FD", "-1"))
watched = [0, wake_r] + ([events] if events >= 0 else [])
say(f"ready {os.getpid()}")
while True:
    for fd in select.select(watched, [], [])[0]:
        data = os.read(fd, 4096)
        if fd == wake_r:
            continue
        data = data.decode()
        for line in data.splitlines():
            if fd == events:
                say("fd " + line)
            elif line.startswith("exit"):
                sys.exit(int(line.split()[1]))
            else:
                say("in " + line)
        if not data:
            watched.remove(fd)
            say("fd end" if fd == events else "in end")
"""


def reporter(*signals):
    return [sys.executable, "-c", REPORTER, *signals]


# A process in a session of its own that ignores TERM: argument "daemon" makes it one, by forking
# twice, "child" leaves it below the command; "fork" gives it a child of its own; "grows": its size changes
# all the time.
LONER = """
import mmap, os, random, signal, sys, time
words = sys.argv[1:]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ready, done = os.pipe()
if os.fork() == 0:
    os.setsid()
    parent = os.getpid()
    if "daemon" in words and os.fork() != 0:
        os._exit(0)
    while "daemon" in words and os.getppid() == parent:   # until it has lost its parent
        pass
    for i in range(1 + ("fork" in words)):
        if i == 0 or os.fork() == 0:
            os.write(1, f"pid {os.getpid()}\\n".encode())
    os.close(done)
    while "grows" in words:
        room = mmap.mmap(-1, mmap.PAGESIZE * random.randint(1, 10000))
        time.sleep(0.001)
    while True:
        signal.pause()
os.close(done)
os.read(ready, 1)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def start_loners(rig, run_flags, *words, prefix=(), **options):
    """pawl, and the processes that left the command's session."""
    proc = rig.start("run", *run_flags, "k", *prefix, sys.executable, "-c", LONER, *words, **options)
    pids = []
    while not (line := proc.expect(("pid", "ready"))).startswith("ready"):
        pids.append(int(line.split()[1]))
    if "fork" in words and len(pids) < 2:
        pids.append(int(proc.expect("pid").split()[1]))
    return proc, pids
