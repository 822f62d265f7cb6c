# SPDX-License-Identifier: MIT
"""What pawl is compared with. Peers come from their own registries by their ordinary clients, into
a cache below the build directory; one whose tools are missing is skipped, and the reason said."""
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "peers"
BUILDS_WITHIN_S = 900
EXCLUSIVE = ("pairs", "acquire", "contend")
# The workloads of those that have more, or something else; see proof/bench/driver/driver.h.
WORKLOADS = {"redisson": (*EXCLUSIVE, "mix", "mix-one", "permits", "permits-one"),
             "redis-semaphore": (*EXCLUSIVE, "permits"),
             "redis-rw-lock": ("mix",), "rds_lock": ("mix",),
             # Not on Redis: the group of their server has what they do.
             "curator": ("zookeeper",), "etcd-concurrency": ("etcd",), "etcd-bare": ("etcd",)}


@dataclasses.dataclass
class Peer:
    name: str
    command: list
    what: str       # one phrase for the table
    version: str = ""
    library: bool = True

    @property
    def workloads(self):
        return WORKLOADS.get(self.name, EXCLUSIVE)


class Skipped(Exception):
    pass


def tool(*names):
    for name in names:
        if shutil.which(name):
            return shutil.which(name)
    raise Skipped(f"there is no {names[0]} on this machine")


def run(command, directory, **environment):
    try:
        done = subprocess.run(command, cwd=directory, env=dict(os.environ, **environment),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=BUILDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise Skipped(f"{command[0]} took longer than {BUILDS_WITHIN_S} s") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise Skipped(f"{os.path.basename(command[0])} {command[1]}: "
                      f"{lines[-1].strip() if lines else 'failed'}")
    return done.stdout


def once(source, output, build):
    """Builds into output unless that has been done from the same sources; two who want it at once
    take turns."""
    files = [p for p in sorted(source.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    state = hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()
    stamp = output / f".{build.__name__}"
    output.mkdir(parents=True, exist_ok=True)
    with open(output / ".turn", "w", encoding="utf-8") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != state:
            build()
            stamp.write_text(state)


def version_in(path, pattern):
    return re.search(pattern, (SOURCE / path).read_text("utf-8")).group(1)


# ---- Go ----------------------------------------------------------------------------------------

def go_peer(cache, name, module, what, program=None):
    go, program = tool("go"), program or name
    output = cache / "go" / program
    # The module cache is writable, so that `make clean` can remove it.
    environment = {"GOMODCACHE": str(cache / "go/modules"), "GOCACHE": str(cache / "go/cache"),
                   "GOFLAGS": "-modcacherw -buildvcs=false"}

    def build():
        run([go, "build", "-o", str(output / program), f"./{program}"], SOURCE / "go",
            **environment)

    once(SOURCE / "go", output, build)
    version = version_in("go/go.mod", re.escape(module) + r" (v\S+)")
    return Peer(name, [str(output / program)], what, version)


# ---- Python ------------------------------------------------------------------------------------

def python_peer(cache, name, package, script, what):
    output = cache / "python"
    python = output / "bin/python"

    def build():
        run([sys.executable, "-m", "venv", str(output)], SOURCE)
        run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "--cache-dir", str(cache / "pip"), "-r", "requirements.txt"], SOURCE / "python")

    once(SOURCE / "python", output, build)
    version = version_in("python/requirements.txt", rf"(?m)^{re.escape(package)}==(\S+)")
    return Peer(name, [str(python), str(SOURCE / "python" / script)], what, version)


# ---- Node --------------------------------------------------------------------------------------

def node_peer(cache, name, package, script, what):
    node, npm = tool("node", "nodejs"), tool("npm")
    output = cache / "node"

    def build():
        for path in (SOURCE / "node").iterdir():
            shutil.copy(path, output)
        run([npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error",
             "--cache", str(cache / "npm")], output)

    once(SOURCE / "node", output, build)
    version = version_in("node/package.json", rf'"{re.escape(package)}": "([^"]+)"')
    return Peer(name, [node, str(output / script)], what, version)


# ---- Rust --------------------------------------------------------------------------------------

def rust_peer(cache, name, crate, what):
    cargo = tool("cargo")
    output = cache / "rust"

    def build():
        source = output / "source"  # where cargo may leave its lock file
        shutil.copytree(SOURCE / "rust", source, dirs_exist_ok=True)
        run([cargo, "build", "--quiet", "--release"], source, CARGO_TARGET_DIR=str(output))

    once(SOURCE / "rust", output, build)
    version = version_in("rust/Cargo.toml", rf'(?m)^{crate} = "=([^"]+)"')
    return Peer(name, [str(output / "release" / crate.replace("_", "-"))], what, version)


# ---- Java --------------------------------------------------------------------------------------

def java_peer(cache, name, folder, artifact, program, what):
    java, maven = tool("java"), tool("mvn")
    tool("javac")
    output = cache / folder

    def build():
        run([maven, "-q", "-B", "-f", str(SOURCE / folder / "pom.xml"),
             f"-Dmaven.repo.local={cache / 'maven'}", f"-Dbench.output={output}", "package"],
            output)

    once(SOURCE / folder, output, build)
    version = version_in(f"{folder}/pom.xml",
                         rf"<artifactId>{artifact}</artifactId>\s*<version>([^<]+)")
    path = f"{output / f'bench-{name}.jar'}:{output / 'lib'}/*"
    return Peer(name, [java, "-cp", path, program], what, version)


MAKERS = {
    "rueidislock": lambda c: go_peer(c, "rueidislock", "github.com/redis/rueidis",
                                     "Go; client-side caching wakes waiters"),
    "redsync": lambda c: go_peer(c, "redsync", "github.com/go-redsync/redsync/v4",
                                 "Go; polls every 50 to 250 ms"),
    "redislock": lambda c: go_peer(c, "redislock", "github.com/bsm/redislock",
                                   "Go; polls every 100 ms (its own example)"),
    "redis-py": lambda c: python_peer(c, "redis-py", "redis", "redis_py.py",
                                      "Python; polls every 100 ms"),
    "python-redis-lock": lambda c: python_peer(c, "python-redis-lock", "python-redis-lock",
                                               "python_redis_lock.py",
                                               "Python; BLPOP wakes waiters"),
    "redis-rw-lock": lambda c: python_peer(c, "redis-rw-lock", "redis-rw-lock", "rw_lock.py",
                                           "Python; readers and writers, by BLPOP"),
    "rds_lock": lambda c: rust_peer(c, "rds_lock", "rds_lock",
                                    "Rust; readers and writers, polls every 100 ms"),
    "node-redlock": lambda c: node_peer(c, "node-redlock", "redlock", "redlock.js",
                                        "Node; polls every 200 ms"),
    "redis-semaphore": lambda c: node_peer(c, "redis-semaphore", "redis-semaphore", "semaphore.js",
                                           "Node; polls every 10 ms"),
    "redisson": lambda c: java_peer(c, "redisson", "java", "redisson", "BenchRedisson",
                                    "Java; queue by pub/sub"),
    "curator": lambda c: java_peer(c, "curator", "curator", "curator-recipes", "BenchCurator",
                                   "Java; ZooKeeper: InterProcessMutex"),
    "etcd-concurrency": lambda c: go_peer(c, "etcd-concurrency", "go.etcd.io/etcd/client/v3",
                                          "Go; etcd's own: concurrency.Mutex, by gRPC", "etcd"),
    "etcd-bare": lambda c: go_peer(c, "etcd-bare", "go.etcd.io/etcd/client/v3",
                                   "Go; no lock: a put and a delete by gRPC", "etcd"),
}


def fetch(cache, wanted, say):
    """The peers that can be had here, and {name: reason} of the others."""
    peers, skipped = [], {}
    for name, make in MAKERS.items():
        if wanted is not None and name not in wanted:
            continue
        say(f"peer {name}")
        try:
            peers.append(make(cache))
        except (Skipped, OSError) as why:
            skipped[name] = str(why)
            say(f"SKIPPED: {name}: {why}", lasting=True)
    return peers, skipped
