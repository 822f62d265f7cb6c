# SPDX-License-Identifier: MIT
"""pawl run --metrics: one file in one piece, while the lock is held and at the end."""
import os
import re
import shutil
import subprocess

import pytest


def values(text):
    """{series: value}"""
    return {series: float(value) for series, value in re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.M)}


def acquired(kind):
    return f'pawl_acquisitions_total{{class="{kind}",result="acquired"}}'


def test_the_file_while_the_lock_is_held_and_at_the_end(sqlite):
    path = sqlite.tmp / "pawl.prom"
    done = sqlite.run("run", "--metrics", path, "k", "cat", path)
    assert done.code == 0 and done.err == ""
    held, over = values(done.out), values(path.read_text())
    assert held[acquired("other")] == over[acquired("other")] == 1
    assert held['pawl_held{class="other"}'] == 1 and over['pawl_held{class="other"}'] == 0
    assert held['pawl_clients{link="up"}'] == 1 and over['pawl_clients{link="up"}'] == 0
    assert over['pawl_releases_total{class="other",lease="released"}'] == 1
    assert over['pawl_hold_seconds_count{class="other"}'] == 1
    assert [p for p in os.listdir(sqlite.tmp) if "draft" in p] == []


def test_a_class_that_fits_and_one_that_does_not(sqlite):
    path = sqlite.tmp / "pawl.prom"
    for key, kind in ("nightly-7", "nightly*"), ("daily", "other"):
        done = sqlite.run("run", "--metrics", path, "--metrics-class", "nightly*", key, "true")
        assert done.code == 0
        assert values(path.read_text())[acquired(kind)] == 1
        assert key not in path.read_text()


def test_a_busy_lock_is_counted(sqlite):
    path = sqlite.tmp / "pawl.prom"
    holder = sqlite.start("run", "k", "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
    holder.expect("ready")
    assert sqlite.run("run", "-n", "--metrics", path, "k", "true").code == 75
    found = values(path.read_text())
    assert found['pawl_acquisitions_total{class="other",result="busy"}'] == 1
    assert found[acquired("other")] == 0 and found['pawl_waiting{class="other"}'] == 0


def test_metrics_that_cannot_be_written_stop_nobody(sqlite):
    done = sqlite.run("run", "--metrics", "/no/such/dir/f", "k", "echo", "ran")
    assert done.code == 0 and done.out == "ran\n"
    assert "cannot write the metrics file /no/such/dir/f" in done.err


def test_a_class_that_is_none(sqlite):
    done = sqlite.run("run", "--metrics", sqlite.tmp / "m", "--metrics-class", "", "k", "echo", "ran")
    assert done.code == 64 and done.out == "" and "--metrics-class" in done.err


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: the format was not checked")
def test_prometheus_has_nothing_to_say(sqlite):
    path = sqlite.tmp / "pawl.prom"
    assert sqlite.run("run", "--metrics", path, "--metrics-class", "k", "k", "true").code == 0
    done = subprocess.run(["promtool", "check", "metrics"], stdin=path.open(), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    assert done.returncode == 0 and done.stdout == "", done.stdout
