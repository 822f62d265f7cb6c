# SPDX-License-Identifier: MIT
"""`latch`: it opens when so many have counted down."""
import subprocess


def latch(rig, *flags):
    return rig.run("latch", "gate", "--count", "3", *flags)


def test_it_opens_when_all_have_counted(rig):
    waits = rig.start("latch", "gate", "--count", "3", stdin=subprocess.DEVNULL)
    assert latch(rig, "--left").out == "3\n"
    assert latch(rig, "--down").code == 0
    told = latch(rig, "-w", "0")
    assert told.code == 75 and "2 are still to come" in told.err
    assert latch(rig, "-w", "10ms", "-E", "9").code == 9
    assert latch(rig, "--down", "--by", "2").out == ""
    assert waits.wait() == 0
    assert latch(rig).code == 0
    assert latch(rig, "--left").out == "0\n"


def test_another_count_is_an_error(rig):
    assert latch(rig, "--down").code == 0
    for flags in ["--down"], ["--left"], []:
        wrong = rig.run("latch", "gate", "--count", "4", *flags)
        assert wrong.code == 78 and "another count" in wrong.err
    assert latch(rig, "--left").out == "2\n"


def test_wrong_options_are_refused(rig):
    for flags in [[], ["--count", "0"], ["--count", "2", "--down", "--by", "3"],
                  ["--count", "2", "--down", "--left"], ["--count", "2", "--keep", "0"],
                  ["--count", "2", "--down", "--keep", "0"], ["--count", "2", "--by", "1"],
                  ["--count", "2", "--left", "--keep", "1h"]]:
        assert rig.run("latch", "gate", *flags).code == 64
