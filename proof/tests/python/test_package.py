# SPDX-License-Identifier: MIT
"""The package as it is handed out: what is in it, its types, its pages."""
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

import pawl

SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
BINDING = SOURCE / "bindings/python"


def run(*command, cwd=None, env=None):
    return subprocess.run([str(word) for word in command], cwd=cwd, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_one_version_everywhere():
    header = (SOURCE / "include/pawl/pawl.h").read_text("utf-8")
    version = re.search(r'#define PAWL_VERSION +"(.*)"', header).group(1)
    project = tomllib.loads((BINDING / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == pawl.__version__ == version
    assert project["requires-python"] == ">=3.9"


def test_the_wheel_fits_every_python():
    wheel, = pathlib.Path(os.environ["PAWL_WHEELS"]).glob("*.whl")
    assert re.fullmatch(r"pawl-[\d.]+-cp39-abi3-linux_\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    assert "pawl/py.typed" in names and "pawl/_native.pyi" in names
    assert [n for n in names if n.endswith(".so")] == ["pawl/_native.abi3.so"]
    assert not [n for n in names if "test" in n or "bench" in n]


def test_the_source_distribution_is_whole():
    source, = pathlib.Path(os.environ["PAWL_SDIST"]).glob("*.tar.gz")
    names = {name.split("/", 1)[1] for name in tarfile.open(source).getnames() if "/" in name}
    own = {str(p.relative_to(BINDING)) for p in BINDING.rglob("*")
           if p.suffix in (".py", ".pyi", ".c", ".h", ".toml", ".md", ".typed")
           and "__pycache__" not in p.parts}
    assert own <= names and len(own) > 20


def test_what_is_missing_is_named(tmp_path):
    """Without libpawl the build says what to do."""
    env = dict(os.environ, PKG_CONFIG_PATH="/nowhere", PKG_CONFIG_LIBDIR="/nowhere")
    build = run(sys.executable, "-c", "import pawl_build", cwd=BINDING, env=env)
    assert build.returncode == 1
    assert "Install libpawl first" in build.stdout and "Traceback" not in build.stdout


def test_types(tmp_path):
    """The package itself, and what a user sees of it, under mypy --strict."""
    own = run(sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}/cache", "-p", "pawl")
    assert own.returncode == 0, own.stdout
    user = tmp_path / "user.py"
    user.write_text('''
import asyncio
import pawl
import pawl.aio

client = pawl.Client("memory:")
with client.lock("x", ttl=30, timeout=5) as held:
    fence: int = held.fence
    left: float = held.check()
with client.rwlock("x").read() as reader, client.semaphore("p", 3, 2) as permits:
    reader_is: pawl.Lock = reader
    slots: "tuple[int, ...]" = permits.slots
with client.lock("x", mode="update") as writer:
    if writer.upgrade(timeout=1):
        writer.downgrade("shared")

left_to_come: int = client.latch("l", 2).count_down()
round_number: int = client.barrier("b", 1).wait(timeout=5)

@pawl.once(client, "x")
def report(day: int) -> str:
    return str(day)

async def main() -> None:
    async with pawl.aio.Client("memory:") as tasks:
        async with tasks.lock("x") as held:
            fence: int = held.fence
        async with tasks.rwlock("x").update() as later:
            alone: bool = await later.upgrade()
        number: int = await tasks.barrier("b", 1).wait(5)
        left: int = await tasks.latch("m", 2).count_down(by=2)
        await tasks.latch("m", 2).wait()

text: str = report(1)
asyncio.run(main())
''')
    seen = run(sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}/cache", user)
    assert seen.returncode == 0, seen.stdout
    assert run(sys.executable, user).returncode == 0


def test_everything_public_is_documented():
    import pawl.aio
    undocumented = [f"{kind.__name__}.{name}" for kind in (pawl.Client, pawl.Lock, pawl.RWLock, pawl.Latch, pawl.Barrier, pawl.aio.Client, pawl.aio.Lock,
                                 pawl.aio.Latch, pawl.aio.Barrier)
                    for name, thing in vars(kind).items()
                    if not name.startswith("_") and (callable(thing) or isinstance(thing, property))
                    and not thing.__doc__ and name not in ("closed", "name")]
    assert not undocumented
    assert all(getattr(pawl, name).__doc__ for name in pawl.__all__)


def test_the_measurement_runs():
    """Its numbers are no matter here."""
    done = run(sys.executable, BINDING / "bench/pair.py", "memory:", "--seconds", "0.01", "--rounds", "1")
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^(pawl.*?) +[\d.]+ us$", done.stdout, re.M) == ["pawl, one Lock", "pawl, with client.lock()"]


# ---- Examples ----------------------------------------------------------------------------------------

PAGES = [BINDING / "README.md", SOURCE / "README.md", SOURCE / "README.zh-CN.md", SOURCE / "docs/modes.md"]


def examples():
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in re.finditer(r"^```python (installed|shown)\n(.*?)^```", text, re.S | re.M):
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match.group(2), match.group(1) == "installed", id=f"{page.name}:{line}")


@pytest.mark.parametrize("text, runs", examples())
def test_an_example_runs(text, runs, tmp_path):
    """As it stands there, on the default store; "shown" is only read by Python."""
    compile(text, "example", "exec")
    if not runs:
        return
    program = tmp_path / "example.py"
    program.write_text(text, "utf-8")
    env = dict(os.environ, PAWL_STORE=f"sqlite:{tmp_path}/locks.db", HOME=str(tmp_path))
    done = run(sys.executable, "-W", "error", program, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stdout
    for line in re.findall(r"# prints: (.*)$", text, re.M):
        assert line in done.stdout.splitlines(), done.stdout


def test_there_are_examples():
    assert len(list(examples())) >= 8
