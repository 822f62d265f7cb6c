# SPDX-License-Identifier: MIT
"""`barrier`: so many go on together, or none."""
import signal


def party(world, *flags):
    return world.start("barrier", "gather", "--parties", "3", *flags)


def until_there(world, count):
    world.until("gather", lambda seen: seen.get("holder_count", 0) == count)


def test_all_go_on_together_round_after_round(world):
    for _ in range(2):
        parties = [party(world) for _ in range(3)]
        assert [p.wait() for p in parties] == [0, 0, 0]


def test_who_gives_up_breaks_it_for_the_others(world):
    stays = party(world)
    until_there(world, 1)
    told = world.run("barrier", "gather", "--parties", "3", "-w", "0")
    assert told.code == 75 and "not all parties have come" in told.err
    assert stays.wait() == 76


def test_a_signal_ends_it_and_breaks_it(world):
    proc, stays = party(world), party(world)
    until_there(world, 2)
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGTERM
    assert stays.wait() == 76
    world.until_free("gather")


def test_another_count_is_an_error(world):
    stays = party(world)
    until_there(world, 1)
    wrong = world.run("barrier", "gather", "--parties", "4", "-w", "0")
    assert wrong.code == 78 and "another count" in wrong.err
    stays.kill(signal.SIGTERM)
    stays.wait()


def test_wrong_options_are_refused(world):
    for flags in [[], ["--parties", "0"], ["--parties", "1001"], ["--parties", "2", "-t", "1ms"]]:
        assert world.run("barrier", "gather", *flags).code == 64
    assert world.run("barrier", "x" * 508, "--parties", "2").code == 64
    assert world.run("barrier", "alone", "--parties", "1").code == 0
