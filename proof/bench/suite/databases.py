# SPDX-License-Identifier: MIT
"""A private PostgreSQL and a private MariaDB, on a socket, a private etcd and a private ZooKeeper, on
ports, with nothing forced to a disk. Each is started when it is first measured."""
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ports"))
from free_port import free_port  # noqa: E402

STARTS_WITHIN_S = 60
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def find(program, folders):
    """Debian keeps servers out of the PATH."""
    return shutil.which(program, path=os.pathsep.join([*folders, os.environ["PATH"]]))


def cpu_of_process(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
            return (int(fields[11]) + int(fields[12])) * TICK_US, file.read().split()
    except OSError:
        return 0, []


def output_of(words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"{os.path.basename(words[0])}: {done.stdout.strip()}")
    return done.stdout


class Database:
    """name, user; make(), command(), asks(): a command that succeeds once it answers, and requests():
    how many it has had."""
    peers = {}  # name of a library: the URL that it gets

    def __init__(self, scratch):
        self.directory, self.process = os.path.join(scratch, self.name), None

    def start(self):
        if self.process:
            return
        os.mkdir(self.directory)
        if os.geteuid() == 0:
            os.chmod(os.path.dirname(self.directory), 0o711)
            shutil.chown(self.directory, self.user, pwd.getpwnam(self.user).pw_gid)
        with open(os.path.join(self.directory, "log"), "wb") as log:
            how = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "cwd": "/"}
            if os.geteuid() == 0:
                how.update(user=self.user, group=pwd.getpwnam(self.user).pw_gid, extra_groups=[])
            subprocess.run(self.make(), check=True, **how)
            self.process = subprocess.Popen(self.command(), **how)
        until = time.monotonic() + STARTS_WITHIN_S
        while subprocess.run(self.asks(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > until or self.process.poll() is not None:
                raise OSError(f"{self.name} does not start; see {self.directory}/log")
            time.sleep(0.05)

    def cpu_us(self):
        """Of the server; PostgreSQL has a process for each connection."""
        total, children = cpu_of_process(self.process.pid)
        return total + sum(cpu_of_process(child)[0] for child in children)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()

    @contextlib.contextmanager
    def counts(self, found):
        """found["requests"]: how many the server got meanwhile, all clients together."""
        before = self.requests()
        yield
        found["requests"] = self.requests() - before


class MariaDB(Database):
    name, user = "mariadb", "mysql"

    def __init__(self, scratch):
        super().__init__(scratch)
        self.server = find("mariadbd", ["/usr/sbin"])
        self.installed = self.server and shutil.which("mariadb-install-db")
        self.socket = f"{self.directory}/s"
        self.url = f"mariadb://root@/pawl?socket={self.socket}"
        self.urls = {"getlock": f"getlock:{self.socket}",
                     "getlock, fence": f"getlock-fence:{self.socket}"}

    def make(self):
        return ["mariadb-install-db", "--no-defaults", f"--datadir={self.directory}/data",
                f"--tmpdir={self.directory}", "--auth-root-authentication-method=normal",
                "--force", "--skip-test-db", "--skip-name-resolve"]

    def command(self):
        return [self.server, "--no-defaults", f"--socket={self.socket}", "--skip-networking",
                f"--datadir={self.directory}/data", f"--tmpdir={self.directory}",
                f"--pid-file={self.directory}/pid", "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=2", "--max-connections=400",
                "--skip-name-resolve"]

    def requests(self):
        """Statements of clients, not those inside of a procedure."""
        words = ["mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-BN", "-e",
                 "SHOW GLOBAL STATUS LIKE 'Questions'"]
        return int(output_of(words).split()[1])

    def asks(self):
        return ["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "-uroot", "ping"]


class PostgreSQL(Database):
    name, user = "postgres", "postgres"

    def __init__(self, scratch):
        super().__init__(scratch)
        below = "/usr/lib/postgresql"
        versions = sorted(os.listdir(below), key=float) if os.path.isdir(below) else []
        self.folders = [f"{below}/{version}/bin" for version in reversed(versions)]
        self.installed = find("initdb", self.folders)
        where = f"host={self.directory} user=postgres dbname=postgres"
        self.url = f"postgres://postgres@/postgres?host={self.directory}"
        self.urls = {kind: f"{kind}:{where}" for kind in ("advisory", "advisory-fence", "skip-locked",
                                                          "skip-lease", "bare")}

    def make(self):
        return [find("initdb", self.folders), "-D", f"{self.directory}/data", "-A", "trust",
                "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"]

    def command(self):
        return [find("postgres", self.folders), "-D", f"{self.directory}/data",
                "-k", self.directory, "-c", "listen_addresses=", "-c", "fsync=off",
                "-c", "max_connections=200"]

    @contextlib.contextmanager
    def counts(self, found):
        """Each statement of a client writes a line, which slows it: apart from the timing."""
        log = pathlib.Path(self.directory, "log")
        self._log_statements("all")
        begin = log.stat().st_size
        yield
        said = log.read_bytes()[begin:]
        self._log_statements("none")
        found["requests"] = len(re.findall(rb"LOG:  (?:statement|execute )", said))

    def _log_statements(self, which):
        psql = [find("psql", self.folders), "-XAtq", "-h", self.directory, "-U", "postgres"]
        output_of([*psql, "-c", f"ALTER SYSTEM SET log_statement = '{which}'"])
        output_of([*psql, "-c", "SELECT pg_reload_conf()"])
        while output_of([*psql, "-c", "SHOW log_statement"]).strip() != which:
            time.sleep(0.02)

    def asks(self):
        return [find("pg_isready", self.folders), "-q", "-h", self.directory]


class OnPort(Database):
    """Without an installation; its data lie in memory if they can."""
    user, question = "nobody", ""

    def __init__(self, scratch):
        super().__init__(scratch)
        self.port = free_port()

    def make(self):
        return ["true"]

    def ask(self, question):
        with socket.create_connection(("127.0.0.1", self.port), 10) as s, s.makefile("rb") as answer:
            s.sendall(question.encode())
            return answer.read().decode()

    def asks(self):
        return [sys.executable, "-c", "import socket, sys\n"
                "with socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5) as s:\n"
                "    s.sendall(sys.argv[2].encode())\n"
                "    sys.exit(sys.argv[3] not in s.makefile().read(4096))",
                str(self.port), self.question, self.answer]


class Etcd(OnPort):
    name = "etcd"
    question, answer = "GET /health HTTP/1.0\r\n\r\n", '"true"'

    def __init__(self, scratch):
        super().__init__(scratch)
        self.installed, self.peer_port = shutil.which("etcd"), free_port()
        self.url = f"etcd://127.0.0.1:{self.port}"
        self.urls = {"gateway": f"gateway:127.0.0.1:{self.port}"}
        self.peers = {"etcd-concurrency": self.url, "etcd-bare": f"bare://127.0.0.1:{self.port}"}
        self.memory = None

    def make(self):
        if os.access("/dev/shm", os.W_OK):
            self.memory = f"/dev/shm/{os.path.basename(os.path.dirname(self.directory))}"
            os.mkdir(self.memory)
            os.chmod(self.memory, 0o777)
        return super().make()

    def command(self):
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.port, self.peer_port))
        return ["etcd", "--data-dir", f"{self.memory or self.directory}/data",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"default={peer}", "--log-level", "error"]

    def requests(self):
        """Messages, also those that open a stream of news or go over one."""
        said = self.ask("GET /metrics HTTP/1.0\r\n\r\n")
        return sum(int(float(n)) for n in re.findall(r"^grpc_server_msg_received_total\{.*\} (\S+)$", said, re.M))

    def stop(self):
        super().stop()
        if self.memory:
            shutil.rmtree(self.memory, ignore_errors=True)


class ZooKeeper(OnPort):
    name, jar = "zookeeper", "/usr/share/java/zookeeper.jar"
    question, answer = "srvr", "Mode: "

    def __init__(self, scratch):
        super().__init__(scratch)
        self.installed = os.access(self.jar, os.R_OK) and shutil.which("java")
        self.url = f"zookeeper://127.0.0.1:{self.port}"
        self.urls, self.peers = {}, {"curator": self.url}

    def make(self):
        with open(f"{self.directory}/zoo.cfg", "w", encoding="utf-8") as file:
            file.write(f"maxClientCnxns=0\nadmin.enableServer=false\nclientPortAddress=127.0.0.1\n"
                       f"clientPort={self.port}\ndataDir={self.directory}\n")
        return super().make()

    def requests(self):
        """Packets."""
        return int(re.search(r"^Received: (\d+)", self.ask("srvr"), re.M).group(1))

    def command(self):
        return ["java", "-Xmx256m", "-Dzookeeper.forceSync=no", "-cp", self.jar,
                "org.apache.zookeeper.server.ZooKeeperServerMain", f"{self.directory}/zoo.cfg"]
