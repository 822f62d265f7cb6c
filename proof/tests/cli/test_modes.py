# SPDX-License-Identifier: MIT
"""`run` in other modes than exclusive: readers, an updater, a semaphore."""
import json
import subprocess

from harness import PAWL


def holds(rig, *flags):
    """A command that holds `k` until its stdin ends; what it said when it began."""
    proc = rig.start("run", *flags, "k", "sh", "-c",
                     'echo "$PAWL_MODE [$PAWL_SLOT] [$PAWL_SLOTS] $PAWL_FENCE"; cat',
                     stdin=subprocess.PIPE)
    return proc, proc.line().rsplit(" ", 1)


def ends(proc):
    proc.popen.stdin.close()
    assert proc.wait() == 0, proc.errors()


def test_readers_hold_together_and_a_writer_waits_for_them(rig):
    first, (said, fence) = holds(rig, "-s")
    assert said == "shared [] []"
    second, (said, larger) = holds(rig, "-s", "-n")
    assert said == "shared [] []" and int(larger) > int(fence)
    assert rig.run("run", "-n", "k", "true").code == 75
    ends(first)
    assert rig.run("run", "-n", "k", "true").code == 75
    writer = rig.start("run", "k", "echo", "written")
    rig.until_waiting("k")
    assert rig.run("run", "-s", "-n", "k", "true").code == 75  # a writer that waits is not passed
    ends(second)
    assert writer.line() == "written" and writer.wait() == 0


def test_one_updater_beside_readers(rig):
    reader, _ = holds(rig, "-s")
    updater, (said, _) = holds(rig, "-U", "-n")
    assert said == "update [] []"
    assert rig.run("run", "-U", "-n", "k", "true").code == 75
    assert rig.run("run", "-s", "-n", "k", "true").code == 0
    ends(reader)
    ends(updater)


def test_a_semaphore_tells_its_slots(rig):
    first, (said, _) = holds(rig, "-N", "3")
    assert said == "permit [0] [0]"
    second, (said, _) = holds(rig, "-N", "3", "--units", "2")
    assert said == "permit [1] [1 2]"
    assert rig.run("run", "-N", "3", "-n", "k", "true").code == 75
    ends(first)
    third, (said, _) = holds(rig, "-N", "3")
    assert said == "permit [0] [0]"
    ends(third)
    ends(second)


def mode_in_table(rig):
    """MODE of the one row; it may have spaces within, and two stand between columns."""
    row = rig.run("ls").out.splitlines()[1]
    return [cell for cell in row.split("  ") if cell][1].strip()


def test_ls_tells_modes_and_how_many_hold(rig):
    first, _ = holds(rig, "-s")
    assert mode_in_table(rig) == "shared"
    second, _ = holds(rig, "-s")
    assert mode_in_table(rig) == "shared x 2"
    ends(first)
    ends(second)
    writer, _ = holds(rig)
    assert mode_in_table(rig) == "exclusive"
    ends(writer)
    some, _ = holds(rig, "-N", "8", "--units", "3")
    assert mode_in_table(rig) == "permit 3/8"
    more, _ = holds(rig, "-N", "8", "--units", "2")
    assert mode_in_table(rig) == "permit 5/8"
    ends(some)
    ends(more)


def test_show_tells_the_mode_and_all_holders(rig):
    first, _ = holds(rig, "-s")
    assert "shared" in rig.run("show", "k").out
    second, _ = holds(rig, "-s")
    writer = rig.start("run", "k", "true")
    seen = rig.until_waiting("k")
    assert seen["mode"] == "shared" and seen["holder_count"] == 2
    assert [h["mode"] for h in seen["holders"]] == ["shared", "shared"]
    assert seen["waiters"][0]["mode"] == "exclusive"
    shown = rig.run("show", "k").out
    assert "holders   2" in shown and str(seen["holders"][0]["fence"]) in shown
    assert ", exclusive, for " in shown
    ends(first)
    ends(second)
    assert writer.wait() == 0
    holder, _ = holds(rig, "-N", "3", "--units", "2")
    seen = rig.show("k")
    assert seen["slots"] == 3 and seen["holders"][0]["units"] == 2
    waiter = rig.start("run", "-N", "3", "--units", "3", "k", "true")
    rig.until_waiting("k")
    shown = rig.run("show", "k").out
    assert "slots     3, of which 2 are taken\n" in shown, shown
    assert ", 3 units, for " in shown, shown
    ends(holder)
    assert waiter.wait() == 0


def test_one_name_is_of_one_kind(rig):
    holder, _ = holds(rig, "-N", "3")
    done = rig.run("run", "-N", "4", "k", "true")
    assert done.code == 78 and "another capacity: it has " in done.err, done.err
    done = rig.run("run", "-s", "k", "true")
    assert done.code == 78 and "in use as" in done.err, done.err
    ends(holder)


def test_what_pawl_sets_is_not_inherited(rig):
    done = rig.run("run", "k", "sh", "-c", "echo $PAWL_MODE [$PAWL_SLOT$PAWL_SLOTS]",
                   env={"PAWL_SLOT": "7", "PAWL_SLOTS": "7 8"})
    assert done.out == "exclusive []\n"


# ---- Several keys ------------------------------------------------------------------------

EACH = ('echo "$PAWL_KEY_1 $PAWL_KEY_2 $PAWL_KEY_3"; echo "$PAWL_FENCE_1 $PAWL_FENCE_2";'
        ' echo "$PAWL_KEY $PAWL_FENCE"; echo "$PAWL_TOKEN_1" | wc -c; cat')


def test_several_keys_are_all_held_or_none(rig):
    both = rig.start("run", "-k", "b", "-k", "a", "--", "sh", "-c", EACH, stdin=subprocess.PIPE)
    assert both.line() == "b a "
    fences = both.line().split()
    assert len(fences) == 2 and all(int(f) > 0 for f in fences)
    assert both.line() == f"b {fences[0]}"
    assert both.line() == "41"
    assert rig.run("run", "-n", "a", "true").code == 75
    assert rig.run("run", "-n", "b", "true").code == 75
    busy = rig.run("run", "-n", "-k", "c", "-k", "a", "--", "true")
    assert busy.code == 75 and "c, a: busy: held by" in busy.err
    assert rig.run("run", "-n", "c", "true").code == 0  # it was given back
    ends(both)
    assert rig.run("run", "-w", "5s", "-k", "c", "-k", "a", "-c", "exit 7").code == 7


def test_events_name_each_key_and_its_fence(rig):
    done = rig.run("run", "--json-events", "1", "-k", "a", "-k", "b", "--", "true")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0 and all(e["keys"] == ["a", "b"] and e["key"] == "a" for e in events)
    acquired = next(e for e in events if e["event"] == "acquired")
    assert len(acquired["fences"]) == 2 and acquired["fences"][0] == acquired["fence"]


def test_several_keys_inside_one_of_them_fail_at_once(rig):
    inner = ["run", "-k", "b", "-k", "c", "--", "true"]
    done = rig.run("run", "-k", "a", "-k", "b", "--", str(PAWL), *inner)
    assert done.code == 75 and "already held by an ancestor" in done.err


def test_each_of_several_keys_is_checked_by_its_own_token(rig):
    script = ('"$0" check; "$0" check b && "$0" renew b && "$0" check a; "$0" release c; echo $?; '
              'unset PAWL_TOKEN_2; "$0" check b')
    done = rig.run("run", "-k", "a", "-k", "b", "--", "sh", "-c", script, PAWL)
    lines = done.out.splitlines()
    assert done.code == 0, done.err
    assert lines[-2] == "76" and all(int(left) > 0 for left in lines[:3] + lines[-1:]), lines


def test_a_run_inside_of_one_of_several_keys_has_its_own_names_alone(rig):
    """Of a name that stands twice in an environment a program takes one or the other."""
    inner = ["sh", "-c", "tr '\\0' '\\n' < /proc/$$/environ | grep '^PAWL_[A-Z]*_[0-9]*='; true"]
    outer = ["run", "-k", "a", "-k", "b", "-k", "c", "--", PAWL, "run"]
    names = [line.split("=")[0] for line in
             rig.run(*outer, "-k", "x", "-k", "y", "--", *inner).out.splitlines()]
    assert sorted(names) == [f"PAWL_{what}_{n}" for what in ("FENCE", "KEY", "TOKEN")
                             for n in (1, 2)], names
    assert rig.run(*outer, "x", *inner).out == ""


def test_keys_that_do_not_fit_are_refused(rig):
    assert rig.run("run", "-k", "a", "-k", "a", "--", "true").code == 64
    many = [word for i in range(65) for word in ("-k", f"k{i}")]
    assert rig.run("run", *many, "--", "true").code == 64
    assert rig.run("run", *many[:-2], "--", "true").code == 0
    assert rig.run("run", "--reentrant", "-k", "a", "-k", "b", "--", "true").code == 64
    assert rig.run("run", "-k", "a").code == 64
    assert rig.run("run", "-k", "a", "--", "true").code == 0


def inside(rig, outer, inner):
    """What `run --reentrant` said and did inside of a run of the same key."""
    return rig.run("run", *outer, "k", PAWL, "run", "--reentrant", *inner, "k", "echo", "ran")


def test_a_lock_is_joined_by_what_it_is_enough_for(rig):
    permits = ("-N", "3", "--units", "2")
    for outer, inner in (((), ("-s",)), ((), ("-U",)), (("-U",), ("-s",)), (("-s",), ("-s",)),
                         (permits, ("-N", "3")), (permits, permits)):
        done = inside(rig, outer, inner)
        assert done.code == 0 and done.out == "ran\n", (outer, inner, done.err)
    for outer, inner, code, error in (
            (("-s",), (), 64, "MODE"), (("-U",), (), 64, "MODE"), (("-s",), ("-U",), 64, "MODE"),
            (("-N", "3"), (), 78, "KIND"), ((), ("-N", "3"), 78, "KIND"),
            (("-N", "3"), ("-s",), 78, "KIND"), (permits, ("-N", "4"), 78, "CAPACITY"),
            (("-N", "3"), permits, 64, "UNITS")):
        done = inside(rig, outer, inner)
        assert done.code == code and not done.out, (outer, inner, done.out)
        assert f"[PAWL_ERR_{error}]" in done.err and done.err.count("\n") == 1, done.err

