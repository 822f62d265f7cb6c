# SPDX-License-Identifier: MIT
"""`latch`: it opens when so many have counted down."""
import subprocess


def latch(world, *flags):
    return world.run("latch", "gate", "--count", "3", *flags)


def test_it_opens_when_all_have_counted(world):
    waits = world.start("latch", "gate", "--count", "3", stdin=subprocess.DEVNULL)
    assert latch(world, "--left").out == "3\n"
    assert latch(world, "--down").code == 0
    told = latch(world, "-w", "0")
    assert told.code == 75 and "2 are still to come" in told.err
    assert latch(world, "-w", "10ms", "-E", "9").code == 9
    assert latch(world, "--down", "--by", "2").out == ""
    assert waits.wait() == 0
    assert latch(world).code == 0
    assert latch(world, "--left").out == "0\n"


def test_another_count_is_an_error(world):
    assert latch(world, "--down").code == 0
    for flags in ["--down"], ["--left"], []:
        wrong = world.run("latch", "gate", "--count", "4", *flags)
        assert wrong.code == 78 and "another count" in wrong.err
    assert latch(world, "--left").out == "2\n"


def test_wrong_options_are_refused(world):
    for flags in [[], ["--count", "0"], ["--count", "2", "--by", "3"],
                  ["--count", "2", "--down", "--left"], ["--count", "2", "--keep", "0"]]:
        assert world.run("latch", "gate", *flags).code == 64
