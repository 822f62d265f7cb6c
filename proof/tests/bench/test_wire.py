# SPDX-License-Identifier: MIT
"""Recording what a client sends, and sending it again."""
import pytest
from suite import driver, wire
from suite.server import Status
from suite.wire import Hole, Request

TOKEN, OTHER, SCRIPT = b"ab" * 20, b"cd" * 20, b"ef" * 20


def command(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def request(reply, *words):
    return Request(command(*words), list(words), reply)


def test_pieces():
    data = command("SET", "k", "a\r\nb") + command("PING")
    assert list(wire.pieces(data)) == [(command("SET", "k", "a\r\nb"), [b"SET", b"k", b"a\r\nb"]),
                                       (command("PING"), [b"PING"])]
    pushed, *values = [v for _, v in wire.pieces(b">2\r\n+x\r\n:1\r\n+OK\r\n$-1\r\n_\r\n:-7\r\n")]
    assert isinstance(pushed, wire.Push) and values == [b"OK", None, None, -7]


@pytest.mark.parametrize("one, other, begins, exact", [
    (4, 4, b": 4", True),
    (17, 18, b": ", False),                       # a counter
    (Status(b"OK"), Status(b"OK"), b"+ OK", True),
    (None, None, b"_ nil", True),
    (b"0 1723456789012345 0", b"0 1723456799999999 0", b"$ 0 ", False),
    (b"0 1723456789012345 0", b"0 1723456789012345 0", b"$ 0 ", False),  # a clock goes on
    ([Status(b"OK"), 5], [Status(b"OK"), 6], b"* OK ", False),
])
def test_what_a_reply_must_be_again(one, other, begins, exact):
    assert wire.expected(one, other) == (begins, exact)


def test_tokens_of_a_pair_become_new_ones_and_hashes_do_not():
    take = request(1, "EVALSHA", SCRIPT, 1, "name", TOKEN)
    at = take.data.index(TOKEN)
    assert list(wire.holes(take, [], {TOKEN})) == [Hole(at + 32, 8, -1, 0)]


def test_a_number_from_a_reply_is_learned():
    took = request(b"0 1234567890123 1723456789012345", "GET", "x")
    give = request(1, "EVALSHA", SCRIPT, 1, "name", b"1723456789012345")
    at = give.data.index(b"1723456789012345")
    assert list(wire.holes(give, [took], set())) == [Hole(at, 16, 0, 1)]


def replay(bench, server, path, in_flight=1):
    return driver.run([bench("replay")], server.url, str(path), in_flight, 0.1)


@pytest.mark.parametrize("who", ["pawl", "hiredis", "blpop"])
def test_a_recording_can_be_sent_again(bench, redis, tmp_path, who):
    path = tmp_path / "recording"
    wire.record([bench(who)], redis, str(path))
    redis.clear()
    for in_flight in (1, 64):
        result = replay(bench, redis, path, in_flight)
        assert result["total"] >= in_flight
        each = result["commands"] / result["total"]
        assert each == int(each) and 1 <= each <= 8


CHECK = "return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0"


def counting_pairs(redis, learn=True):
    """Pairs whose second request holds what the first one answered: as a fence would."""
    rounds = []
    for _ in range(2):
        pairs = []
        for i in range(3):
            count = redis.control.call("INCR", f"count-{i}")
            number = str(count if learn else 1).encode()
            right = redis.control.call("EVAL", CHECK, 1, f"count-{i}", number)
            pairs.append([request(count, b"INCR", f"count-{i}"),
                          request(right, b"EVAL", CHECK, 1, f"count-{i}", number)])
        rounds.append(pairs)
    return rounds


def test_replies_feed_later_requests(bench, redis, tmp_path):
    redis.clear()
    for i in range(3):
        redis.control.call("SET", f"count-{i}", 1234567890123)
    path = tmp_path / "recording"
    with open(path, "wb") as file:
        wire.write(file, *counting_pairs(redis))
    assert replay(bench, redis, path, 3)["total"] > 3


def test_an_answer_that_differs_ends_the_replay(bench, redis, tmp_path):
    """The number is too short to be taken for a fence, so the same one is sent again."""
    redis.clear()
    path = tmp_path / "recording"
    with open(path, "wb") as file:
        wire.write(file, *counting_pairs(redis))
    with pytest.raises(driver.DriverFailed, match='is answered with ": 0" instead of ": 1"'):
        replay(bench, redis, path)


def test_pairs_that_differ_in_their_commands_are_refused(tmp_path):
    with open(tmp_path / "recording", "wb") as file, pytest.raises(driver.DriverFailed):
        wire.write(file, [[request(1, b"GET", "a")]], [[request(1, b"SET", "a", "1")]])


@pytest.mark.parametrize("text", ["", "pairs 0\n", "pairs 1\n pair 1\n",
                                  "pairs 1\n pair 1\n command 5 0 0 0 0\n\n*1\n",
                                  "pairs 1\n pair 1\n command 1 0 1 0 0 hole 0 9 -1 0\n\nx\n"])
def test_a_damaged_recording_is_refused(bench, redis, tmp_path, text):
    path = tmp_path / "recording"
    path.write_text(text)
    with pytest.raises(driver.DriverFailed, match="recording"):
        replay(bench, redis, path)
