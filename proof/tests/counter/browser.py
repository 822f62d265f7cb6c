# SPDX-License-Identifier: MIT
"""A headless Chromium, driven over its debugging pipe: JSON messages that end in NUL."""
import json
import os
import select
import shutil
import subprocess
import time

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-pipe", "about:blank"]


def find():
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    def __init__(self, directory, patience=60):
        self.patience = patience
        self.last_id = 0
        self.buffer = b""
        theirs_in, self.to = os.pipe()
        self.come, theirs_out = os.pipe()

        def plumb():  # it wants descriptors 3 and 4
            spare = [os.dup(theirs_in), os.dup(theirs_out)]
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate(spare)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [find(), f"--user-data-dir={directory}/chromium", *FLAGS], preexec_fn=plumb,
            close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]

    def message(self, until):
        while b"\0" not in self.buffer:
            if not select.select([self.come], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self.come, 65536)
            if not data:
                raise EOFError("the browser has ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, session=None, **parameters):
        self.last_id += 1
        request = {"id": self.last_id, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        until = time.monotonic() + self.patience
        while True:
            answer = self.message(until)
            if answer.get("id") == self.last_id:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url):
        self.call("Page.navigate", self.session, url=url)

    def run(self, script):
        """The value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", self.session, expression=script,
                           returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, script, what):
        """Waits until an expression is true."""
        end = time.monotonic() + self.patience
        while not self.run(script):
            assert time.monotonic() < end, f"never: {what}; the page says: {self.text()}"
            time.sleep(0.05)

    def text(self):
        return self.run("document.body && document.body.innerText")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.come)
