# SPDX-License-Identifier: MIT
"""What pawl is compared with. Peers come from their own registries by their ordinary clients, into
a cache below the build directory; one whose tools are missing is skipped, and the reason said."""
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "peers"
BUILDS_WITHIN_S = 900


@dataclasses.dataclass
class Peer:
    name: str
    command: list
    what: str       # one phrase for the table
    version: str = ""
    library: bool = True


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
    """Builds into output unless that has been done from the same sources."""
    files = [p for p in sorted(source.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    state = hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()
    stamp = output / f".{build.__name__}"
    if stamp.exists() and stamp.read_text() == state:
        return
    output.mkdir(parents=True, exist_ok=True)
    build()
    stamp.write_text(state)


def version_in(path, pattern):
    return re.search(pattern, (SOURCE / path).read_text("utf-8")).group(1)


# ---- Go ----------------------------------------------------------------------------------------

def go_peer(cache, name, module, what):
    go = tool("go")
    output = cache / "go" / name
    # The module cache is writable, so that `make clean` can remove it.
    environment = {"GOMODCACHE": str(cache / "go/modules"), "GOCACHE": str(cache / "go/cache"),
                   "GOFLAGS": "-modcacherw -buildvcs=false"}

    def build():
        run([go, "build", "-o", str(output / name), f"./{name}"], SOURCE / "go", **environment)

    once(SOURCE / "go", output, build)
    version = version_in("go/go.mod", re.escape(module) + r" (v\S+)")
    return Peer(name, [str(output / name)], what, version)


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


# ---- Java --------------------------------------------------------------------------------------

def redisson(cache):
    java, maven = tool("java"), tool("mvn")
    tool("javac")
    output = cache / "java"

    def build():
        run([maven, "-q", "-B", "-f", str(SOURCE / "java/pom.xml"),
             f"-Dmaven.repo.local={cache / 'maven'}", f"-Dbench.output={output}", "package"],
            output)

    once(SOURCE / "java", output, build)
    version = version_in("java/pom.xml", r"<artifactId>redisson</artifactId>\s*<version>([^<]+)")
    path = f"{output / 'bench-redisson.jar'}:{output / 'lib'}/*"
    return Peer("redisson", [java, "-cp", path, "BenchRedisson"], "Java; queue by pub/sub", version)


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
    "node-redlock": lambda c: node_peer(c, "node-redlock", "redlock", "redlock.js",
                                        "Node; polls every 200 ms"),
    "redis-semaphore": lambda c: node_peer(c, "redis-semaphore", "redis-semaphore", "semaphore.js",
                                           "Node; polls every 10 ms"),
    "redisson": redisson,
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
