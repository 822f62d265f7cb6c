# SPDX-License-Identifier: MIT
"""pawl-flock beside flock(1): the same words, the same codes."""
import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import (PATIENCE, PAWL, PAWL_FLOCK, Rig, clean_env, is_alive, preloaded, reporter,
                     wait_dead)

FLOCK = shutil.which("flock")
pytestmark = pytest.mark.skipif(not FLOCK, reason="flock(1) is not installed")


def both(rig, *argv, **options):
    """Runs the same words by either program, each on a path of its own rig."""
    ours = rig.run(*argv, program=PAWL_FLOCK, **options)
    theirs = rig.run(*argv, program=FLOCK, **options)
    return ours, theirs


@pytest.fixture
def local(tmp_path):
    """No store is named: an empty PAWL_STORE names none."""
    rig = Rig("", tmp_path)
    yield rig
    rig.close()


@pytest.fixture(params=["sqlite", "local"])
def any_rig(request):
    return request.getfixturevalue(request.param)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = 65534


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def hold(rig, path, *options, program=PAWL_FLOCK, **more):
    """A process that holds the lock on path until its stdin closes."""
    proc = rig.start(*options, path, "-c", "echo held; cat", program=program,
                     stdin=subprocess.PIPE, **more)
    proc.expect("held")
    return proc


def let_go(proc):
    proc.popen.stdin.close()
    assert proc.wait() == 0


def until_waiting(path, count=1):
    """Until so many stand in the kernel's queue for this file."""
    inode = f":{os.stat(path).st_ino} "
    until = time.monotonic() + PATIENCE
    while True:
        with open("/proc/locks", encoding="ascii") as locks:
            if sum("->" in line and inode in line for line in locks) == count:
                return
        assert time.monotonic() < until, "nobody came to wait"


@pytest.fixture
def busy(any_rig):
    """A rig and a path that is locked."""
    path = any_rig.tmp / "lock"
    hold(any_rig, path)
    return any_rig, path


@pytest.mark.parametrize("words", [
    ["{}", "true"],
    ["{}", "false"],
    ["{}", "sh", "-c", "exit 7"],
    ["{}", "-c", "exit 9"],
    ["{}", "--command", "echo x"],
    ["{}", "echo", "-n", "--", "-x"],
    ["-x", "{}", "echo", "x"],
    ["-e", "{}", "echo", "x"],
    ["--exclusive", "{}", "echo", "x"],
    ["-n", "{}", "echo", "x"],
    ["--nb", "{}", "echo", "x"],
    ["--nonblock", "{}", "echo", "x"],
    ["-o", "{}", "echo", "x"],
    ["--close", "{}", "echo", "x"],
    ["-w", "1", "{}", "echo", "x"],
    ["-w1.5", "{}", "echo", "x"],
    ["--wait=0.5", "{}", "echo", "x"],
    ["--timeout", "2", "{}", "echo", "x"],
    ["-E", "5", "{}", "false"],
    ["-xn", "-E5", "{}", "echo", "x"],
    ["{}", "sh", "-c", "kill -TERM $$"],
    ["{}/sub/none", "true"],
    ["{}", "-c"],
    ["{}", "-c", "a", "b"],
    [],
    ["--no-such-option", "{}", "true"],
    ["-E", "256", "{}", "true"],
], ids=" ".join)
def test_free(any_rig, words):
    path = any_rig.tmp / "lock"
    ours, theirs = both(any_rig, *[w.format(path) for w in words])
    assert (ours.code, ours.out) == (theirs.code, theirs.out), (ours.err, theirs.err)


@pytest.mark.parametrize("words", [
    ["-n", "{}", "echo", "ran"],
    ["-w", "0", "{}", "echo", "ran"],
    ["-w", "0.3", "{}", "echo", "ran"],
    ["--timeout", "0.3", "{}", "echo", "ran"],
    ["-n", "-E", "0", "{}", "echo", "ran"],
    ["-n", "-E", "42", "{}", "echo", "ran"],
    ["-w", "0.3", "--conflict-exit-code", "42", "{}", "echo", "ran"],
    ["-n", "{}", "-c", "echo ran"],
], ids=" ".join)
def test_busy(busy, words):
    rig, path = busy
    ours, theirs = both(rig, *[w.format(path) for w in words])
    assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs.err)


def test_waits_without_an_option(any_rig):
    path = any_rig.tmp / "lock"
    holder = hold(any_rig, path)
    waiters = [any_rig.start(path, "echo", "mine", program=p) for p in (PAWL_FLOCK, FLOCK)]
    until_waiting(path, 2)
    let_go(holder)
    for waiter in waiters:
        waiter.expect("mine")
        assert waiter.wait() == 0


def test_one_file_by_many_names_is_one_lock(busy):
    rig, path = busy
    (rig.tmp / "link").symlink_to(path)
    os.link(path, rig.tmp / "hard")
    os.mkdir(rig.tmp / "dir")
    for name in ("link", "hard", "dir/../lock", "./lock"):
        ours, theirs = both(rig, "-n", name, "echo", "ran", cwd=rig.tmp)
        assert (ours.code, ours.out) == (theirs.code, theirs.out) == (1, "")


# ---- Who is kept out ---------------------------------------------------------------

@pytest.mark.parametrize("first, second", [(PAWL_FLOCK, FLOCK), (FLOCK, PAWL_FLOCK)],
                         ids=["it keeps flock out", "flock keeps it out"])
def test_flock_itself_on_the_same_file(any_rig, first, second):
    path = any_rig.tmp / "lock"
    holder = hold(any_rig, path, program=first)
    assert any_rig.run("-n", path, "echo", "ran", program=second).code == 1
    let_go(holder)
    assert any_rig.run("-n", path, "echo", "ran", program=second).out == "ran\n"


def test_the_same_file_with_different_stores(sqlite, tmp_path):
    """As those of two users are, or of cron and a shell."""
    path = tmp_path / "lock"
    hold(sqlite, path)
    for other in (f"sqlite:{tmp_path}/other.db", ""):
        done = sqlite.run("-n", path, "echo", "ran", program=PAWL_FLOCK, env={"PAWL_STORE": other})
        assert (done.code, done.out, done.err) == (1, "", "")


def test_a_file_system_that_locks_only_what_can_be_written(local):
    """As NFS; see as_on_nfs.c."""
    path = local.tmp / "lock"
    nfs = preloaded("as-on-nfs")
    done = local.run(path, "echo", "ran", program=PAWL_FLOCK, env=nfs)
    assert (done.code, done.out, done.err) == (0, "ran\n", "")
    holder = hold(local, path, env=nfs)
    assert local.run("-n", path, "echo", "ran", program=FLOCK).code == 1
    assert local.run("-n", path, "echo", "ran", program=PAWL_FLOCK, env=nfs).code == 1
    let_go(holder)


@pytest.fixture
def open_local(local, common_ground):
    """With a pawl-flock that every user may run, in a directory that every user may enter."""
    shutil.copy(PAWL, common_ground / "pawl-flock")
    local.common = common_ground
    return local


def run_as_nobody(rig, *words):
    return rig.run(*words, program=str(rig.common / "pawl-flock"), cwd="/",
                   preexec_fn=as_nobody)


@needs_root
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_two_users_of_one_file(open_local, mode):
    path = open_local.common / "lock"
    path.touch(mode)
    hold(open_local, path)
    other = run_as_nobody(open_local, "-n", path, "echo", "ran")
    assert other.out == ""
    if mode == 0o644:
        assert (other.code, other.err) == (1, "")
    else:  # as flock(1): who must not open the file is told so, and is not let in
        assert other.code == 66 and "Permission denied" in other.err


@needs_root
def test_a_file_of_another_user_in_a_sticky_directory(open_local):
    """fs.protected_regular refuses to open it with O_CREAT; nothing needs that."""
    shared = open_local.common / "shared"
    shared.mkdir()
    os.chmod(shared, 0o1777)
    path = shared / "lock"
    assert run_as_nobody(open_local, path, "true").code == 0
    assert os.stat(path).st_uid == NOBODY
    assert open_local.run("-n", path, "echo", "ran", program=PAWL_FLOCK).out == "ran\n"


def test_a_link_that_leads_nowhere_creates_nothing(any_rig):
    target = any_rig.tmp / "target"
    (any_rig.tmp / "link").symlink_to(target)
    done = any_rig.run(any_rig.tmp / "link", "echo", "ran", program=PAWL_FLOCK)
    assert done.code == 66 and "leads nowhere" in done.err and done.out == ""
    assert not target.exists()


def test_a_file_that_is_removed_while_one_waits(any_rig):
    """The waiter would lock what has no name any more, beside somebody who comes later."""
    path = any_rig.tmp / "lock"
    holder = hold(any_rig, path)
    waiter = any_rig.start(path, "-c", "echo mine; cat", program=PAWL_FLOCK,
                           stdin=subprocess.PIPE)
    until_waiting(path)
    path.unlink()
    let_go(holder)
    waiter.expect("mine")
    assert any_rig.run("-n", path, "echo", "ran", program=FLOCK).code == 1


def test_a_fifo_does_not_hang(any_rig):
    path = any_rig.tmp / "fifo"
    os.mkfifo(path)
    assert any_rig.run("-n", path, "echo", "ran", program=PAWL_FLOCK).out == "ran\n"


def test_a_read_only_directory_says_so(any_rig):
    done = any_rig.run("/proc/none", "echo", "ran", program=PAWL_FLOCK)
    assert done.code in (66, 73) and "cannot open lock file /proc/none" in done.err


def test_a_descriptor_has_no_name_at_a_store(sqlite, local):
    with open(sqlite.tmp / "lock", "w", encoding="ascii") as file:
        os.unlink(file.name)
        path = f"/dev/fd/{file.fileno()}"
        words = ("-n", path, "echo", "ran")
        fds = (file.fileno(),)
        assert local.run(*words, program=PAWL_FLOCK, pass_fds=fds).out == "ran\n"
        done = sqlite.run(*words, program=PAWL_FLOCK, pass_fds=fds)
        assert done.code == 64 and "/proc" in done.err and done.out == ""


def test_the_limit_is_that_of_both_waits(sqlite):
    """First for the file, then at the store."""
    path = sqlite.tmp / "lock"
    path.touch()
    sqlite.start("hold", path, stdin=subprocess.PIPE).expect("held")
    holder = hold(sqlite, path, program=FLOCK)
    began = time.monotonic()
    waiter = sqlite.start("-w", "1", path, "echo", "ran", program=PAWL_FLOCK)
    until_waiting(path)
    let_go(holder)
    assert waiter.wait() == 1
    assert time.monotonic() - began >= 1


def test_inside_itself_it_does_not_wait_for_ever(any_rig):
    """flock(1) does. The descriptor is inherited, so nobody could ever give the lock back."""
    path = any_rig.tmp / "lock"
    done = any_rig.run(path, PAWL_FLOCK, path, "echo", "ran", program=PAWL_FLOCK)
    assert done.code == 1 and "ancestor" in done.err and "--reentrant" not in done.err


# ---- How long it is held ---------------------------------------------------------------

def test_as_flock_a_descendant_keeps_the_lock(any_rig):
    path = any_rig.tmp / "lock"
    words = ("-n", path, "true")
    any_rig.run(path, "-c", "cat <&3 >/dev/null 2>&1 & true", program=PAWL_FLOCK,
                **_pipe(any_rig))
    assert any_rig.run(*words, program=PAWL_FLOCK).code == 1
    any_rig.gate.close()
    assert any_rig.run("-w", "20", path, "true", program=FLOCK).code == 0


def _pipe(rig):
    """Descriptor 3 of a command: readable until rig.gate is closed."""
    read, write = os.pipe()
    rig.gate = os.fdopen(write, "wb")
    return {"preexec_fn": lambda: os.dup2(read, 3), "pass_fds": (3, read)}


@pytest.mark.parametrize("options, code", [([], 1), (["-o"], 0)], ids=["", "-o"])
def test_a_child_after_kill_9(local, options, code):
    path = local.tmp / "lock"
    proc = local.start(*options, path, *reporter(), program=PAWL_FLOCK, stdin=subprocess.PIPE)
    child = int(proc.expect("ready").split()[1])
    proc.kill(signal.SIGKILL)
    proc.wait()
    assert is_alive(child)
    assert local.run("-n", path, "true", program=PAWL_FLOCK).code == code
    proc.popen.stdin.close()
    os.kill(child, signal.SIGKILL)
    wait_dead(child)
    assert local.run("-w", "20", path, "true", program=PAWL_FLOCK).code == 0


def test_signals_reach_the_command(local):
    proc = local.start(local.tmp / "lock", *reporter("TERM", "USR1"), program=PAWL_FLOCK,
                       stdin=subprocess.PIPE)
    proc.expect("ready")
    for name in ("TERM", "USR1"):
        proc.kill(getattr(signal, "SIG" + name))
        proc.expect(name + " 1")
    proc.popen.stdin.write(b"exit 5\n")
    proc.popen.stdin.flush()
    assert proc.wait() == 5


def test_a_fence_comes_with_a_store_only(sqlite, local):
    """The kernel's lock has none, and one of a user's own store would not grow for others."""
    words = (sqlite.tmp / "lock", "-c", 'echo "${PAWL_FENCE:-none}"')
    assert local.run(*words, program=PAWL_FLOCK).out == "none\n"
    assert int(sqlite.run(*words, program=PAWL_FLOCK).out) > 0


def test_a_directory_and_a_file_that_is_not_there_yet(any_rig):
    (any_rig.tmp / "dir").mkdir()
    for name in (any_rig.tmp / "dir", any_rig.tmp / "new"):
        ours, theirs = both(any_rig, "-n", name, "echo", "x")
        assert (ours.code, ours.out) == (theirs.code, theirs.out) == (0, "x\n")


def test_the_descriptor_form_names_what_replaces_it(sqlite):
    done = sqlite.run("9", program=PAWL_FLOCK)
    assert done.code == 64 and "pawl hold" in done.err and done.err.count("\n") == 1
    done = sqlite.run("-u", "9", program=PAWL_FLOCK)
    assert done.code == 64 and "pawl hold" in done.err


def test_shared_holders_are_beside_each_other_and_nobody_else(any_rig):
    """By flock(1) as well, on the same file."""
    path = any_rig.tmp / "lock"
    reader = any_rig.start("-s", path, "sh", "-c", "echo in; cat", program=PAWL_FLOCK,
                           stdin=subprocess.PIPE)
    assert reader.line() == "in"
    for program in (PAWL_FLOCK, FLOCK):
        assert any_rig.run("-s", "-n", path, "echo", "x", program=program).out == "x\n"
        assert any_rig.run("-n", path, "echo", "x", program=program).code == 1
        assert any_rig.run("-x", "-n", path, "echo", "x", program=program).code == 1
    reader.popen.stdin.close()
    assert reader.wait() == 0
    assert any_rig.run("-n", path, "echo", "x", program=PAWL_FLOCK).out == "x\n"


def test_help_and_version(sqlite):
    assert "usage: pawl-flock" in sqlite.run("--help", program=PAWL_FLOCK).out
    assert sqlite.run("-V", program=PAWL_FLOCK).out.startswith("pawl-flock 0.")
    done = subprocess.run([PAWL_FLOCK], env=clean_env(), stderr=subprocess.PIPE, timeout=30)
    assert done.stderr.startswith(b"pawl-flock: ")


def test_unlike_flock_a_command_that_is_not_there_is_127(any_rig):
    """flock says 69, which no shell does: a difference on purpose."""
    ours, theirs = both(any_rig, any_rig.tmp / "lock", "/no/such")
    assert (ours.code, theirs.code) == (127, 69)


def test_unlike_flock_long_options_are_not_abbreviated(sqlite):
    ours, theirs = both(sqlite, "--nonbl", sqlite.tmp / "lock", "echo", "x")
    assert (ours.code, theirs.code) == (64, 0)
    assert "did you mean --nonblock" in ours.err
