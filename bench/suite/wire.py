# SPDX-License-Identifier: MIT
"""Records what a driver sends for an acquisition and a release, so that bench-replay can send the
same again without a client in the way."""
import selectors
import socket
import threading

from . import driver
from .server import Connection

NAMES = 64
ROUND = b"wire-1-"  # the second round of the workload: the first may have loaded scripts


class Proxy:
    """Between a driver and a server; keeps what each connection of the driver sent."""

    def __init__(self, port):
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sent = []
        self.ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.ended.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            kept = bytearray()
            self.sent.append(kept)
            threading.Thread(target=self._carry, args=(client, kept), daemon=True).start()

    def _carry(self, client, kept):
        with client, socket.create_connection(("127.0.0.1", self.to)) as server, \
                selectors.DefaultSelector() as both:
            both.register(client, selectors.EVENT_READ, server)
            both.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in both.select():
                    try:
                        data = key.fileobj.recv(1 << 16)
                    except ConnectionError:
                        return
                    if not data:
                        return
                    if key.fileobj is client:
                        kept += data
                    key.data.sendall(data)

    def close(self):
        self.ended.set()
        self.listener.close()


def commands(data):
    """The RESP commands in the bytes of a connection."""
    at = 0
    while at < len(data):
        start = at
        end = data.index(b"\r\n", at)
        words, at = int(data[at + 1:end]), end + 2
        for _ in range(words):
            end = data.index(b"\r\n", at)
            at = end + 2 + int(data[at + 1:end]) + 2
        yield bytes(data[start:at])


def record(command, server, path):
    """Writes the recording to path; returns commands per pair."""
    proxy = Proxy(server.port)
    try:
        driver.run(command, proxy.url, "wire", NAMES, 1, unready=True)
    finally:
        proxy.close()
    kept = [c for data in proxy.sent for c in commands(data) if ROUND in c]
    if not kept or len(kept) % NAMES:
        raise driver.DriverFailed(f"recorded {len(kept)} commands for {NAMES} pairs")
    verify(kept, server)
    with open(path, "wb") as file:
        file.write(b"%d %d\n" % (len(kept), NAMES))
        file.writelines(kept)
    return len(kept) // NAMES


def kind(reply):
    """What a reply says, without what differs from time to time."""
    return (list, reply[0], len(reply)) if isinstance(reply, list) else (type(reply),)


def verify(kept, server):
    """Sent again and again, the commands must do the same each time: grant, then release."""
    server.clear()
    connection = Connection(server.port)
    rounds = []
    for _ in range(3):
        replies = []
        for command in kept:
            connection.send_raw(command)
            replies.append(kind(connection.reply()))
        rounds.append(replies)
    connection.close()
    if rounds[0] != rounds[1] or rounds[1] != rounds[2]:
        raise driver.DriverFailed("the recorded commands do not repeat")
    server.clear()
