# SPDX-License-Identifier: MIT
"""`run` in other modes than exclusive: readers, an updater, a semaphore."""
import json
import subprocess

from harness import PAWL


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
    assert done.code == 78 and "another capacity: it has " in done.err, done.err
    done = world.run("run", "-s", "k", "true")
    assert done.code == 78 and "in use as" in done.err, done.err
    ends(holder)


def test_what_pawl_sets_is_not_inherited(world):
    done = world.run("run", "k", "sh", "-c", "echo $PAWL_MODE [$PAWL_SLOT$PAWL_SLOTS]",
                     env={"PAWL_SLOT": "7", "PAWL_SLOTS": "7 8"})
    assert done.out == "exclusive []\n"


# ---- Several keys ------------------------------------------------------------------------

EACH = ('echo "$PAWL_KEY_1 $PAWL_KEY_2 $PAWL_KEY_3"; echo "$PAWL_FENCE_1 $PAWL_FENCE_2";'
        ' echo "$PAWL_KEY $PAWL_FENCE"; echo "$PAWL_TOKEN_1" | wc -c; cat')


def test_several_keys_are_all_held_or_none(world):
    both = world.start("run", "-k", "b", "-k", "a", "--", "sh", "-c", EACH, stdin=subprocess.PIPE)
    assert both.line() == "b a "
    fences = both.line().split()
    assert len(fences) == 2 and all(int(f) > 0 for f in fences)
    assert both.line() == f"b {fences[0]}"
    assert both.line() == "41"
    assert world.run("run", "-n", "a", "true").code == 75
    assert world.run("run", "-n", "b", "true").code == 75
    busy = world.run("run", "-n", "-k", "c", "-k", "a", "--", "true")
    assert busy.code == 75 and "c, a: busy: held by" in busy.err
    assert world.run("run", "-n", "c", "true").code == 0  # it was given back
    ends(both)
    assert world.run("run", "-w", "5s", "-k", "c", "-k", "a", "-c", "exit 7").code == 7


def test_events_name_each_key_and_its_fence(world):
    done = world.run("run", "--json-events", "1", "-k", "a", "-k", "b", "--", "true")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0 and all(e["keys"] == ["a", "b"] and e["key"] == "a" for e in events)
    acquired = next(e for e in events if e["event"] == "acquired")
    assert len(acquired["fences"]) == 2 and acquired["fences"][0] == acquired["fence"]


def test_several_keys_inside_one_of_them_fail_at_once(world):
    inner = ["run", "-k", "b", "-k", "c", "--", "true"]
    done = world.run("run", "-k", "a", "-k", "b", "--", str(PAWL), *inner)
    assert done.code == 75 and "already held by an ancestor" in done.err


def test_keys_that_do_not_fit_are_refused(world):
    assert world.run("run", "-k", "a", "-k", "a", "--", "true").code == 64
    many = [word for i in range(65) for word in ("-k", f"k{i}")]
    assert world.run("run", *many, "--", "true").code == 64
    assert world.run("run", *many[:-2], "--", "true").code == 0
    assert world.run("run", "--reentrant", "-k", "a", "-k", "b", "--", "true").code == 64
    assert world.run("run", "-k", "a").code == 64
    assert world.run("run", "-k", "a", "--", "true").code == 0
