# SPDX-License-Identifier: MIT
"""`run` in other modes than exclusive: readers, an updater, a semaphore."""
import subprocess


def holds(world, *flags):
    """A command that holds `k` until its stdin ends; what it said when it began."""
    proc = world.start("run", *flags, "k", "sh", "-c",
                       'echo "$PAWL_MODE [$PAWL_SLOT] [$PAWL_SLOTS] $PAWL_FENCE"; cat',
                       stdin=subprocess.PIPE)
    return proc, proc.line().rsplit(" ", 1)


def ends(proc):
    proc.popen.stdin.close()
    assert proc.wait() == 0, proc.errors()


def test_readers_hold_together_and_a_writer_waits_for_them(redis):
    first, (said, fence) = holds(redis, "-s")
    assert said == "shared [] []"
    second, (said, larger) = holds(redis, "-s", "-n")
    assert said == "shared [] []" and int(larger) > int(fence)
    assert redis.run("run", "-n", "k", "true").code == 75
    ends(first)
    assert redis.run("run", "-n", "k", "true").code == 75
    writer = redis.start("run", "k", "echo", "written")
    redis.until_waiting("k")
    assert redis.run("run", "-s", "-n", "k", "true").code == 75  # a writer that waits is not passed
    ends(second)
    assert writer.line() == "written" and writer.wait() == 0


def test_one_updater_beside_readers(redis):
    reader, _ = holds(redis, "-s")
    updater, (said, _) = holds(redis, "-U", "-n")
    assert said == "update [] []"
    assert redis.run("run", "-U", "-n", "k", "true").code == 75
    assert redis.run("run", "-s", "-n", "k", "true").code == 0
    ends(reader)
    ends(updater)


def test_a_semaphore_tells_its_slots(redis):
    first, (said, _) = holds(redis, "-N", "3")
    assert said == "permit [0] [0]"
    second, (said, _) = holds(redis, "-N", "3", "--units", "2")
    assert said == "permit [1] [1 2]"
    assert redis.run("run", "-N", "3", "-n", "k", "true").code == 75
    ends(first)
    third, (said, _) = holds(redis, "-N", "3")
    assert said == "permit [0] [0]"
    ends(third)
    ends(second)


def test_show_tells_the_mode_and_all_holders(redis):
    first, _ = holds(redis, "-s")
    assert "shared" in redis.run("show", "k").out
    second, _ = holds(redis, "-s")
    writer = redis.start("run", "k", "true")
    seen = redis.until_waiting("k")
    assert seen["mode"] == "shared" and seen["holder_count"] == 2
    assert [h["mode"] for h in seen["holders"]] == ["shared", "shared"]
    assert seen["waiters"][0]["mode"] == "exclusive"
    shown = redis.run("show", "k").out
    assert "holders   2" in shown and str(seen["holders"][0]["fence"]) in shown
    ends(first)
    ends(second)
    assert writer.wait() == 0
    holder, _ = holds(redis, "-N", "3", "--units", "2")
    seen = redis.show("k")
    assert seen["slots"] == 3 and seen["holders"][0]["units"] == 2
    ends(holder)


def test_one_name_is_of_one_kind(redis):
    holder, _ = holds(redis, "-N", "3")
    done = redis.run("run", "-N", "4", "k", "true")
    assert done.code == 78 and "another capacity" in done.err, done.err
    done = redis.run("run", "-s", "k", "true")
    assert done.code == 78 and "another kind" in done.err, done.err
    ends(holder)


def test_a_store_that_cannot_says_so(sqlite):
    done = sqlite.run("run", "-s", "k", "true")
    assert done.code in (0, 78)
    if done.code:
        assert "exclusive locks only" in done.err, done.err


def test_what_pawl_sets_is_not_inherited(redis):
    done = redis.run("run", "k", "sh", "-c", "echo $PAWL_MODE [$PAWL_SLOT$PAWL_SLOTS]",
                     env={"PAWL_SLOT": "7", "PAWL_SLOTS": "7 8"})
    assert done.out == "exclusive []\n"
