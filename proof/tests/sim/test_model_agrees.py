# SPDX-License-Identifier: MIT
"""The simulator proves things about its model of Redis: here a real one is asked the same.

Random sequences of the store's scripts, with expiry, run on both. Replies must be equal;
fences up to renaming (the clocks are read at slightly different instants), spans of time
up to a few ms. No step is taken within a few ms of an expiry; one that comes too close
because this machine is busy ends its sequence.
"""
import os
import random
import re
import shutil
import subprocess

import pytest
import redis

SOURCE, BUILD = os.environ["PAWL_SOURCE"], os.environ["PAWL_BUILD"]
SCRIPTS = os.path.join(SOURCE, "src/stores/redis/scripts")

NEAR_MS = 6     # of an expiry: wait until it is over
TOLERANCE = 5   # ms
STEPS = 150     # of one sequence
GUARDED = ("acquire", "renew", "release", "break", "acquire_many", "change")
TOGETHER = ("acquire_together", "release_together")
SCRIPTS_OF_A_NAME = GUARDED + TOGETHER + tuple(name + "_guarded" for name in TOGETHER) + ("inspect", "publish", "read") + tuple(name + "_guarded" for name in GUARDED)
SPANS = {1: {2}, 2: {1}}  # items of a reply that are spans of time, by its first item
FENCES = {0: {1}, 1: {3}, 3: {1}, 9: {2}}
INSTANTS = {9: {1, 3}}  # in us


def body(name, guarded=False):
    """As embed_scripts.py reads it; NAME_guarded is the variant that grants nothing new."""
    if name.endswith("_guarded"):
        return body(name.removesuffix("_guarded"), True)
    with open(os.path.join(SCRIPTS, name + ".lua"), encoding="ascii") as source:
        text = source.read()
    if guarded:
        text = re.sub(r"^( *)--@guarded ", r"\1", text, flags=re.M)
    return re.sub(r"^--@include (\w+)$", lambda match: body(match[1], guarded), text, flags=re.M)


@pytest.fixture
def server(tmp_path):
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    path = str(tmp_path / "redis.sock")
    process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                                "--dir", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "Ready to accept" in line or "ready to accept" in line:
            break
    yield redis.Redis(unix_socket_path=path)
    process.terminate()
    process.wait()


def words_of(reply):
    """A reply is a bare number, a text of words, or (inspect) an array.

    Behind a label stands, after a NUL, the number of the latest change.
    """
    if isinstance(reply, int):
        return [reply]
    if isinstance(reply, redis.ResponseError):
        reply = str(reply).split(" script:")[0].encode()
    if isinstance(reply, bytes):
        words = reply.decode().split("\0")[0].split(" ")
        return [int(w) if w.lstrip("-").isdigit() else w for w in words]
    return [a if isinstance(a, int) else a.decode().split("\0")[0] for a in reply]


def without_notes(reply):
    """Who broke a lease is told for people and decides nothing: the model keeps no notes of it."""
    return reply[:1] if reply[0] == 6 else reply[:10] + reply[13:] if reply[0] == 7 else reply


class Model:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, "proof/tests/sim/model-replay")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def ask(self, *words):
        self.tell(*words)
        messages = []
        while (line := self.process.stdout.readline().rstrip("\n")).startswith("! "):
            messages.append(line[2:].split(" ", 1))
        return line, messages

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def rows_in(report):
    """Where inspect.lua's rows begin: of the holders, of the waiters."""
    holders = range(10, 10 + 6 * report[9], 6)
    return holders, range(10 + 6 * report[9], len(report), 5)


def fences_in(reply):
    if reply[0] != 7:
        return FENCES.get(reply[0], ())
    return [4] + [row + 2 for row in rows_in(reply)[0]]


def spans_in(reply):
    if reply[0] != 7:
        return SPANS.get(reply[0], ())
    holders, waiters = rows_in(reply)
    return [3] + [row + 1 for row in holders] + [row + i for row in waiters for i in (1, 2)]


class TooClose(Exception):
    """To an expiry for the two clocks to agree on: this run ends here."""


class Busy(Exception):
    """The machine stood still between two readings of the clock: nobody knows when the script ran."""


class Pair:
    """A real server and the model, asked the same."""

    def __init__(self, server, rng):
        self.server, self.rng, self.model = server, rng, Model()
        self.scripts = {n: server.script_load(body(n)) for n in SCRIPTS_OF_A_NAME}
        self.fences_of = {}
        self.look_at("pawl:x")
        self.may_guard = self.is_guarded = False
        self.expiries = []
        self.inboxes = {}

    def look_at(self, key):
        """Fences of different names have nothing to do with each other."""
        self.fences = self.fences_of.setdefault(key, {0: 0})

    def now_us(self):
        seconds, us = self.server.time()
        return seconds * 1000000 + us

    def pass_ms(self, ms):
        self.server.blpop("nothing", timeout=ms / 1000)

    def is_near(self, now_us):
        return any(abs(now_us / 1000 - e) < NEAR_MS for e in self.expiries)

    def keep_off_expiries(self):
        for _ in range(100):
            if not self.is_near(self.now_us()):
                return
            self.pass_ms(NEAR_MS)

    def subscribe(self, inbox):
        pubsub = self.server.pubsub()
        pubsub.subscribe(inbox)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        self.inboxes[inbox] = pubsub
        self.model.tell("hears", inbox)

    def unsubscribe(self, inbox):
        pubsub = self.inboxes.pop(inbox)
        pubsub.unsubscribe(inbox)
        while pubsub.get_message(timeout=5)["type"] != "unsubscribe":
            pass
        pubsub.close()
        self.model.tell("unsubscribe", inbox)

    def same_fence(self, real, modelled):
        if real in self.fences:
            return self.fences[real] == modelled
        in_order = all((a < real) == (b < modelled) for a, b in self.fences.items())
        self.fences[real] = modelled
        return in_order

    def same(self, real, modelled):
        if len(real) != len(modelled) or real[0] != modelled[0]:
            return False
        for i, (a, b) in enumerate(zip(real, modelled)):
            if i in fences_in(real):
                if not self.same_fence(a, b):
                    return False
            elif i in INSTANTS.get(real[0], ()):
                if abs(a - b) > TOLERANCE * 1000:
                    return False
            elif i in spans_in(real):
                if abs(a - b) > TOLERANCE:
                    return False
            elif a != b:
                return False
        return True

    def run(self, name, keys, args):
        """The script's reply between two readings of the server's clock, in one breath."""
        pipe = self.server.pipeline(transaction=True)
        pipe.time()
        pipe.evalsha(self.scripts[name], len(keys), *keys, *args)
        pipe.time()
        (s0, us0), reply, (s1, us1) = pipe.execute(raise_on_error=False)
        return s0 * 1000000 + us0, reply, s1 * 1000000 + us1

    def ask(self, name, key, args, ttl=None):
        self.look_at(key)
        self.keep_off_expiries()
        if self.may_guard and self.rng.randrange(15) == 0:
            self.is_guarded = not self.is_guarded
        variant = name + "_guarded" * (self.is_guarded and name in GUARDED)
        beside = "fqwv" if name in ("publish", "read") else "fqwb"
        keys = [key] + ["{%s}:%s" % (key, c) for c in beside]
        before, real, after = self.run(variant, keys, args + ["breaker"] * (name == "break"))
        real = without_notes(words_of(real))
        if after - before > 1000 * TOLERANCE // 2:
            raise Busy
        if name == "break" and args[0]:  # the model's fence of the same grant
            args = [self.fences.get(args[0], args[0])]
        words = [str(a).replace(" ", "\t") if a != "" else "-" for a in args]
        line, messages = self.model.ask((before + after) // 2, variant, key, *words)
        modelled = without_notes([int(w) if w.lstrip("-").isdigit() else "" if w == "-" else w
                                  for w in line.split(" ")])
        if not self.same(real, modelled):
            # The machine was busy and the step came too close to an expiry after all.
            assert self.is_near(after), f"{variant} {args}: server {real}, model {modelled}"
            raise TooClose
        for inbox, payload in messages:
            self.compare_message(inbox, payload)
        if ttl:
            self.expiries = [e for e in self.expiries if e > before / 1000 - 1000]
            self.expiries += [after / 1000 + ttl * part for part in (1, 2 / 3, 4 / 3)]
        if messages:  # a hand-off grants the ttl of somebody else
            self.expiries += [after / 1000 + t for t in TTLS]
        return real

    def ask_together(self, name, asked, ttl=None):
        """asked: key and arguments for each. The model is asked for one after the other, as by the
        ordinary script."""
        self.keep_off_expiries()
        guarded = "_guarded" * self.is_guarded
        keys = [key for key, _ in asked]
        keys = keys + ["{%s}:%s" % (key, c) for c in "qfw" for key in keys]
        tokens = [args[0] for _, args in asked]
        args = asked[0][1][1:3] + tokens if name == "acquire" else tokens
        before, real, after = self.run(name + "_together" + guarded, keys, args)
        if after - before > 1000 * TOLERANCE // 2:
            raise Busy
        answers = real.split(b"\n")
        assert len(answers) == len(asked) + 1 and answers.pop() == b""
        for (key, args), answer in zip(asked, answers):
            self.look_at(key)
            words = [str(a).replace(" ", "\t") for a in args]
            line, messages = self.model.ask((before + after) // 2, name + guarded, key, *words)
            modelled = [int(w) if w.lstrip("-").isdigit() else "" if w == "-" else w
                        for w in line.split(" ")]
            if answer == b"-":
                assert modelled[0] in ("PAWLKIND", "PAWLMODE", "PAWLCAPACITY"), line
            elif not self.same(words_of(answer), modelled):
                assert self.is_near(after), f"{name} {args}: server {answer}, model {modelled}"
                raise TooClose
            for inbox, payload in messages:
                self.compare_message(inbox, payload)
        spans = [ttl] if ttl else TTLS
        self.expiries += [after / 1000 + span * part for span in spans for part in (1, 2 / 3, 4 / 3)]

    def compare_message(self, inbox, payload):
        if inbox not in self.inboxes:
            return
        message = self.inboxes[inbox].get_message(ignore_subscribe_messages=True, timeout=5)
        real, modelled = message["data"].decode().split(" "), payload.split(" ")
        if real[0] in "gp":
            assert self.same_fence(int(real.pop(1)), int(modelled.pop(1)))
        assert real == modelled


    def evict(self, key, which):
        self.server.delete(key if which == "l" else "{%s}:%s" % (key, which))
        self.model.tell("evict", key, which)


TTLS = [60, 120, 300]
TOKENS = [f"{i:040x}" for i in range(5)]


def step(pair, rng, fence, kind):
    token = rng.choice(TOKENS)
    ttl, inbox, owner = rng.choice(TTLS), "pawl:inbox:" + token[-1], "owner-" + token[-1]
    if kind < 45:
        told = rng.choice([[], [], [], [0]])
        real = pair.ask("acquire", "pawl:x", [token, ttl, inbox + " " + owner] + told, ttl)
        return real[1] if real[0] == 0 else fence
    if kind < 60:
        pair.ask("renew", "pawl:x", [token, ttl, inbox + " " + owner], ttl)
    elif kind < 75:
        pair.ask("release", "pawl:x", [token])
    elif kind < 85:
        pair.ask("inspect", "pawl:x", [rng.choice([token, ""]), 10])
    elif kind < 88:
        pair.ask("break", "pawl:x", [fence])
    elif kind < 92 and inbox in pair.inboxes:
        pair.unsubscribe(inbox)
    elif kind < 96 and inbox not in pair.inboxes:
        pair.subscribe(inbox)
    else:
        pair.pass_ms(rng.choice([10, 30, 90]))
    return fence


CAPACITY = 3


def ask_in_a_mode(pair, rng, args, ttl, permits):
    """Mostly of the kind that the name has in this run."""
    told = rng.choice([[], [], [], [0]])
    if rng.randrange(20) == 0:
        permits = not permits
    if permits:
        capacity = CAPACITY + (rng.randrange(20) == 0)
        return pair.ask("acquire_many", "pawl:x",
                        args + ["p", rng.choice([1, 1, 2, 3]), capacity] + told, ttl)
    mode = rng.choice("sssux")
    if mode == "x":
        return pair.ask("acquire", "pawl:x", args + told, ttl)
    return pair.ask("acquire_many", "pawl:x", args + [mode, 0, 0] + told, ttl)


def step_of_many(pair, rng, fence, permits):
    token = rng.choice(TOKENS)
    ttl, inbox, owner = rng.choice(TTLS), "pawl:inbox:" + token[-1], "owner-" + token[-1]
    args, kind = [token, ttl, inbox + " " + owner], rng.randrange(100)
    if kind < 35:
        real = ask_in_a_mode(pair, rng, args, ttl, permits)
        return real[1] if real[0] == 0 else fence
    if kind < 60 and not permits:
        told = rng.choice([[], [], [0]])
        real = pair.ask("change", "pawl:x", args + [rng.choice("xxusp"), rng.randrange(6)] + told,
                        ttl)
        return real[1] if real[0] == 0 else fence
    if kind == 60:
        pair.evict("pawl:x", rng.choice("lfqw"))
        return fence
    return step(pair, rng, fence, kind)


def step_of_a_value(pair, rng):
    token, span = rng.choice(TOKENS), rng.choice(TTLS)
    if rng.randrange(2):
        pair.ask("publish", "pawl:x",
                 [token, span, f"value-{rng.randrange(9)}", rng.randrange(1, 9)], span)
    else:
        pair.ask("read", "pawl:x", [rng.choice(["", "pawl:inbox:" + token[-1]]), span], span)


NAMES = ["pawl:x", "pawl:y", "pawl:z"]


def step_together(pair, rng):
    """A token may ask for several names: nobody forbids it, and so they meet each other."""
    names, ttl, who = rng.sample(NAMES, rng.choice([2, 3])), rng.choice(TTLS), rng.choice(TOKENS)
    asker = "pawl:inbox:" + who[-1] + " owner-" + who[-1]
    if rng.randrange(5) < 3:
        pair.ask_together("acquire", [(name, [rng.choice([who, who, rng.choice(TOKENS)]), ttl, asker, 0])
                                      for name in names], ttl)
    else:
        pair.ask_together("release", [(name, [rng.choice([who, who, rng.choice(TOKENS)])])
                                      for name in names])


def steps_of(kind, pair, rng):
    """The steps of a run, one after the other, for a name of that kind."""
    fence = 0
    for number in range(1, STEPS + 1):
        if rng.randrange(5) == 0:
            step_together(pair, rng)
        elif rng.randrange(6) == 0:
            step_of_a_value(pair, rng)
        elif kind == "exclusive":
            fence = step(pair, rng, fence, rng.randrange(100))
        else:
            fence = step_of_many(pair, rng, fence, kind == "permits")
        yield number


@pytest.mark.parametrize("kind, seed", [(kind, seed) for kind in ("exclusive", "modes", "permits")
                                        for seed in range(5)])
def test_the_model_says_what_the_server_says(server, kind, seed):
    if seed % 2:  # somebody listens to everything: that is no waiter
        monitor = server.pubsub()
        monitor.psubscribe("*")
        assert monitor.get_message(timeout=5)["type"] == "psubscribe"
    for _ in range(20):
        try:
            compare(server, kind, seed)
            return
        except Busy:  # the same steps again
            server.flushall()
    pytest.fail("the machine stands still again and again")


def compare(server, kind, seed):
    rng = random.Random(seed)
    pair = Pair(server, rng)
    pair.may_guard = seed == 4  # now and then, for some steps
    steps = 0
    try:
        for token in TOKENS[:3]:
            pair.subscribe("pawl:inbox:" + token[-1])
        for steps in steps_of(kind, pair, rng):
            pass
    except TooClose:
        assert steps > 10, "hardly a step could be taken"
    finally:
        for inbox in list(pair.inboxes):
            pair.unsubscribe(inbox)
        pair.model.close()


def test_the_guard_of_the_model_says_what_guard_lua_says(server):
    """Runs that are known or not, spans that grow, leases that are announced, a clock that is
    behind the start of the process; and the record that each of them leaves."""
    rng, model = random.Random(1), Model()
    sha = server.script_load(body("guard"))
    info = server.info()
    run, was_replica = info["run_id"], int(str(info["master_replid2"]).strip("0") != "")
    key = b"pawl:\0g"
    for _ in range(300):
        if rng.randrange(8) == 0:  # another run, as the record says
            record = (server.get(key) or b"").decode().split(" ")
            if len(record) > 1:
                record[1] = "another"
                server.set(key, " ".join(record))
                model.tell("evict", "pawl:x", "another-run")
        span = rng.choice([1000, 30000, 60000])
        knew = rng.choice(["", run, "elsewhere"])
        args = [span, knew, rng.randrange(2), rng.choice([0, 0, 90000])]
        pipe = server.pipeline(transaction=True)
        pipe.info("server")
        pipe.time()
        pipe.evalsha(sha, 1, key, *args)
        facts, (seconds, us), real = pipe.execute()
        model.tell("process", run, facts["uptime_in_seconds"], was_replica)
        line, _ = model.ask(seconds * 1000000 + us, "guard", "pawl:x", *[a if a != "" else "-"
                                                                       for a in args])
        (left, of), (modelled, modelled_of) = real.decode().split(" "), line.split(" ")
        assert of == modelled_of
        assert abs(int(left) - int(modelled)) <= TOLERANCE, (args, real, line)
    model.close()
