# SPDX-License-Identifier: MIT
"""A relay that loses answers."""
import os
import select
import socket
import threading

from harness import PATIENCE


class Swallow:
    """Between pawl and the server: once a request has the words, no answer comes back any more."""

    def __init__(self, path, to):
        self.path, self.to, self.words, self.swallowed = path, to, None, False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.ends, self.end = os.pipe()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        other = {}
        while True:
            ready = select.select([self.ends, self.listener, *other], [], [])[0]
            if self.ends in ready:
                break
            for one in ready:
                if one is self.listener:
                    guest, server = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
                    server.connect(self.to)
                    other[guest], other[server] = (server, True), (guest, False)
                elif one in other:
                    self.pass_on(one, other)
        for one in other:
            one.close()
        self.listener.close()

    def pass_on(self, one, other):
        to, is_request = other[one]
        try:
            data = one.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            for end in (one, to):
                del other[end]
                end.close()
            return
        if is_request and self.words and self.words in data:
            self.swallowed = True
        if is_request or not self.swallowed:
            to.sendall(data)

    def close(self):
        os.write(self.end, b"x")
        self.thread.join(PATIENCE)
        os.close(self.end)
        os.close(self.ends)
