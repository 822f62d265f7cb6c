# SPDX-License-Identifier: MIT
"""Records what a driver sends for an acquisition and a release, so that bench-replay can send the
same again without a client in the way. What has to differ then is found by comparing: tokens that
belong to one pair become new ones in each turn, numbers that a client took from a reply are taken
from the new reply. See proof/bench/hand/recording.h for the file."""
import dataclasses
import io
import os
import re
import selectors
import socket
import threading

from . import driver
from .server import Push, Status, read_reply

NAMES = 64
LONG_NUMBER = rb"\d{12,}"   # a fence, a clock; recording.c has the same
TOKEN = rb"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])"


# ---- Between a driver and a server -------------------------------------------------------------

class Proxy:
    """Keeps what went over each connection, as [sent, received]."""

    def __init__(self, port):
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.kept = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            kept = (bytearray(), bytearray())
            self.kept.append(kept)
            threading.Thread(target=self._carry, args=(client, kept), daemon=True).start()

    def _carry(self, client, kept):
        with client, socket.create_connection(("127.0.0.1", self.to)) as server, \
                selectors.DefaultSelector() as both:
            both.register(client, selectors.EVENT_READ, (server, kept[0]))
            both.register(server, selectors.EVENT_READ, (client, kept[1]))
            while True:
                for key, _ in both.select():
                    try:
                        data = key.fileobj.recv(1 << 16)
                    except ConnectionError:
                        return
                    if not data:
                        return
                    other, kept_of = key.data
                    kept_of += data
                    other.sendall(data)

    def mark(self):
        """How far each connection has come; nothing is under way when it is called."""
        return [(len(sent), len(received)) for sent, received in self.kept]

    def close(self):
        self.listener.close()


def pieces(data):
    """(bytes, value) of each command or reply in the data."""
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        start = stream.tell()
        value = read_reply(stream)
        yield bytes(data[start:stream.tell()]), value


# ---- What a pair says --------------------------------------------------------------------------

@dataclasses.dataclass
class Request:
    data: bytes
    words: list
    reply: object


def between(proxy, before, after):
    """The requests of one pair, on whatever connection they went."""
    before = before + [(0, 0)] * (len(after) - len(before))
    found = []
    for (sent, received), *ends in zip(proxy.kept, before, after):
        (sent_from, received_from), (sent_to, received_to) = ends
        commands = list(pieces(sent[sent_from:sent_to]))
        if not commands:
            continue  # an inbox
        replies = [value for _, value in pieces(received[received_from:received_to])
                   if not isinstance(value, Push)]
        if found or len(replies) != len(commands):
            raise driver.DriverFailed(
                f"a pair of {len(commands)} requests and {len(replies)} replies on a connection "
                "is nothing that can be replayed")
        found = [Request(data, words, reply)
                 for (data, words), reply in zip(commands, replies)]
    if not found:
        raise driver.DriverFailed("a pair that sends nothing cannot be replayed")
    return found


def text_of(reply):
    """As flatten() in proof/bench/hand/recording.c has it."""
    def words(value):
        if isinstance(value, list):
            return b"".join(words(v) for v in value)
        if value is None:
            return b" nil"
        return b" %d" % value if isinstance(value, int) else b" " + value

    letter = (b"*" if isinstance(reply, list) else b"_" if reply is None
              else b":" if isinstance(reply, int) else b"+" if isinstance(reply, Status) else b"$")
    return letter + words(reply)


def expected(one, other):
    """(how the reply begins each time, whether that is all of it). Numbers in which the two differ
    will go on to differ, and so will clocks."""
    one, other = text_of(one), text_of(other)
    if one == other and not re.search(LONG_NUMBER, one):
        return one, True
    same = len(os.path.commonprefix([one, other]))
    clock = re.search(LONG_NUMBER, one)
    beginning = one[:min(same, clock.start()) if clock else same]
    return beginning.rstrip(b"0123456789"), False


@dataclasses.dataclass
class Hole:
    at: int
    length: int
    reply: int
    nth: int


def holes(request, earlier, own_tokens):
    """What of the request differs in each turn."""
    for found in re.finditer(TOKEN, request.data):
        if found.group() in own_tokens:
            yield Hole(found.end() - 8, 8, -1, 0)
    learned = {}
    for i, before in enumerate(earlier):
        for nth, number in enumerate(re.findall(LONG_NUMBER, text_of(before.reply))):
            learned[number] = (i, nth)
    for found in re.finditer(LONG_NUMBER, request.data):
        if found.group() in learned:
            yield Hole(found.start(), len(found.group()), *learned[found.group()])


def tokens(pair):
    return {token for request in pair for token in re.findall(TOKEN, request.data)}


def write(file, first, second):
    """first, second: the same pairs, twice. They must be alike but for their values."""
    file.write(b"pairs %d\n" % len(second))
    everywhere = set.intersection(*(tokens(pair) for pair in second))  # a script's hash
    for one, other in zip(first, second):
        if [r.words[0] for r in one] != [r.words[0] for r in other]:
            raise driver.DriverFailed("a pair that sends other commands each time cannot be "
                                      f"replayed: {[r.words[0].decode() for r in other]}")
        file.write(b" pair %d\n" % len(other))
        own = tokens(other) - everywhere
        for i, request in enumerate(other):
            gaps = list(holes(request, other[:i], own))
            wait = max((gap.reply + 1 for gap in gaps), default=0)
            begins, exact = expected(one[i].reply, request.reply)
            file.write(b" command %d %d %d %d %d" % (len(request.data), wait, len(gaps),
                                                     len(begins), exact))
            for gap in gaps:
                file.write(b" hole %d %d %d %d" % dataclasses.astuple(gap))
            file.write(b"\n" + begins + b"\n" + request.data + b"\n")


def record(command, server, path):
    """Writes the recording to path. bench-replay fails if a reply is not as it was here."""
    server.clear()
    proxy = Proxy(server.port)
    try:
        with driver.Conversation(command, proxy.url, "wire", NAMES, 1) as client:
            client.expect("ready")
            marks = [proxy.mark()]
            for _ in range(2 * NAMES):
                client.say("next")
                client.expect("pair")
                marks.append(proxy.mark())
            client.say("end")
            client.expect("{")
            client.finish()
    finally:
        proxy.close()
    pairs = [between(proxy, before, after) for before, after in zip(marks, marks[1:])]
    with open(path, "wb") as file:
        write(file, pairs[:NAMES], pairs[NAMES:])
