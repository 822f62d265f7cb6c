# SPDX-License-Identifier: MIT
"""Every example of the pages and of README and docs runs as it stands there."""
import json
import os
import re
import select
import shlex
import shutil
import subprocess
import time

import pytest

import pages
from pages import BUILD, SOURCE

BOUND = 60  # seconds for one example; they take well under one

EXAMPLES = [e for e in pages.examples() if e.what in ("run", "redis")]
SHELLS = {"sh": ["/bin/sh", "-eu"], "bash": ["bash", "-eu"], "python": ["/usr/bin/python3"]}


@pytest.fixture
def redis(tmp_path):
    """A socket with a server behind it."""
    if not shutil.which("redis-server"):
        print("SKIP: redis-server is not installed")
        pytest.skip("redis-server is not installed")
    home = tmp_path / "redis"
    home.mkdir()
    path = str(home / "sock")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
                               "--dir", str(home), "--daemonize", "no"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        seen, until = b"", time.monotonic() + BOUND
        while b"eady to accept connections" not in seen:
            assert select.select([server.stdout], [], [], until - time.monotonic())[0], seen
            data = os.read(server.stdout.fileno(), 65536)
            assert data, seen
            seen += data
        yield path
    finally:
        server.kill()
        server.wait()


def environment(tmp_path, socket=None):
    """pawl and its helpers on PATH, a store of its own, nothing of ours."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("pawl", "pawl-flock"):
        (tools / name).symlink_to(BUILD / name)
    if socket:
        client = tools / "redis-cli"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -s {socket} "$@"\n')
        client.chmod(0o755)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAWL_")}
    env["PATH"] = f"{tools}:{env['PATH']}"
    env["HOME"] = str(tmp_path)
    env["PAWL_STORE"] = f"redis+unix://{socket}" if socket else f"sqlite:{tmp_path}/locks.db"
    return env


def compiler():
    """The one that the library was built with, and its sanitizers."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    own = [c["command"] for c in commands if "src/runtime" in c["file"]][0]
    words = [w for w in shlex.split(own) if not w.startswith("-")]
    sanitizers = [w for w in shlex.split(own) if w.startswith("-fsanitize")]
    return [words[0] if "ccache" not in words[0] else words[1]] + sanitizers


def compile_c(example, directory):
    source = directory / "example.c"
    source.write_text(example.text)
    program = directory / "example"
    subprocess.run(compiler() + ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                                 f"-I{SOURCE}/include", "-o", program, source, f"-L{BUILD}",
                                 f"-Wl,-rpath,{BUILD}", "-lpawl"]
                   + [f"-l{name}" for name in example.libraries], check=True, timeout=BOUND)
    return [program]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example, tmp_path, request):
    socket = request.getfixturevalue("redis") if example.what == "redis" else None
    env = environment(tmp_path, socket)
    work = tmp_path / "work"
    work.mkdir()
    if example.language == "c":
        command, text = compile_c(example, tmp_path), None
    else:
        command, text = SHELLS[example.language], example.text
    script = None
    if text is not None:
        script = tmp_path / "script"
        script.write_text(text)
        command = command + [str(script)]
    done = subprocess.run([str(c) for c in command], cwd=work, env=env, timeout=BOUND,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"{example}: {done.returncode}\n{example.text}\n{done.stdout}"
    expected = re.findall(r"(?:#|//|/\*) prints: (.*?)(?: \*/)?$", example.text, re.M)
    for line in expected:
        assert line in done.stdout, f"{example}: {line!r} is missing in {done.stdout!r}"


def test_there_are_examples():
    """An extraction that finds nothing would pass everything."""
    languages = [e.language for e in EXAMPLES]
    assert languages.count("c") >= 3
    assert len(languages) >= 15
    assert any(e.what == "redis" for e in EXAMPLES)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_stores_that_are_said_to_be_missing_are(page, tmp_path):
    line, = [line for line in (SOURCE / page).read_text("utf-8").splitlines() if "`ssdb://`" in line]
    schemes, clean = re.findall(r"`(\w+)://`", line), environment(tmp_path)
    assert len(schemes) >= 2
    for scheme in schemes:
        done = subprocess.run([BUILD / "pawl", "-S", f"{scheme}://h", "show", "k"], env=clean, check=False,
                              timeout=BOUND, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 78 and f"there is no store for {scheme}: " in done.stderr, done.stderr


def test_the_documented_permissions_suffice(tmp_path, redis):
    """The ACL of docs/protocol.md: every command works under it, and is refused without it."""
    text = (SOURCE / "docs/protocol.md").read_text(encoding="utf-8")
    rule = re.search(r"```text acl\n(.*?)```", text, re.S).group(1)
    env = environment(tmp_path, redis)

    def sh(command, store=None):
        done = subprocess.run(["/bin/sh", "-euc", command], cwd=tmp_path, text=True, timeout=BOUND,
                              env=dict(env, PAWL_STORE=store or env["PAWL_STORE"]), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    client = ["redis-cli", "-s", redis]
    said = subprocess.run(client + shlex.split(rule), text=True, check=True, stdout=subprocess.PIPE)
    assert said.stdout.strip() == "OK"
    store = f"redis+unix://locks:secret@{redis}"
    script = """
        pawl run nightly -- true
        eval "$(pawl acquire -t 1h --sh nightly)"
        pawl renew; pawl check
        pawl ls | grep nightly
        pawl show nightly
        pawl break nightly --fence "$PAWL_FENCE"
        pawl run -w 10s nightly -- true
        pawl doctor || [ $? -eq 78 ]
    """
    code, out = sh(script, store)
    assert code == 0, out
    assert "denied" not in out and re.search(r"^ok +permission ", out, re.M), out

    # whoever has the rules for looking looks, and does nothing else
    looking = re.findall(r"```text acl\n(.*?)```", text, re.S)[1]
    subprocess.run(client + shlex.split(looking), check=True, stdout=subprocess.PIPE)
    watch = f"redis+unix://watch:secret@{redis}"
    code, out = sh("pawl ls; pawl show nightly; pawl once job --last && pawl lead job --who && "
                   "{ pawl doctor || [ $? -eq 78 ]; }", watch)
    assert code == 0 and "lacks" in out and "nobody leads" in out, out
    code, out = sh("pawl run nightly -- true", watch)
    assert code == 77 and "+set" in out, (code, out)

    # each of the permissions that the scripts need is needed
    subprocess.run(client + ["ACL", "SETUSER", "locks", "-pexpire"], check=True,
                   stdout=subprocess.DEVNULL)
    code, out = sh("pawl run nightly -- true", store)
    assert code == 77 and "+pexpire" in out
