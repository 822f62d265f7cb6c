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


def test_readers_hold_together_and_a_writer_waits_for_them(world):
    first, (said, fence) = holds(world, "-s")
    assert said == "shared [] []"
    second, (said, larger) = holds(world, "-s", "-n")
    assert said == "shared [] []" and int(larger) > int(fence)
    assert world.run("run", "-n", "k", "true").code == 75
    ends(first)
    assert world.run("run", "-n", "k", "true").code == 75
    writer = world.start("run", "k", "echo", "written")
    world.until_waiting("k")
    assert world.run("run", "-s", "-n", "k", "true").code == 75  # a writer that waits is not passed
    ends(second)
    assert writer.line() == "written" and writer.wait() == 0


def test_one_updater_beside_readers(world):
    reader, _ = holds(world, "-s")
    updater, (said, _) = holds(world, "-U", "-n")
    assert said == "update [] []"
    assert world.run("run", "-U", "-n", "k", "true").code == 75
    assert world.run("run", "-s", "-n", "k", "true").code == 0
    ends(reader)
    ends(updater)


def test_a_semaphore_tells_its_slots(world):
    first, (said, _) = holds(world, "-N", "3")
    assert said == "permit [0] [0]"
    second, (said, _) = holds(world, "-N", "3", "--units", "2")
    assert said == "permit [1] [1 2]"
    assert world.run("run", "-N", "3", "-n", "k", "true").code == 75
    ends(first)
    third, (said, _) = holds(world, "-N", "3")
    assert said == "permit [0] [0]"
    ends(third)
    ends(second)


def mode_in_table(world):
    """MODE of the one row; it may have spaces within, and two stand between columns."""
    row = world.run("ls").out.splitlines()[1]
    return [cell for cell in row.split("  ") if cell][1].strip()


def test_ls_tells_modes_and_how_many_hold(world):
    first, _ = holds(world, "-s")
    assert mode_in_table(world) == "shared"
    second, _ = holds(world, "-s")
    assert mode_in_table(world) == "shared x 2"
    ends(first)
    ends(second)
    writer, _ = holds(world)
    assert mode_in_table(world) == "exclusive"
    ends(writer)
    some, _ = holds(world, "-N", "8", "--units", "3")
    assert mode_in_table(world) == "permit 3/8"
    more, _ = holds(world, "-N", "8", "--units", "2")
    assert mode_in_table(world) == "permit 5/8"
    ends(some)
    ends(more)


def test_show_tells_the_mode_and_all_holders(world):
    first, _ = holds(world, "-s")
    assert "shared" in world.run("show", "k").out
    second, _ = holds(world, "-s")
    writer = world.start("run", "k", "true")
    seen = world.until_waiting("k")
    assert seen["mode"] == "shared" and seen["holder_count"] == 2
    assert [h["mode"] for h in seen["holders"]] == ["shared", "shared"]
    assert seen["waiters"][0]["mode"] == "exclusive"
    shown = world.run("show", "k").out
    assert "holders   2" in shown and str(seen["holders"][0]["fence"]) in shown
    ends(first)
    ends(second)
    assert writer.wait() == 0
    holder, _ = holds(world, "-N", "3", "--units", "2")
    seen = world.show("k")
    assert seen["slots"] == 3 and seen["holders"][0]["units"] == 2
    ends(holder)


def test_one_name_is_of_one_kind(world):
    holder, _ = holds(world, "-N", "3")
    done = world.run("run", "-N", "4", "k", "true")
    assert done.code == 78 and "another capacity" in done.err, done.err
    done = world.run("run", "-s", "k", "true")
    assert done.code == 78 and "another kind" in done.err, done.err
    ends(holder)


def test_what_pawl_sets_is_not_inherited(world):
    done = world.run("run", "k", "sh", "-c", "echo $PAWL_MODE [$PAWL_SLOT$PAWL_SLOTS]",
                     env={"PAWL_SLOT": "7", "PAWL_SLOTS": "7 8"})
    assert done.out == "exclusive []\n"
