# SPDX-License-Identifier: MIT
"""The command proof/bench/compare: bad input, an interrupted run, a report of what was kept."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

COMPARE = str(Path(os.environ["PAWL_SOURCE"]) / "proof/bench/compare")
ENV = dict(os.environ, BUILD=os.environ["PAWL_BUILD"])
PATIENCE_S = 60


def compare(*options):
    return subprocess.run([COMPARE, *options], env=ENV, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)


@pytest.mark.parametrize("options, says", [
    (["--only", "nonsense"], "there is no group nonsense"),
    (["--peers", "nobody"], "there is no peer nobody"),
    (["--rounds", "0"], "positive"),
    (["--seconds", "-1"], "positive"),
    (["--quick", "--fast-full"], "not allowed with"),
])
def test_bad_input(options, says):
    done = compare(*options)
    assert done.returncode == 2 and says in done.stderr and not done.stdout


def kept(path):
    return {tuple(m["key"]): m["rounds"] for m in json.loads(path.read_text())["measured"]}


def test_an_interrupted_run_keeps_what_it_has(tmp_path):
    path = tmp_path / "kept.json"
    process = subprocess.Popen(
        [COMPARE, "--only", "cached", "--peers", "none", "--rounds", "1000", "--seconds", "0.1",
         "--results", str(path)], env=ENV, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and not (
                path.exists() and len(kept(path).get(("cached", "1", "mutex"), [])) >= 2):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 130 and "interrupted" in err
    assert "cached lease, acquire + release, one thread" in out and "goals reached" in out
    assert len(kept(path)["cached", "1", "pawl"]) >= 2

    again = compare("--only", "cached", "--report", str(path))
    assert again.returncode == 0 and again.stdout == out
