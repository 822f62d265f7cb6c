# SPDX-License-Identifier: MIT
"""Runs one driver once. See bench/driver/driver.h for what a driver is."""
import contextlib
import json
import os
import signal
import subprocess
import threading

SPARE_S = 60  # what a driver may take beyond its window: start, warming up, the last waiters


class DriverFailed(Exception):
    pass


def run(command, url, workload, clients, seconds, between=contextlib.nullcontext(), unready=False):
    """The driver's line of JSON.

    between: a context manager, entered when the clients are ready and left when they are done but
    still connected. unready: the workload is not timed and does not say that it is ready.
    """
    words = [*command, url, workload, str(clients), f"{seconds:g}"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    killer = threading.Timer(seconds + SPARE_S, kill, [process])
    killer.daemon = True
    killer.start()
    try:
        if not unready:
            expect(process, words, lambda line: line.strip() == "ready")
        with between:
            if not unready:
                process.stdin.write("go\n")
                process.stdin.flush()
            line = expect(process, words, lambda line: line.startswith("{"))
        process.stdin.close()
        process.wait()
        return json.loads(line)
    finally:
        killer.cancel()
        if process.poll() is None:
            kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def expect(process, words, wanted):
    for line in process.stdout:
        if wanted(line):
            return line
    process.wait()
    said = process.stderr.read().strip().splitlines()[-3:]
    what = " / ".join(said) or f"ended with status {process.returncode}"
    raise DriverFailed(f"{os.path.basename(words[-5])} {' '.join(words[-3:])}: {what}")


def kill(process):
    """With all its children: the driver leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
