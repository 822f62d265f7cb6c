# SPDX-License-Identifier: MIT
"""pawl bench, which is the program pawl-bench: what it tells is sound. How fast anything is, no test asks."""
import json
import shutil
import signal
import time
import xml.etree.ElementTree as ElementTree

import pytest
from harness import PAWL, RedisServer, Rig

SHORT = ["-d", "150ms", "-j", "4", "--names", "20"]
KINDS = [("uncontended", 1, 1), ("contended", 2, 1), ("contended", 4, 1), ("cached", 1, 1),
         ("threads", 4, 4), ("names", 4, 20), ("readers", 4, 1), ("permits", 4, 2),
         ("several", 1, 3)]
TITLES = ["1 client", "2 clients, one key", "4 clients, one key", "1 client, cached lease",
          "4 threads, a key each", "4 threads, 20 keys", "4 readers, one key",
          "4 clients, 2 permits", "1 client, 3 keys at once"]


def bench(rig, *options):
    done = rig.run("bench", *SHORT, *options, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out), done


def check_phase(phase):
    assert phase["pairs"] > 0 and phase["overlaps"] == 0 and phase["fence_slips"] == 0
    assert 0 < phase["p50_us"] <= phase["p99_us"] <= phase["max_us"]
    assert 0.149 < phase["seconds"] < 20
    assert abs(phase["pairs_per_second"] - phase["pairs"] / phase["seconds"]) < 1
    assert 1 / phase["threads"] - 0.001 <= phase["jain"] <= 1.0001
    assert phase["handovers"] <= phase["pairs"]
    if phase["phase"] not in ("contended", "permits"):
        assert phase["handovers"] == 0


def test_bench(rig):
    result, done = bench(rig)
    assert [(p["phase"], p["threads"], p["names"]) for p in result["phases"]] == KINDS
    assert result["store"] == rig.url and result["interrupted"] is False
    for phase in result["phases"]:
        check_phase(phase)
    assert done.err.count("acquisitions") >= len(KINDS), "it shows progress"
    assert rig.run("ls").out.count("pawl-bench") == 0, "nothing stays behind"


def test_commands_are_counted_where_there_is_a_server(redis):
    commands = {(p["phase"], p["threads"]): p["commands_per_acquisition"]
                for p in bench(redis)[0]["phases"]}
    assert commands.pop(("cached", 1)) < 0.5, "a cached lease is not asked for"
    # Ask, release; a few more for what is under way at both ends of a short run.
    assert all(1 <= count <= 8 for count in commands.values()), commands


def test_commands_are_not_counted_where_there_is_none(sqlite):
    result, _ = bench(sqlite, "--only", "uncontended")
    assert [p["commands_per_acquisition"] for p in result["phases"]] == [None]


def test_the_count_finds_a_server_behind_a_password(tmp_path):
    server = RedisServer(tmp_path, "--requirepass", "open sesame")
    rig = Rig(f"redis+unix://:open%20sesame@{server.socket}?db=3&prefix=other:", tmp_path)
    try:
        result, done = bench(rig, "--only", "uncontended", "a-key")
        assert result["phases"][0]["commands_per_acquisition"] >= 1
        assert "sesame" not in done.out + done.err
    finally:
        rig.close()
        server.end()


def test_only_some(sqlite):
    result, _ = bench(sqlite, "--only", "threads,uncontended")
    assert [p["phase"] for p in result["phases"]] == ["uncontended", "threads"]


def test_table_and_picture(rig):
    path = rig.tmp / "picture.svg"
    done = rig.run("bench", *SHORT, "-q", "--plot", path)
    assert done.code == 0 and not done.err
    rows = [line[:26].rstrip() for line in done.out.splitlines()[3:3 + len(TITLES)]]
    assert rows == TITLES
    assert "Two inside at once: 0; fences that did not grow: 0." in done.out

    picture = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert picture.tag == space + "svg"
    texts = [text.text for text in picture.iter(space + "text")]
    assert set(TITLES) <= set(texts) and rig.url in texts[1]
    curves = list(picture.iter(space + "polyline"))
    assert len(curves) == len(TITLES)
    for curve in curves:
        points = [tuple(map(float, p.split(","))) for p in curve.get("points").split()]
        assert points == sorted(points), "shares go to the right"
        heights = [y for _, y in points]
        assert heights == sorted(heights, reverse=True), "a larger share never took less"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_early_end_keeps_what_was_measured(sqlite, options):
    path = sqlite.tmp / "picture.svg"
    proc = sqlite.start("bench", "-d", "30s", "-j", "2", "--plot", path, *options)
    began = time.monotonic()
    assert b"acquisitions" in proc.popen.stderr.readline()
    proc.kill(signal.SIGINT)
    out = proc.popen.stdout.read().decode()
    assert proc.wait() == 0, proc.errors()
    assert time.monotonic() - began < 20
    if options:
        result = json.loads(out)
        assert result["interrupted"] and [p["phase"] for p in result["phases"]] == ["uncontended"]
    else:
        assert "\n1 client " in out and "Interrupted" in out and "2 clients" not in out
    assert "(interrupted)" in path.read_text()


@pytest.mark.parametrize("words, code, said", [
    (["-j", "1"], 64, "a number from 2 to 1000"),
    (["--names", "0"], 64, "a number from 1 to 100000"),
    (["--only", "cached,nonsense"], 64, '--only "nonsense": not one of'),
    (["--only", ""], 64, '--only "": not one of'),
    (["-d", "0"], 64, "more than 0 is wanted"),
    (["-t", "1ms"], 64, "a ttl lies between 10ms and 1d"),
    (["a", "b"], 64, "at most one KEY"),
    (["--plot", "/nowhere/x.svg"], 73, "/nowhere/x.svg: No such file or directory"),
])
def test_bad_input(sqlite, words, code, said):
    done = sqlite.run("bench", *words)
    assert done.code == code and not done.out
    assert said in done.err and done.err.count("\n") == 1


def test_a_store_that_is_away(tmp_path):
    rig = Rig(f"redis+unix://{tmp_path}/nobody.sock", tmp_path)
    done = rig.run("bench", *SHORT, "--store-timeout", "200ms")
    assert done.code == 69 and not done.out
    assert "PAWL_ERR_UNAVAILABLE" in done.err


def test_options_before_the_verb_count(sqlite):
    done = sqlite.run("-S", "memory:", "-q", "--store-timeout", "forever", "bench", *SHORT,
                      "--only", "uncontended")
    assert done.code == 0 and done.out.startswith("memory:") and done.err == ""


def test_a_pawl_without_it_says_where_it_is(sqlite, tmp_path):
    """Who installs pawl to take locks may leave it out."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(PAWL, alone / "pawl")
    done = sqlite.run("bench", program=str(alone / "pawl"), env={"PATH": str(alone)})
    assert done.code == 127 and not done.out
    assert done.err == "pawl: bench is a program of its own, pawl-bench, and is not installed here (package pawl-tools)\n"
