# SPDX-License-Identifier: MIT
"""What pawl serve remembers: who held what when, where it was waited for, who waits in a circle; and the doctor."""
import re
import signal
import time
from pathlib import Path

from harness import PATIENCE
from serving import holds, keys, lets_go, waits

PAGE = Path(__file__).resolve().parents[3] / "src/cli/serve/page"


def entries(served, query=""):
    return served.get("/timeline?" + query)["entries"]


def until_past(served, key, *changes):
    """The changes of one lock, the latest first."""
    end = time.monotonic() + PATIENCE
    stream = served.stream("limit=0")
    try:
        while True:
            past = entries(served, "key=" + key)
            if [entry["change"] for entry in past] == list(changes):
                return past
            assert time.monotonic() < end, past
            stream.next()
    finally:
        stream.close()


def until_row(served, accept, what):
    return served.until(lambda seen: seen["store"]["known"] and accept({row["key"]: row for row in seen["rows"]}), what)


def test_who_held_when(rig, serve):
    served = serve(rig)
    served.until(lambda seen: seen["store"]["known"], "known")
    assert entries(served) == [] and served.get("/timeline")["began_ms"] > 0
    first = holds(rig, "app:k", "-t", "60s")
    taken = until_past(served, "app:k", "taken")[0]
    assert taken["holder"] and "before" not in taken and taken["since_s"] and not taken["was_away"]
    assert 0 < taken["to_ms"] - taken["from_ms"] and abs(taken["to_ms"] / 1000 - time.time()) < PATIENCE
    second = waits(rig, "app:k", "-t", "60s")
    lets_go(first)
    second.expect("held")
    passed = until_past(served, "app:k", "passed", "taken")[0]
    assert (passed["before"], passed["before_fence"]) == (taken["holder"], taken["fence"])
    assert passed["holder"] != passed["before"] and int(passed["fence"]) > int(passed["before_fence"])
    assert passed["may_have_run_out"] is False
    lets_go(second)
    freed = until_past(served, "app:k", "freed", "passed", "taken")[0]
    assert freed["before"] == passed["holder"] and "holder" not in freed and freed["may_have_run_out"] is False
    assert len(entries(served, "prefix=app:")) == 3 and entries(served, "prefix=other:") == []


def test_a_lease_that_ran_out_is_not_called_given_back(redis, serve):
    """However late the looks are: each time that one saw the key and the next one did not, its ttl had passed."""
    served = serve(redis)
    stream = served.stream()
    end = time.monotonic() + PATIENCE
    while not (freed := [entry for entry in entries(served, "key=k") if entry["change"] == "freed"]):
        assert time.monotonic() < end, "no look saw it"
        if not stream.next()["rows"]:
            redis.server.cli("SET", "pawl:k", "somebody", "PX", "600")
    assert all(entry["may_have_run_out"] for entry in freed)
    stream.close()


def test_a_break_is_told_with_who_did_it(rig, serve):
    for key in ("quiet", "waited"):
        holds(rig, key)
    waiter = waits(rig, "waited")
    served = serve(rig)
    rows = until_row(served, lambda rows: len(rows) == 2, "both")["rows"]
    for row in rows:
        assert rig.run("break", row["key"], "--fence", row["fence"], "--owner", "an operator").code == 0
    quiet = until_past(served, "quiet", "broken")[0]
    assert (quiet["by"], "holder" in quiet) == ("an operator", False)
    waited = until_past(served, "waited", "broken")[0]
    assert waited["by"] == "an operator" and waited["holder"] != waited["before"]
    waiter.expect("held")
    lets_go(waiter)


def test_readers_come_and_go(sqlite, serve):
    first = holds(sqlite, "k", "-s")
    served = serve(sqlite)
    until_row(served, lambda rows: "k" in rows, "k")
    second = holds(sqlite, "k", "-s")
    more = until_past(served, "k", "mode")[0]
    assert (more["mode"], more["holders"], more["before_mode"], more["before_holders"]) == ("shared", 2, "shared", 1)
    lets_go(second)
    until_past(served, "k", "mode", "mode")
    lets_go(first)


def test_a_store_that_was_away_is_told(redis, serve):
    """It comes back without its memory, so the first look that succeeds sees no lock."""
    redis.server.cli("SET", "pawl:k", "somebody", "PX", "600000")
    served = serve(redis)
    until_row(served, lambda rows: "k" in rows, "k")
    redis.server.popen.kill()
    redis.server.popen.wait()
    served.until(lambda seen: not seen["store"]["known"], "away")
    redis.server.popen.stdout.close()
    redis.server.start()
    assert until_past(served, "k", "freed")[0]["was_away"] is True


def test_the_past_is_bounded(redis, serve):
    """So many names, so many changes of each; what is forgotten is told."""
    served = serve(redis)
    served.until(lambda seen: seen["store"]["known"], "known")
    assert served.get("/timeline")["cut"] is False
    redis.server.cli("EVAL", "for i = 1, 1100 do redis.call('SET', 'pawl:n' .. i, 'x') end", "0")
    end = time.monotonic() + PATIENCE
    stream = served.stream("limit=0")
    while (past := served.get("/timeline"))["names"] < 1000 or not past["forgotten_names"]:
        assert time.monotonic() < end, (past["names"], past["forgotten_names"])
        stream.next()
    assert past["names"] == past["names_max"] == 1000 and past["cut"] and len(past["entries"]) == 200
    stream.close()


# ---- Contention ------------------------------------------------------------------------------


def test_where_it_was_waited_for(sqlite, serve):
    for key in ("app:a", "app:b", "job:x", "plain", "quiet:q"):
        holds(sqlite, key)
    for key in ("app:a", "app:b", "job:x", "plain"):
        waits(sqlite, key)
    waits(sqlite, "app:a", count=2)
    served = serve(sqlite)
    until_row(served, lambda rows: rows["app:a"]["waiting"] == 2, "all wait")
    heat = served.get("/contention")
    most = {one["class"]: max(count for count in one["waiters"] if count is not None) for one in heat["classes"]}
    assert most == {"app": 3, "job": 1, "": 1}
    for one in heat["classes"]:
        assert len(one["waiters"]) == 120 and one["waiters"][0] is None  # nobody has looked then
    assert abs(heat["last_ms"] / 1000 - time.time()) < 30 + PATIENCE and heat["left_out"] == 0


def test_so_many_classes(redis, serve):
    """What does not fit in is told."""
    redis.server.cli("EVAL", "for i = 1, 60 do redis.call('SET', 'pawl:c' .. i .. ':k', 'x') end", "0")
    waiters = [redis.start("run", f"c{i}:k", "true") for i in range(1, 51)]
    served = serve(redis)
    served.until(lambda seen: seen["store"]["known"] and seen["sums"]["queues"] == len(waiters), "all wait", "limit=0")
    heat = served.get("/contention")
    assert len(heat["classes"]) == heat["classes_max"] == 48 and heat["left_out"] >= 2
    for waiter in waiters:
        waiter.kill(signal.SIGKILL)


# ---- Deadlocks -------------------------------------------------------------------------------


def circles(served):
    return served.get("/deadlocks")["circles"]


def test_who_waits_in_a_circle(rig, serve):
    """Labels tell who is who: a command and the one inside it have the same here."""
    procs = []
    for owner, key, other in (("ann", "a", "b"), ("ben", "b", "c"), ("cid", "c", "a")):
        procs.append(holds(rig, key, "--owner", owner, "-t", "60s"))
    served = serve(rig)
    assert served.until(lambda seen: seen["store"]["known"], "known")["deadlocks"] == 0 and circles(served) == []
    for owner, other in (("ann", "b"), ("ben", "c")):
        waits(rig, other, "--owner", owner, "-t", "60s")
    until_row(served, lambda rows: rows["c"]["waiting"] == 1, "ben waits")
    assert circles(served) == []
    last = waits(rig, "a", "--owner", "cid", "-t", "60s")
    waits(rig, "a", "--owner", "dan", "-t", "60s", count=2)  # waits, too, but nobody waits for dan
    served.until(lambda seen: seen["deadlocks"] == 1, "a circle that stays")
    seen = circles(served)
    assert len(seen) == 1 and seen[0]["looks"] >= 2
    assert [(one["owner"], one["key"], one["holder"]) for one in seen[0]["waits"]] == [
        ("ann", "b", "ben"), ("ben", "c", "cid"), ("cid", "a", "ann")]
    last.kill(signal.SIGTERM)
    served.until(lambda seen: seen["deadlocks"] == 0, "it is over")
    assert circles(served) == []


def test_who_waits_for_itself_is_no_circle(sqlite, serve):
    """Threads of one process have one label."""
    holds(sqlite, "k", "--owner", "me")
    waits(sqlite, "k", "--owner", "me")
    served = serve(sqlite)
    until_row(served, lambda rows: rows["k"]["waiting"] == 1, "it waits")
    assert circles(served) == [] and served.get("/deadlocks")["cut"] is False


# ---- The doctor ------------------------------------------------------------------------------


def test_the_doctor(rig, serve):
    served = serve(rig)
    exam = served.get("/doctor")
    assert exam["age_ms"] >= 0 and exam["findings"]
    for finding in exam["findings"]:
        assert finding["severity"] in ("ok", "note", "warning", "error") and finding["topic"] and finding["text"]
    again = served.get("/doctor")
    assert again["findings"] == exam["findings"] and again["age_ms"] >= exam["age_ms"]


def test_the_doctor_cannot_ask(redis, serve):
    served = serve(redis, "--store-timeout", "300ms")
    served.until(lambda seen: seen["store"]["known"], "known")
    redis.server.stop()
    try:
        status, _, _ = served.ask("/doctor")
        assert status == 503
    finally:
        redis.server.cont()


# ---- Many locks ------------------------------------------------------------------------------


def test_many_locks_come_in_pages(redis, serve):
    redis.server.cli("EVAL", "for i = 1, 2000 do redis.call('SET', 'pawl:app:' .. i, 'x') end", "0")
    served = serve(redis)
    seen = served.until(lambda seen: seen["store"]["known"], "known", "sort=name&limit=100000")
    assert seen["total"] == 2000 and len(seen["rows"]) == 200
    page = served.get("/locks?sort=name&limit=200&offset=200")
    assert len(page["rows"]) == 200 and not set(keys(page)) & set(keys(seen))
    assert served.get("/locks?offset=1999")["total"] == 2000 and len(served.get("/locks?offset=1999")["rows"]) == 1


# ---- Words -----------------------------------------------------------------------------------


def words_of(language):
    """The words of a language, with those inside of others: "by.name"."""
    text = (PAGE / "words.js").read_text("utf-8")
    part = text[text.index(f"  {language}: {{"):]
    part = re.sub(r"`[^`]*`|\"(?:[^\"\\]|\\.)*\"", "''", part[:part.index("\n  },")])
    return re.findall(r"(\w+):", part)[1:]


def test_each_word_has_its_translation():
    assert len(words_of("en")) > 100 and words_of("en") == words_of("zh")


def test_each_word_that_the_page_uses_is_there():
    used = set()
    for name in ("page.js", "views.js", "break.js"):
        used |= set(re.findall(r"words\.(\w+)", (PAGE / name).read_text("utf-8")))
    used |= set(re.findall(r"data-(?:word|title|placeholder)=\"(\w+)\"", (PAGE / "page.html").read_text("utf-8")))
    assert used and used <= set(words_of("en")), used - set(words_of("en"))
