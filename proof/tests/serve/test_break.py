# SPDX-License-Identifier: MIT
"""Breaking a lock from the page: only by who may, only whom they saw, and never without a line in the log."""
import json
import resource
import stat

import pytest

from harness import Rig
from serving import holds, lets_go, waits
from swallow import Swallow

TOKENS = "0123456789abcdef-nameless\nann 0123456789abcdef-ann\n"
ANN = {"Authorization": "Bearer 0123456789abcdef-ann"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def breaker(serve, tmp_path):
    """A pawl serve that may break, and its log."""
    def start(rig, *options):
        (tmp_path / "tokens").write_text(TOKENS)
        (tmp_path / "tokens").chmod(0o600)
        served = serve(rig, "--token-file", tmp_path / "tokens", "--allow-break", tmp_path / "log", *options)
        served.log_file = tmp_path / "log"
        return served
    return start


def lines(served):
    return [json.loads(line) for line in served.log_file.read_text("ascii").splitlines()]


def wish(served, key, fence, reason="it hangs", headers=ANN, **more):
    body = json.dumps({"key": key, "fence": str(fence), "reason": reason, **more})
    status, text, _ = served.post("/break", body, {**JSON, **headers})
    return status, json.loads(text) if text.startswith("{") else text


def test_the_right_fence_breaks_and_is_written_down(rig, breaker):
    holder = holds(rig, "app:k")
    waiter = waits(rig, "app:k")
    served = breaker(rig)
    seen = served.get("/lock?key=app:k", headers=ANN)
    status, answer = wish(served, "app:k", seen["fence"])
    assert (status, answer) == (200, {"result": "broken", "reason": ""})
    waiter.expect("held")
    assert holder.wait() == 76
    asked, ended = lines(served)
    assert (asked["event"], ended["event"], ended["result"]) == ("asked", "ended", "broken")
    assert asked["id"] == ended["id"] and len(asked["id"]) == 16
    for line in (asked, ended):
        assert line["token"] == "ann" and line["peer"] == "127.0.0.1" and line["forwarded_for"] is None
        assert (line["key"], line["fence"], line["holder"]) == ("app:k", seen["fence"], seen["owner"])
        assert line["reason"] == "it hangs" and line["at"].endswith("Z") and "T" in line["at"]
    assert stat.S_IMODE(served.log_file.stat().st_mode) == 0o600
    past = served.get("/timeline?key=app:k", headers=ANN)["entries"]
    broken = next(entry for entry in past if entry["change"] == "broken")
    assert (broken["by"], broken["reason"], broken["before"]) == ("ann", "it hangs", seen["owner"])
    lets_go(waiter)


def test_a_wrong_fence_breaks_nothing(rig, breaker):
    holder = holds(rig, "k")
    served = breaker(rig)
    fence = int(served.get("/lock?key=k", headers=ANN)["fence"])
    for wrong in (fence + 1, fence - 1, 0, 2**64 - 1):
        status, answer = wish(served, "k", wrong)
        assert (status, answer["result"]) == (409, "not_broken") and "look again" in answer["reason"]
    assert wish(served, "nobody has it", fence)[0] == 409
    assert served.get("/lock?key=k", headers=ANN)["fence"] == str(fence)
    seen = lines(served)
    assert [line["event"] for line in seen] == 5 * ["asked", "ended"]
    assert all(line["result"] == "not_broken" and line["why"] for line in seen[1::2])
    assert all(line["holder"] is None for line in seen)
    lets_go(holder)


def test_who_may_not_breaks_nothing(sqlite, breaker, serve):
    holder = holds(sqlite, "k")
    served = breaker(sqlite)
    fence = served.get("/lock?key=k", headers=ANN)["fence"]
    body = json.dumps({"key": "k", "fence": fence, "reason": "why not"})
    here = {"Origin": f"http://127.0.0.1:{served.port}"}
    for headers, status in (({**here, **JSON}, 401), ({**here, **JSON, "Authorization": "Bearer wrong"}, 401),
                            ({**JSON}, 403), ({**JSON, **ANN, "Origin": "http://evil.example"}, 403),
                            ({**JSON, **ANN, "Origin": "null"}, 403), ({**ANN, **here}, 415),
                            ({**ANN, **here, "Content-Type": "text/plain"}, 415),
                            ({**ANN, **here, "Content-Type": "application/x-www-form-urlencoded"}, 415),
                            ({**ANN, **here, "Content-Type": "application/jsonp"}, 415),
                            ({**ANN, **JSON, "Host": "evil.example"}, 421)):
        assert served.ask("/break", "POST", body, headers)[0] == status, headers
    assert served.ask("/break", headers=ANN)[0] == 405
    for nonsense in ("", "[]", "{}", "x", "null", '{"key":"k"}', json.dumps({"key": "k", "fence": int(fence), "reason": "x"}),
                     json.dumps({"key": "", "fence": fence, "reason": "x"}), json.dumps({"key": "k", "fence": "", "reason": "x"}),
                     json.dumps({"key": "k", "fence": fence + "x", "reason": "x"}), json.dumps({"key": "k", "fence": "-1", "reason": "x"}),
                     json.dumps({"key": "k", "fence": "9" * 30, "reason": "x"}), json.dumps({"key": "k", "fence": fence, "reason": " "}),
                     json.dumps({"key": "k", "fence": fence, "reason": 201 * "x"}), json.dumps({"key_hex": "0", "fence": fence, "reason": "x"}),
                     '{"key":"k","key":"l","fence":"1","reason":"x"}', body[:-1] + ',"x":' + 500 * "["):
        status, text, _ = served.post("/break", nonsense, {**JSON, **ANN})
        assert status == 400 and json.loads(text)["result"] == "not_broken", nonsense
    assert lines(served) == [] and served.get("/lock?key=k", headers=ANN)["fence"] == fence
    plain = serve(sqlite)
    assert plain.post("/break", body, JSON)[0] == 404 and plain.get("/locks")["can_break"] is False
    assert served.get("/locks", headers=ANN)["can_break"] is True
    lets_go(holder)


@pytest.mark.parametrize("options, code, words", [
    (["--allow-break", "log"], 64, "--allow-break wants --token-file"),
    (["--allow-break", "no/such/log", "--token-file", "tokens"], 73, "--allow-break no/such/log: No such file"),
    (["--allow-break", ".", "--token-file", "tokens"], 73, "--allow-break .: Is a directory"),
    (["--allow-break", "/dev/null", "--token-file", "tokens"], 73, "--allow-break /dev/null: "),
    (["--token-file", "twice"], 78, "has to be a token of 16 to 255 printable characters"),
])
def test_one_clear_sentence(options, code, words, sqlite, tmp_path):
    (tmp_path / "tokens").write_text(TOKENS)
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "twice").write_text("ann 0123456789abcdef 0123456789abcdef\n")
    done = sqlite.run("serve", "-p", "0", *options, cwd=tmp_path)
    assert (done.code, done.out) == (code, "") and words in done.err, done.err
    assert "abcdef" not in done.err


def test_a_nameless_token_and_a_proxy_are_written_down(sqlite, breaker):
    holder = holds(sqlite, "k", "--owner", "<b>somebody")
    served = breaker(sqlite)
    session = served.post("/login", "token=0123456789abcdef-nameless")[2]["Set-Cookie"].split(";")[0]
    fence = served.get("/lock?key=k", headers=ANN)["fence"]
    headers = {"Cookie": session, "X-Forwarded-For": "203.0.113.7"}
    assert wish(served, "k", fence, reason="because \u202e\n\"x\"", headers=headers)[0] == 200
    for line in lines(served):
        assert (line["token"], line["forwarded_for"], line["holder"]) == ("line 1", "203.0.113.7", "<b>somebody")
        assert line["reason"] == "because \u202e\n\"x\""
    assert holder.wait() == 76


def test_without_a_line_in_the_log_nothing_is_broken(redis, breaker):
    """The log may not grow: as on a full disk, a part of a line is written."""
    holder = holds(redis, "k")
    served = breaker(redis)
    fence = served.get("/lock?key=k", headers=ANN)["fence"]
    assert wish(served, "k", int(fence) + 1)[0] == 409
    before = served.log_file.read_bytes()
    _, hard = resource.prlimit(served.proc.pid, resource.RLIMIT_FSIZE, (len(before) + 20, resource.RLIM_INFINITY))
    status, answer = wish(served, "k", fence)
    assert (status, answer) == (500, {"result": "not_broken", "reason": "the log cannot be written"})
    assert served.get("/lock?key=k", headers=ANN)["fence"] == fence
    cut = served.log_file.read_bytes()
    assert cut.startswith(before) and len(cut) == len(before) + 20
    resource.prlimit(served.proc.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert wish(served, "k", fence)[0] == 200
    whole = served.log_file.read_bytes()
    assert whole.startswith(cut + b"\n") and len(whole[len(cut) + 1:].splitlines()) == 2
    assert json.loads(whole.splitlines()[-1])["result"] == "broken"
    assert holder.wait() == 76


def test_a_log_that_was_renamed_begins_anew(sqlite, breaker):
    served = breaker(sqlite)
    assert wish(served, "k", 1)[0] == 409
    served.log_file.rename(served.log_file.with_name("older"))
    assert wish(served, "k", 1)[0] == 409 and len(lines(served)) == 2
    served.log_file.unlink()
    served.log_file.mkdir()
    assert wish(served, "k", 1)[0] == 500
    served.log_file.rmdir()


def test_an_answer_that_does_not_come_is_unknown(redis, breaker, tmp_path):
    holder = holds(redis, "k")
    between = Swallow(str(tmp_path / "between.sock"), redis.server.socket)
    far = Rig("redis+unix://" + between.path, tmp_path)
    try:
        served = breaker(far, "--store-timeout", "500ms")
        served.until(lambda seen: seen["store"]["known"], "known", headers=ANN)
        fence = served.get("/lock?key=k", headers=ANN)["fence"]
        assert wish(served, "k", int(fence) + 1)[0] == 409  # from now on the server knows the script
        between.words = b"\r\n" + fence.encode() + b"\r\n"
        status, answer = wish(served, "k", fence)
        assert (status, answer["result"]) == (504, "unknown") and answer["reason"]
        assert [(line["event"], line.get("result")) for line in lines(served)[2:]] == [("asked", None), ("ended", "unknown")]
        assert between.swallowed and holder.wait() == 76  # it was done, as it happens
        served.end()
        served.errors = open(served.log, "a", encoding="utf-8")
    finally:
        between.close()
        far.close()
