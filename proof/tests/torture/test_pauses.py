# SPDX-License-Identifier: MIT
"""A real run on a machine that stands still: all its processes do, and the clock goes on."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from history import TORTURE

HELD, THIN = 0, 2
PAUSE_S = 2


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def stop_all(pid):
    """Whoever is stopped starts nobody: so the parent comes first."""
    send(pid, signal.SIGSTOP)
    children = []
    with contextlib.suppress(OSError):
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    return [pid] + [each for child in children for each in stop_all(child)]


def stand_still(run):
    stopped = stop_all(run.pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(PAUSE_S)
    for pid in reversed(stopped):
        send(pid, signal.SIGCONT)


def wait_for_phase(run, faults, phase):
    patience = time.monotonic() + 120
    while not (faults.exists() and f" {phase} - -" in faults.read_text()):
        assert run.poll() is None and time.monotonic() < patience


def pause_in(phase, seconds, directory):
    """The fault hurts nobody, so that everything is judged."""
    argv = [TORTURE, "--seconds", seconds, "--store", "redis-none", "--faults", "script-flush",
            "--dir", directory]
    faults = directory / "redis-none" / "faults"
    with subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE, text=True) as run:
        wait_for_phase(run, faults, phase)
        stand_still(run)
        out, _ = run.communicate(timeout=200)
    stood_ns = map(int, re.findall(r" stood - - (\d+)$", faults.read_text(), re.M))
    return run.returncode, out, any(ns > 0.9e9 * PAUSE_S for ns in stood_ns)


@contextlib.contextmanager
def others_on_one_processor(count=3):
    """They never stop working; whoever is less important there than they are waits nearly always."""
    alone = {min(os.sched_getaffinity(0))}
    argv = [sys.executable, "-c", "while True: pass"]
    with contextlib.ExitStack() as others:
        for _ in range(count):
            other = others.enter_context(subprocess.Popen(argv))
            others.callback(other.kill)
            os.sched_setaffinity(other.pid, alone)
        yield alone


def test_a_run_without_a_processor_is_noticed(tmp_path):
    with others_on_one_processor() as alone:
        argv = [TORTURE, "--seconds", "1", "--store", "sqlite", "--dir", str(tmp_path)]
        run = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=200,
                             preexec_fn=lambda: (os.sched_setaffinity(0, alone), os.nice(5)))
    assert re.search(r" starved - - \d+$", (tmp_path / "sqlite" / "faults").read_text(), re.M), run.stdout


@pytest.mark.parametrize("phase", ["hurt", "calm"])
def test_a_machine_that_stands_still_makes_nobody_guilty(phase, tmp_path):
    """On a busy machine a run may be too thin, or over before it is paused; then it goes on for longer."""
    if not shutil.which("redis-server"):
        print("SKIP: redis-server is not installed", file=sys.stderr)
        pytest.skip("redis-server is not installed")
    for seconds in (1, 4, 16):
        code, out, noticed = pause_in(phase, seconds, tmp_path / str(seconds))
        if code != THIN and noticed:
            break
    assert code == HELD and noticed, out
