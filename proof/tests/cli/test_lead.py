# SPDX-License-Identifier: MIT
"""`lead`: a command that runs while we lead, and who leads."""
import errno
import os
import signal
import subprocess
import time

from harness import PATIENCE, PAWL, slow

SAYS = 'echo "on $PAWL_FENCE"; cat; exit ${CODE:-0}'


def leads(rig, *flags, env=None):
    proc = rig.start("lead", *flags, "k", "--", "sh", "-c", SAYS, stdin=subprocess.PIPE, env=env)
    return proc, int(proc.expect("on").split()[1])


def test_the_next_one_leads_when_the_first_ends(rig):
    first, fence = leads(rig, "--value", "one", "--restart", "never")
    second = rig.start("lead", "k", "--value", "two", "--", "sh", "-c", SAYS,
                       stdin=subprocess.PIPE)
    rig.until_waiting("k")
    assert ": one" in rig.run("lead", "k", "--who").out
    first.popen.stdin.close()
    assert int(second.expect("on").split()[1]) > fence
    assert first.wait() == 0
    assert ": two" in rig.run("lead", "k", "--who").out
    second.kill(signal.SIGTERM)
    assert second.wait() == 128 + signal.SIGTERM
    assert rig.run("lead", "k", "--who").out == "nobody leads\n"


def test_who_only_looks_gives_no_command(rig):
    for flag in ("--who", "--observe"):
        done = rig.run("lead", "k", flag, "--", "echo", "ran")
        assert (done.code, done.out) == (64, "") and "run nothing" in done.err


def test_a_leader_without_a_label_is_somebody_unknown(redis):
    """Others take locks on a server, too, by SET NX: these have none."""
    redis.server.cli("set", "pawl:k", "theirs", "px", "600000")
    done = redis.run("lead", "k", "--who")
    assert done.code == 0 and done.out.startswith("leads somebody unknown, fence "), done.out


def test_it_leads_again_after_the_command_has_ended(rig):
    proc = rig.start("lead", "k", "--", "sh", "-c", 'echo "on $PAWL_FENCE"')
    fences = [int(proc.expect("on").split()[1]) for _ in range(3)]
    assert fences == sorted(set(fences))
    proc.kill(signal.SIGTERM)
    assert proc.wait() in (0, 128 + signal.SIGTERM)  # as the command, if it had just ended


def test_the_command_of_a_later_term_hears_signals_too(rig):
    proc = rig.start("lead", "k", "--restart", "on-failure", "--", "sh", "-c",
                     'trap "echo heard; exit 0" TERM; echo on; read x; exit 1',
                     stdin=subprocess.PIPE)
    proc.expect("on")
    proc.say(b"\n")
    proc.expect("on")
    proc.kill(signal.SIGTERM)
    proc.expect("heard")
    assert proc.wait() == 0


def test_a_term_leaves_no_descriptor_behind(rig):
    proc = rig.start("lead", "k", "--", "sh", "-c", "echo on; read x", stdin=subprocess.PIPE)
    counts = []
    for _ in range(6):
        proc.expect("on")
        counts.append(len(os.listdir(f"/proc/{proc.pid}/fd")))
        proc.say(b"\n")
    assert counts[5] <= counts[1] + 1, counts  # one may just be opened
    proc.kill(signal.SIGTERM)
    proc.wait()


def test_a_signal_ends_it_between_two_terms(rig):
    proc = rig.start("lead", "k", "--", "false")
    for line in iter(proc.popen.stderr.readline, b""):
        if b"at most 1.6s" in line:  # the pause has begun, and lasts for 0.8 s at least
            break
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGTERM


def test_when_it_is_started_again(rig):
    assert rig.run("lead", "--restart", "never", "k", "-c", "exit 4").code == 4
    assert rig.run("lead", "--restart", "on-failure", "k", "true").code == 0
    proc = rig.start("lead", "--restart", "on-failure", "k", "-c", "echo on; exit 4")
    proc.expect("on")
    proc.expect("on")
    proc.kill(signal.SIGTERM)
    proc.wait()


def test_a_leader_that_lost_the_lead_is_stopped_and_queues_again(rig):
    proc, fence = leads(rig, "--value", "v", "-t", "5s")
    assert rig.run("break", "k", "--fence", str(fence)).code == 0
    assert int(proc.expect("on").split()[1]) > fence
    proc.kill(signal.SIGTERM)
    proc.wait()


def test_a_resignation_that_the_store_does_not_answer_ends_all_the_same(redis):
    proc, _ = leads(redis, "--restart", "never", env={"CODE": "7"})
    redis.server.stop()
    proc.popen.stdin.close()
    assert proc.wait() == 7
    assert b"the store has not confirmed the release" in proc.popen.stderr.read()


def open_read(fifo):
    """The writing end, as soon as somebody reads."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "wb")
        except OSError as err:
            assert err.errno == errno.ENXIO and time.monotonic() < until, err
        time.sleep(0.01)


def test_it_queues_again_when_nobody_knows_whether_it_is_told(redis, tmp_path):
    """It holds the lock, and the server answers neither that it is told nor the release."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    proc = redis.start("lead", "-t", "8s", "--fence-file", tmp_path / "fence", "k", "echo", "ran",
                       env=slow("HELD_RENAME", fifo))
    with open_read(fifo):  # it writes the fence
        redis.server.cli("CLIENT", "PAUSE", "60000", "WRITE")
    said = [proc.popen.stderr.readline().decode() for _ in range(3)]
    assert "PAWL_ERR_UNKNOWN" in said[0] and "it is not led (74); in at most" in said[2], said
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGTERM and proc.popen.stdout.read() == b""


def test_a_leader_that_is_killed_is_followed(rig):
    first, fence = leads(rig, "-t", "1s")
    second = rig.start("lead", "k", "-t", "1s", "--", "sh", "-c", SAYS, stdin=subprocess.PIPE)
    rig.until_waiting("k")
    first.kill(signal.SIGKILL)
    assert int(second.expect("on").split()[1]) > fence


def test_observers_are_told(rig):
    observer = rig.start("lead", "k", "--observe")
    assert observer.line() == "nobody leads"
    proc, fence = leads(rig, "--value", "a b\n", "--owner", "ann")
    assert observer.line() == f"leads ann, fence {fence}: a b\\x0a"
    proc.kill(signal.SIGTERM)
    proc.wait()
    assert observer.line() == "nobody leads"


def test_an_observer_that_can_tell_nobody_ends(sqlite):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PAWL, "lead", "k", "--observe"], env=sqlite.env(), stdout=full,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 73 and b"No space left" in done.stderr


def test_wrong_calls(sqlite):
    for words, said in [(["lead"], "KEY"), (["lead", "k"], "a command is wanted"),
                        (["lead", "--value", "x" * 4097, "k", "true"], "4096"),
                        (["lead", "--restart", "often", "k", "true"], "often")]:
        done = sqlite.run(*words)
        assert done.code == 64 and said in done.err, (words, done.err)
        assert done.err.count("\n") == 1
