# SPDX-License-Identifier: MIT
"""run: what the command gets, and what its end becomes."""
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from harness import PATIENCE, PAWL, clean_env, reporter


# ---- Exit codes -------------------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 1, 2, 75, 76, 126, 200, 255])
def test_the_commands_exit_code_is_ours(sqlite, code):
    assert sqlite.run("run", "k", "sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize("name", ["TERM", "KILL", "INT", "SEGV"])
def test_a_death_by_signal_is_128_and_the_signal(sqlite, name):
    assert sqlite.run("run", "k", "sh", "-c", f"ulimit -c 0; kill -{name} $$").code == \
        128 + getattr(signal, "SIG" + name)


def test_what_cannot_be_executed(rig):
    (rig.tmp / "plain").write_text("not executable")
    for words, code in [(["no-such-command-at-all"], 127), (["/no/such"], 127),
                        ([rig.tmp / "plain"], 126), ([rig.tmp], 126)]:
        done = rig.run("run", "k", *words)
        assert done.code == code, (words, done.code, done.err)
        assert done.err.startswith("pawl: cannot run ") and done.err.count("\n") == 1
        assert not rig.show("k")["held"], "nothing stays held"


def test_busy_and_its_code(rig):
    holder = rig.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    for words, code in [(["-n"], 75), (["-w", "0"], 75), (["-w", "500ms"], 75),
                        (["-w", "500ms", "-E", "0"], 0), (["-n", "-E", "201"], 201)]:
        done = rig.run("run", *words, "k", "echo", "ran")
        assert done.code == code and done.out == ""
        assert done.err.startswith("pawl: k: ") and done.err.count("\n") == 1, done.err
    holder.popen.stdin.close()
    assert holder.wait() == 0
    assert rig.run("run", "-n", "k", "echo", "ran").out == "ran\n"


def test_busy_is_silent_for_who_expects_it(rig):
    """A crontab's line with -n -E 0 must not mail on each skip, as with flock."""
    holder = rig.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    done = rig.run("run", "-n", "-E", "0", "k", "echo", "ran")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert "busy" in rig.run("-v", "run", "-n", "-E", "0", "k", "echo", "ran").err


def test_a_wait_that_runs_out_takes_as_long_as_it_said(rig):
    holder = rig.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    began = time.monotonic()
    assert rig.run("run", "-w", "0.4", "k", "true").code == 75
    took = time.monotonic() - began
    assert 0.39 <= took < 10
    rig.until("k", lambda seen: seen["waiting"] == 0)


# ---- What the command gets -------------------------------------------------------------------

def test_the_environment(rig):
    done = rig.run("run", "-t", "7s", "--owner", "me and you", "some key", "sh", "-c",
                   "env; cat /proc/self/environ >/dev/null")
    env = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
    assert env["PAWL_KEY"] == "some key"
    assert int(env["PAWL_FENCE"]) > 0
    assert len(env["PAWL_TOKEN"]) == 40 and int(env["PAWL_TOKEN"], 16) >= 0
    assert env["PAWL_MODE"] == "exclusive"
    assert env["PAWL_TTL_MS"] == "7000"
    assert env["PAWL_OWNER"] == "me and you"
    assert env["PAWL_STORE"] == rig.url
    assert 3 <= int(env["PAWL_FD"]) <= 9
    assert env["PAWL_HELD"].startswith("some%20key@")
    again = rig.run("run", "some key", "sh", "-c", "echo $PAWL_FENCE")
    assert int(again.out) > int(env["PAWL_FENCE"])


def test_from_nothing_the_environment_is_pawls_alone(sqlite):
    done = subprocess.run([PAWL, "-S", sqlite.url, "run", "k", shutil.which("env")], env={},
                          stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
    names = [line.split(b"=")[0] for line in done.stdout.splitlines()]
    assert b"PAWL_KEY" in names and all(name.startswith(b"PAWL_") for name in names), names


def test_no_token_and_no_descriptor(sqlite):
    hidden = sqlite.run("run", "--no-token", "k", "env").out
    assert "PAWL_TOKEN" not in hidden and "PAWL_FENCE=" in hidden
    assert "PAWL_FD" not in sqlite.run("run", "-o", "k", "env").out
    # an outer token is not an inner one's
    nested = sqlite.run("run", "a", PAWL, "run", "--no-token", "-o", "b", "env").out
    assert "PAWL_TOKEN" not in nested and "PAWL_FD" not in nested and "PAWL_KEY=b\n" in nested


def test_a_password_never_reaches_the_commands_environment(server, redis):
    server.cli("CONFIG", "SET", "requirepass", "s3cret")
    url = f"redis+unix://:s3cret@{server.socket}"
    done = redis.run("-S", url, "run", "k", "env", env={"PAWL_STORE": url})
    assert done.code == 0, done.err
    assert "s3cret" not in done.out and "PAWL_STORE=" in done.out
    assert f"PAWL_HELD=k@redis+unix://:***@{server.socket}" in done.out.splitlines()
    assert "s3cret" not in redis.run("-S", url, "-v", "run", "k", "true").err
    # the way for commands that need the store: the URL in a file
    (redis.tmp / "url").write_text(url)
    done = redis.run("-S", f"@{redis.tmp}/url", "run", "k", "sh", "-c", f"env; {PAWL} check")
    assert done.code == 0 and "s3cret" not in done.out


def test_a_password_from_a_file_or_the_environment_is_not_passed_on(server, redis):
    server.cli("CONFIG", "SET", "requirepass", "s3cret")
    file = redis.tmp / "password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    given = {"PAWL_REDIS_PASSWORD": "s3cret"}
    done = redis.run("-v", "run", "k", "env", env=given)
    assert done.code == 0, done.err
    assert "PAWL_REDIS_PASSWORD" not in done.out and "s3cret" not in done.out + done.err
    for words in (["ls"], ["show", "k"], ["doctor"], ["doctor", "--json"]):
        done = redis.run("-v", *words, env=given)
        assert "s3cret" not in done.out + done.err
    # the way for commands that need the store: the file, which the URL names
    url = f"redis+unix://{server.socket}?password_file={file}"
    done = redis.run("-v", "-S", url, "run", "k", "sh", "-c", f"env; {PAWL} check")
    assert done.code == 0 and "s3cret" not in done.out + done.err, done.err


def ways_to_a_password(redis):
    """What names a store with a password so that a command finds it: flags, descriptors."""
    url = f"redis+unix://:s3cret@{redis.server.socket}"
    for name, text in (("url", url + "\n"), ("app.conf", f"pawlstore = {url}\n"), ("pw", "s3cret")):
        (redis.tmp / name).write_text(text)
        (redis.tmp / name).chmod(0o600)
    read, write = os.pipe()
    os.write(write, (url + "\n").encode())
    os.close(write)
    file = os.open(redis.tmp / "url", os.O_RDONLY)
    yield ["-S", "@url"], ()
    yield ["-S", f"@/dev/fd/{file}"], (file,)
    yield ["-S", f"@/dev/fd/{read}"], (read,)
    yield ["--config", "app.conf"], ()
    yield ["-S", f"redis+unix://default@{redis.server.socket}?password_file={redis.tmp}/pw"], ()
    os.close(read)
    os.close(file)


def test_a_command_finds_a_store_with_a_password(server, redis):
    """Also one that has changed its directory, and inside another one; the secret is nowhere."""
    server.cli("CONFIG", "SET", "requirepass", "s3cret")
    inner = f"cd / && {PAWL} check && env"
    outer = f"cd /dev && {PAWL} run inner sh -c '{inner}' && {PAWL} check && echo found"
    for words, descriptors in ways_to_a_password(redis):
        env = {"PAWL_STORE": "", "PAWL_CONFIG": "none.conf"}
        done = redis.run(*words, "run", "outer", "sh", "-c", outer, env=env, cwd=redis.tmp,
                         pass_fds=descriptors)
        assert done.code == 0 and done.out.endswith("found\n"), (words, done.err)
        assert "s3cret" not in done.out + done.err


def test_a_url_from_stdin_is_no_input_of_the_command(redis):
    done = redis.run("-S", "@/dev/stdin", "run", "k", "cat", input=f"{redis.url}\n".encode())
    assert done.code == 0 and done.out == "", done.err


def test_what_the_library_hides_is_hidden_from_the_command(server, redis):
    """One rule of what could be a password: here the path of the socket looks like one."""
    (redis.tmp / "of:hunter2@h").symlink_to(server.socket)
    url = f"redis+unix://{redis.tmp}/of:hunter2@h"
    done = redis.run("-S", url, "-v", "run", "k", "sh", "-c", "echo $PAWL_STORE",
                     env={"PAWL_STORE": "sqlite:/none"})
    assert done.code == 0 and "hunter2" not in done.err, done.err
    assert done.out == f"redis+unix://{redis.tmp}/of:***@h\n"


def test_a_starred_url_is_no_url(server, redis):
    """What a run leaves of a password must never be tried on the server."""
    server.cli("CONFIG", "SET", "requirepass", "s3cret")
    url = f"redis+unix://:s3cret@{server.socket}"
    done = redis.run("-S", url, "run", "k", PAWL, "run", "other", "echo", "ran")
    assert done.code == 78 and done.out == "" and "@FILE" in done.err, done.err
    assert server.cli("-a", "s3cret", "ACL", "LOG") == ""


def test_relative_stores_are_the_same_elsewhere(sqlite):
    """The command changes its directory, and asks for the lock that it runs under."""
    odd = sqlite.tmp / "a b%41?"
    odd.mkdir()
    (odd / "url").write_text("sqlite:from-file.db\n")
    script = f'cd / && "{PAWL}" check && echo "$PAWL_STORE"'
    for given in ("sqlite:rel.db", "sqlite:rel.db?mode=0600", "@url"):
        done = sqlite.run("run", "k", "sh", "-c", script, env={"PAWL_STORE": given}, cwd=odd)
        assert done.code == 0, done.err
        expected = f"@{odd}/url" if given == "@url" else "/a%20b%2541%3F/rel.db"
        assert expected in done.out, done.out
    assert (odd / "rel.db").exists() and (odd / "from-file.db").exists()


def test_stdin_stdout_stderr_are_the_commands(sqlite):
    data = os.urandom(1 << 20)
    done = sqlite.run("run", "k", "sh", "-c", "cat; echo to stderr >&2", input=data, text=False)
    assert done.stdout == data and done.err == "to stderr\n"


def test_the_command_inherits_our_files_and_none_of_pawls(rig):
    spare = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(spare, True)
    try:
        done = rig.run("run", "k", "sh", "-c", "ls -l /proc/$$/fd; echo $PAWL_FD",
                       pass_fds=[spare])
    finally:
        os.close(spare)
    lines = done.out.splitlines()
    events = int(lines[-1])
    links = dict(line.split()[-3::2] for line in lines if " -> " in line)
    assert set(map(int, links)) == {0, 1, 2, spare, events}, done.out
    assert links[str(spare)] == "/dev/zero" and links[str(events)].startswith("pipe:")


def test_closed_standard_descriptors_stay_closed_and_nothing_takes_their_place(rig):
    out = rig.tmp / "open"
    script = f'r=; for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && r="$r$n"; done; echo "[$r]" >{out}'

    def close_all():
        os.closerange(0, 3)

    for keep in ((), (1,), (0, 2)):
        def close_some():
            for fd in {0, 1, 2} - set(keep):
                os.close(fd)
        done = subprocess.run([PAWL, "run", "k", "/bin/sh", "-c", script], env=rig.env(),
                              preexec_fn=close_some, timeout=30)
        assert done.returncode == 0
        assert out.read_text() == "[" + "".join(map(str, keep)) + "]\n"
    done = subprocess.run([PAWL, "run"], env=rig.env(), preexec_fn=close_all, timeout=30)
    assert done.returncode == 64, "and messages go nowhere"


def test_signal_mask_and_dispositions_are_the_ones_that_we_got(sqlite):
    show = ["grep", "-E", "^(Sig|Shd)(Blk|Ign|Cgt)", "/proc/self/status"]

    def odd():
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])

    def status(argv):
        return subprocess.run(argv, env=sqlite.env(), preexec_fn=odd, stdout=subprocess.PIPE,
                              timeout=30, check=True).stdout

    assert status([PAWL, "run", "k", *show]) == status(show)


def test_shell_command(sqlite):
    assert sqlite.run("run", "-c", "echo a b; exit 3", "k").code == 3
    done = sqlite.run("run", "k", "-c", "echo $0 'a  b'")
    assert done.out.endswith("a  b\n") and done.code == 0
    other = sqlite.tmp / "shell"
    other.write_text("#!/bin/sh\necho my shell: \"$2\"\n")
    other.chmod(0o755)
    assert sqlite.run("run", "k", "-c", "x y", env={"SHELL": str(other)}).out == "my shell: x y\n"


def test_fence_file(sqlite):
    path = sqlite.tmp / "fence"
    done = sqlite.run("run", "--fence-file", path, "k", "sh", "-c", f"cat {path}; echo $PAWL_FENCE")
    written, told = done.out.split()
    assert written == told and list(sqlite.tmp.glob("fence*")) == [path]
    done = sqlite.run("run", "--fence-file", "/no/such/dir/f", "k", "echo", "ran")
    assert done.code == 73 and done.out == "" and not sqlite.show("k")["held"]


def test_nobody_can_plant_a_link_for_the_fence_file(sqlite):
    """The directory may be everybody's. The name of the draft was PATH.PID.tmp."""
    victim = sqlite.tmp / "victim"
    victim.write_text("precious")
    path = sqlite.tmp / "fence"
    path.symlink_to(victim)
    script = f'ln -s {victim} {path}.$$.tmp; exec "$0" run --fence-file {path} k cat {path}'
    done = sqlite.run("-c", script, PAWL, program="/bin/sh")
    assert done.code == 0 and int(done.out) > 0, done.err
    assert victim.read_text() == "precious" and not path.is_symlink()


def test_a_fence_file_that_cannot_be_put_in_place_leaves_no_draft(sqlite):
    path = sqlite.tmp / "there"
    path.mkdir()
    done = sqlite.run("run", "--fence-file", path, "k", "echo", "ran")
    assert done.code == 73 and done.out == "" and str(path) in done.err
    assert not [p for p in os.listdir(sqlite.tmp) if "pawl-draft" in p]


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "link to standard output"])
def test_what_is_no_ordinary_file_is_not_replaced(sqlite, kind):
    """Root's --metrics /dev/null would take the device away from the whole machine."""
    path = sqlite.tmp / "there"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null" if kind == "link to a device" else "/proc/self/fd/1")
    before = os.lstat(path)
    command = f'"$0" run --fence-file {path} k echo ran > out; echo $?; "$0" run --metrics {path} k echo ran >> out; echo $?; cat out'
    done = sqlite.run("-c", command, PAWL, program="/bin/sh", cwd=sqlite.tmp)
    assert done.out == "73\n0\nran\n", done.err
    for file, times in ("fence", 1), ("metrics", 2):
        said = f"pawl: cannot write the {file} file {path}: it is not an ordinary file, and would be replaced"
        assert done.err.splitlines().count(said) == times, done.err
    assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == (before.st_ino, before.st_mode)


def test_the_events_pipe_tells_held_first_and_ends_with_pawl(sqlite):
    proc = sqlite.start("run", "-t", "90s", "k", *reporter("TERM"), stdin=subprocess.PIPE)
    proc.expect("ready")
    held = int(proc.expect("fd held").split()[2])
    assert 40000 < held <= 90000
    proc.kill(signal.SIGKILL)
    proc.expect("fd end")
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()


def test_json_events(sqlite):
    read, write = os.pipe()
    done = sqlite.run("run", "-t", "20s", "--json-events", write, "k", "sh", "-c",
                      "echo $PAWL_FENCE $$; exit 3", pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        events = [json.loads(line) for line in pipe]
    assert done.code == 3
    assert [e["event"] for e in events] == ["waiting", "acquired", "started", "exited", "released"]
    assert all(e["key"] == "k" for e in events)
    fence, pid = map(int, done.out.split())
    details = [{k: v for k, v in e.items() if k not in ("event", "key", "time_ms")} for e in events]
    assert details == [{}, {"fence": fence, "ttl_ms": 20000}, {"pid": pid}, {"code": 3}, {}]
    times = [e["time_ms"] for e in events]
    assert times == sorted(times) and abs(times[0] / 1000 - time.time()) < PATIENCE


def test_an_unread_pipe_stops_nothing(sqlite):
    """stderr and the event pipe are full, nobody reads: the command still ends as it should."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    try:
        done = subprocess.run([PAWL, "run", "-v", "--json-events", str(write), "k", "true"],
                              env=sqlite.env(), pass_fds=[write], stderr=subprocess.PIPE,
                              timeout=30)
        assert done.returncode == 0
    finally:
        os.close(read)
        os.close(write)


# ---- Nesting ------------------------------------------------------------------------------------

def test_inside_itself_it_fails_at_once(rig):
    done = rig.run("run", "k", PAWL, "run", "k", "echo", "ran")
    assert done.code == 75 and "already held by an ancestor" in done.err and done.out == ""
    done = rig.run("run", "a b", PAWL, "run", "other", PAWL, "run", "a b", "echo", "ran")
    assert done.code == 75 and "already held by an ancestor" in done.err


class LeftBehind:
    """What the command of a run leaves in the background, with the environment of that run."""

    def __init__(self, rig, script, *run):
        self.go, self.said = rig.tmp / "go", rig.tmp / "said"
        os.mkfifo(self.go)
        os.mkfifo(self.said)
        later = f"((read -r _ < {self.go}; {script}) > {self.said} 2>&1) > /dev/null 2>&1 &"
        assert rig.run("run", *run, "sh", "-c", later, PAWL).code == 0

    def result(self):
        """Lets it go on, and returns what it said until its end."""
        with open(self.said, encoding="ascii") as reader:
            self.go.write_text("\n", encoding="ascii")
            return reader.read()


@pytest.mark.parametrize("run", [["k"], ["-k", "a", "-k", "k"], ["k", PAWL, "run", "b"]])
def test_what_a_command_left_behind_may_lock_its_key(rig, run):
    left = LeftBehind(rig, '"$0" run -n k echo ran; echo $?; "$0" run k echo again', *run)
    assert left.result() == "ran\n0\nagain\n"


def test_what_a_command_left_behind_is_told_who_holds_its_key_now(rig):
    left = LeftBehind(rig, '"$0" run -n k echo ran; echo $?', "k")
    other = rig.start("--owner", "somebody", "hold", "k", stdin=subprocess.PIPE)
    other.expect("held ")
    said = left.result()
    assert "busy: held by somebody" in said and said.endswith("75\n"), said


def test_other_keys_and_other_stores_nest(sqlite):
    assert sqlite.run("run", "a", PAWL, "run", "b", "echo", "ran").out == "ran\n"
    other = f"sqlite:{sqlite.tmp}/other.db"
    assert sqlite.run("run", "a", PAWL, "-S", other, "run", "a", "echo", "ran").out == "ran\n"


def test_reentrant_runs_under_the_same_token_and_fence(rig):
    script = 'echo $PAWL_FENCE $PAWL_TOKEN; exec "$0" run --reentrant k ' \
             "sh -c 'echo $PAWL_FENCE $PAWL_TOKEN; exit 9'"
    done = rig.run("run", "k", "sh", "-c", script, PAWL)
    outer, inner = done.out.splitlines()
    assert done.code == 9 and outer == inner
    lost = rig.run("run", "--no-token", "k", PAWL, "run", "--reentrant", "k", "echo", "ran")
    assert lost.code == 75 and lost.out == ""


# ---- How long it is held -----------------------------------------------------------------------------

def test_held_while_the_command_runs_and_free_after(rig):
    proc = rig.start("run", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    assert rig.show("k")["held"]
    proc.popen.stdin.write(b"exit 5\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 5
    assert not rig.show("k")["held"]


def test_renewed_beyond_its_ttl(rig):
    proc = rig.start("run", "-v", "-t", "3s", "k", *reporter(), stdin=subprocess.PIPE)
    proc.expect("ready")
    fence = rig.show("k")["fence"]
    began = time.monotonic()
    while time.monotonic() - began < 6.5:  # more than twice its ttl
        seen = rig.show("k")
        assert seen["held"] and seen["fence"] == fence, proc.popen.poll() and proc.errors()
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 0


def test_at_least(rig):
    began = time.monotonic()
    proc = rig.start("run", "--at-least", "0.6", "k", "echo", "done")
    proc.expect("done")
    assert rig.run("run", "-n", "k", "true").code == 75
    assert proc.wait() == 0
    assert time.monotonic() - began >= 0.6
    assert not rig.show("k")["held"]


DOUBLE_FORK = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        if sys.argv[1] == "close":
            os.closerange(3, 64)
        with open(sys.argv[2]) as fifo:   # until somebody opens the other end, and closes it
            fifo.read()
        os._exit(0)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("fds", ["keep", "close"])
def test_hold_descendants_waits_for_what_forked_twice(sqlite, fds):
    fifo = sqlite.tmp / "fifo"
    os.mkfifo(fifo)
    proc = sqlite.start("run", "--hold-descendants", "k", sys.executable, "-c", DOUBLE_FORK, fds,
                        fifo)
    daemon = int(proc.expect("daemon").split()[1])
    # the direct child is gone when its zombie is: then only the daemon keeps the lock
    guardian, = children_of(proc.pid)
    while any(p != daemon for p in children_of(guardian)):
        pass
    assert sqlite.run("run", "-n", "k", "true").code == 75
    assert proc.popen.poll() is None
    with open(fifo, "w"):
        pass
    assert proc.wait() == 0
    assert not sqlite.show("k")["held"]


def children_of(pid):
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            yield int(entry)


def test_without_it_a_daemon_is_left_alone(sqlite):
    fifo = sqlite.tmp / "fifo"
    os.mkfifo(fifo)
    proc = sqlite.start("run", "k", sys.executable, "-c", DOUBLE_FORK, "keep", fifo)
    daemon = int(proc.expect("daemon").split()[1])
    assert proc.wait() == 0
    os.kill(daemon, 0)
    assert sqlite.run("run", "-n", "k", "true").code == 0
    with open(fifo, "w"):
        pass


# ---- Others ---------------------------------------------------------------------------------------------

def test_pawl_alone_has_the_other_end_of_the_events(sqlite):
    """Once: else the command would never see the end that says that pawl is gone."""
    proc = sqlite.start("run", "k", sys.executable, "-c",
                        "import os; print(os.getpid(), os.readlink('/proc/self/fd/' + "
                        "os.environ['PAWL_FD']), flush=True); os.read(0, 1)",
                        stdin=subprocess.PIPE)
    pid, pipe = proc.line().split()
    guardian, = children_of(proc.pid)

    def ends(of):
        return [os.readlink(f"/proc/{of}/fd/{fd}") for fd in os.listdir(f"/proc/{of}/fd")].count(pipe)

    # the guardian closes its copy after the command has begun
    until = time.monotonic() + PATIENCE
    while ends(guardian) and time.monotonic() < until:
        pass
    assert ends(proc.pid) == 1 and ends(guardian) == 0
    proc.popen.stdin.close()
    assert proc.wait() == 0


def test_yield_sends_a_signal_when_somebody_waits(rig):
    proc = rig.start("run", "--yield", "USR1", "k", *reporter("USR1"), stdin=subprocess.PIPE)
    proc.expect("ready")
    waiter = rig.start("run", "k", "echo", "mine now")
    told = {proc.expect(("USR1", "fd yield")), proc.expect(("USR1", "fd yield"))}
    assert told == {"USR1 1", "fd yield"}
    proc.popen.stdin.write(b"exit 0\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 0
    waiter.expect("mine now")
    assert waiter.wait() == 0


def test_require(rig):
    assert rig.run("run", "--require", "fence,fair,push,list", "k", "true").code == 0
    for promise in ("durable-fence", "instant-release", "fence,durable-fence",
                    "fair,fence,push,instant"):
        done = rig.run("run", "--require", promise, "k", "echo", "ran")
        if "redis" in rig.url:
            assert done.code == 78 and "does not promise" in done.err and done.out == ""
        else:
            assert done.code == 0 and done.out == "ran\n"


def test_waiters_get_their_turn_in_order(rig):
    holder = rig.start("hold", "k", stdin=subprocess.PIPE)
    holder.expect("held")
    log = rig.tmp / "order"
    waiters = []
    for i in range(5):
        waiters.append(rig.start("run", "k", "sh", "-c", f"echo {i} >>{log}"))
        rig.until_waiting("k", i + 1)
    holder.popen.stdin.close()
    for waiter in waiters:
        assert waiter.wait() == 0, waiter.errors()
    assert log.read_text().split() == [str(i) for i in range(5)]


def test_mutual_exclusion_of_many_processes(rig):
    """A counter that is read and written without any other protection."""
    counter = rig.tmp / "counter"
    counter.write_text("0")
    script = f"n=$(cat {counter}); echo $((n+1)) >{counter}"
    runs = [rig.start("run", "k", "sh", "-c", f"{script}") for _ in range(20)]
    for run in runs:
        assert run.wait() == 0, run.errors()
    assert counter.read_text() == "20\n"


def test_no_store_no_command(tmp_path):
    done = subprocess.run([PAWL, "-S", f"redis+unix://{tmp_path}/none", "run", "--store-timeout",
                           "300ms", "k", "echo", "ran"], env=clean_env(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 69 and done.stdout == b""
    assert done.stderr.count(b"\n") == 1 and str(tmp_path).encode() in done.stderr


def test_the_default_store_needs_nothing(tmp_path):
    done = subprocess.run([PAWL, "run", "some-test-key", "sh", "-c", "echo $PAWL_STORE"],
                          env=clean_env({"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30)
    if b"has format" in done.stderr:
        pytest.skip("a pawl of another version has its locks on this machine")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"sqlite:\n" and done.stderr == b""
    made = [p for p in tmp_path.rglob("*") if stat.S_ISREG(p.stat().st_mode)]
    assert all(p.stat().st_mode & 0o007 == 0 for p in made), made


