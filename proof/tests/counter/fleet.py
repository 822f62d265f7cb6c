# SPDX-License-Identifier: MIT
"""Instances of the counter service on a store of the test's own."""
import ctypes
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import time

BUILD = os.environ["PAWL_BUILD"]
SOURCE = os.environ["PAWL_SOURCE"]
SLOW = 1 if os.environ.get("PAWL_TEST_FLAVOUR", "plain") == "plain" else 4
PATIENCE = 20 * SLOW
PROGRAM = os.path.join(BUILD, "examples", "counter", "pawl-counter")
PAWL = os.path.join(BUILD, "pawl")


def die_with_me():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


class Instance:
    def __init__(self, fleet, number, *options, limit_files=None, config=None):
        def prepare():
            die_with_me()
            if limit_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit_files, limit_files))

        command = [PROGRAM, "--instance", f"counter {number}", "--port", "0"]
        command += ["--config", config] if config else fleet.options
        self.log = open(fleet.directory / f"counter{number}.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([*command, *options], cwd=fleet.directory,
                                        env=fleet.env, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, preexec_fn=prepare)
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.words()
        self.port = int(self.url.rsplit(":", 1)[1].strip("/"))

    def words(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, path, method="GET", body=None, timeout=None):
        """(status, text, headers)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=timeout or PATIENCE)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip(), answer.headers
        finally:
            connection.close()

    def get(self, path):
        status, text, _ = self.ask(path)
        assert status == 200, (path, status, text)
        return text

    def healthy(self):
        return self.ask("/health")[0] == 200

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.M)
        assert found, name
        return float(found.group(1))

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """Stops it as an operator would, and expects it to end well."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        words = self.words()
        self.log.close()
        assert self.process.returncode == 0, words


class RedisServer:
    def __init__(self, directory):
        self.socket = str(directory / "redis")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
             "--appendonly", "no", "--dir", str(directory)],
            stdout=subprocess.DEVNULL, preexec_fn=die_with_me)
        until(self.accepts, "redis-server accepts connections")

    def accepts(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    def command(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], stdout=subprocess.PIPE,
                              text=True, check=True).stdout.strip()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        self.process.kill()
        self.process.wait()


class Fleet:
    def __init__(self, directory, redis=None):
        self.directory = directory
        self.redis = redis
        self.store = f"redis+unix://{redis.socket}" if redis else f"sqlite:{directory}/locks.db"
        self.options = ["--store", self.store]
        if not redis:
            self.options += ["--counter", f"sqlite:{directory}/counter.db"]
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ("PAWL_STORE", "PAWL_CONFIG", "BEEGO_RUNMODE")}
        self.instances = []
        self.others = []

    def start(self, *options, **how):
        self.instances.append(Instance(self, len(self.instances) + 1, *options, **how))
        return self.instances[-1]

    def hold(self, owner, ready=True):
        """Somebody else who wants the lock, with that label."""
        process = subprocess.Popen([PAWL, "hold", "-S", self.store, "--owner", owner, "counter"],
                                   env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, preexec_fn=die_with_me)
        self.others.append(process)
        if ready:
            assert process.stdout.readline().startswith("held ")
        return process

    def close(self):
        for process in self.others:
            process.stdin.close()
            process.terminate()
            process.wait(PATIENCE)
            process.stdout.close()
        for instance in self.instances:
            instance.end()
