# SPDX-License-Identifier: MIT
"""Runs one driver once. See proof/bench/driver/driver.h for what a driver is."""
import contextlib
import json
import os
import signal
import subprocess
import threading

SPARE_S = 60  # what a driver may take beyond its window: start, warming up, the last waiters


class DriverFailed(Exception):
    pass


class Conversation:
    """With a driver's process: it says lines, and waits for one of ours."""

    def __init__(self, command, url, workload, clients, seconds):
        self.words = [*command, url, workload, str(clients), f"{seconds:g}"]
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.killer = threading.Timer(seconds + SPARE_S, self.kill)
        self.killer.daemon = True
        self.killer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.killer.cancel()
        if self.process.poll() is None:
            self.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def expect(self, beginning):
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line
        self.process.wait()
        said = self.process.stderr.read().strip().splitlines()[-3:]
        what = " / ".join(said) or f"ended with status {self.process.returncode}"
        name = os.path.basename(self.words[-5])
        raise DriverFailed(f"{name} {' '.join(self.words[-3:])}: {what}")

    def say(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:  # expect() will say why
            pass

    def finish(self):
        self.process.stdin.close()
        self.process.wait()

    def kill(self):
        """With all its children: the driver leads a session of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def run(command, url, workload, clients, seconds, between=contextlib.nullcontext()):
    """The driver's line of JSON. between: a context manager, entered when the clients are ready
    and left when they are done but still connected."""
    with Conversation(command, url, workload, clients, seconds) as driver:
        driver.expect("ready")
        with between:
            driver.say("go")
            line = driver.expect("{")
        driver.finish()
        return json.loads(line)
