# SPDX-License-Identifier: MIT
"""`barrier`: so many go on together, or none."""
import signal


def comes(rig, *flags):
    return rig.start("barrier", "gather", "--parties", "3", *flags)


def until_there(rig, count):
    rig.until("gather", lambda seen: seen.get("holder_count", 0) == count)


def test_all_go_on_together_round_after_round(rig):
    for _ in range(2):
        parties = [comes(rig) for _ in range(3)]
        assert [p.wait() for p in parties] == [0, 0, 0]


def test_who_gives_up_breaks_it_for_the_others(rig):
    stays = comes(rig)
    until_there(rig, 1)
    told = rig.run("barrier", "gather", "--parties", "3", "-w", "0")
    assert told.code == 75 and "not all parties have come" in told.err
    assert stays.wait() == 76


def test_a_signal_ends_it_and_breaks_it(rig):
    proc, stays = comes(rig), comes(rig)
    until_there(rig, 2)
    proc.kill(signal.SIGTERM)
    assert proc.wait() == 128 + signal.SIGTERM
    assert stays.wait() == 76
    rig.until_free("gather")


def test_a_ttl_out_of_bounds_is_an_error_of_use(sqlite):
    wrong = sqlite.run("barrier", "gather", "--parties", "2", "-t", "1ms")
    assert wrong.code == 64 and "--ttl 1ms: a ttl lies between" in wrong.err


def test_another_count_is_an_error(rig):
    stays = comes(rig)
    until_there(rig, 1)
    wrong = rig.run("barrier", "gather", "--parties", "4", "-w", "0")
    assert wrong.code == 78 and "another count" in wrong.err
    stays.kill(signal.SIGTERM)
    stays.wait()


def test_wrong_options_are_refused(rig):
    for flags in [[], ["--parties", "0"], ["--parties", "1001"], ["--parties", "2", "-t", "1ms"]]:
        assert rig.run("barrier", "gather", *flags).code == 64
    assert rig.run("barrier", "x" * 508, "--parties", "2").code == 64
    assert rig.run("barrier", "alone", "--parties", "1").code == 0
