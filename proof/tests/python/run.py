# SPDX-License-Identifier: MIT
"""usage: run.py [arguments of pytest]

Builds the Python binding as a user does, source distribution, wheel, installation, in an environment
of its own below the build folder, unless it is there already; then runs pytest in it.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from prepared import prepare  # pylint: disable=wrong-import-position

SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
BUILD = pathlib.Path(os.environ["PAWL_BUILD"])
BINDING = SOURCE / "bindings/python"
HOME = BUILD / "bindings-python"
PYTHON = HOME / "venv/bin/python"
PACKED = ["pawl", "native", "pawl_build.py", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md"]
# What Debian's packages bring (scripts/setup), or PyPI where there are none.
TOOLS = {"cffi": "cffi", "setuptools": "setuptools", "wheel": "wheel", "pytest": "pytest", "mypy": "mypy"}


def files():
    for name in [*PACKED, "tests", "bench"]:
        path = BINDING / name
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def fingerprint():
    """Of all that the installation is made of."""
    digest = hashlib.sha256(sys.version.encode())
    headers = sorted((SOURCE / "include/pawl").glob("*.h"))
    for path in [*files(), *headers]:
        if "tests" not in path.relative_to(SOURCE).parts[:3] and "__pycache__" not in path.parts:
            digest.update(f"{path}\0".encode() + path.read_bytes())
    digest.update(pathlib.Path(__file__).read_bytes())  # however its path is spelled
    return digest.hexdigest()


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL_STORE", "PYTHONPATH"))}
    env["PKG_CONFIG_PATH"] = str(BUILD / "meson-uninstalled")
    env["LD_LIBRARY_PATH"] = str(BUILD)
    env["CFLAGS"] = f"-g -O1 -Wall -Wextra -Wno-missing-field-initializers -I{SOURCE}/include"
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return env


def call(*command, cwd=None):
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}")
    return done.stdout


def has(module):
    return subprocess.run([PYTHON, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def make():
    shutil.rmtree(HOME / "venv", ignore_errors=True)
    call(sys.executable, "-m", "venv", "--system-site-packages", HOME / "venv")
    missing = [package for module, package in TOOLS.items() if not has(module)]
    if missing:
        call(PYTHON, "-m", "pip", "install", "--quiet", *missing)
    tree = HOME / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for path in files():
        if "__pycache__" in path.parts:
            continue
        there = tree / path.relative_to(BINDING)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
    call(PYTHON, "setup.py", "-q", "sdist", "--dist-dir", HOME / "dist", cwd=tree)
    source, = (HOME / "dist").glob("pawl-*.tar.gz")
    wheels = HOME / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    call(PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir",
         wheels, source)
    wheel, = wheels.glob("*.whl")
    call(PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)


def built():
    """The folder whose environment has the binding."""
    prepare(HOME, fingerprint(), make)
    return HOME


def preloaded():
    """For a libpawl with AddressSanitizer, whose functions must come before those of Python's own libraries. Leaks are
    not looked for: Python keeps much until its end."""
    if os.environ.get("PAWL_TEST_FLAVOUR") != "asan":
        return {}
    paths = [subprocess.run(["cc", f"-print-file-name=lib{name}.so"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.strip() for name in ("asan", "ubsan")]
    options = os.environ.get("ASAN_OPTIONS", "halt_on_error=1:abort_on_error=1")
    return {"LD_PRELOAD": ":".join(paths), "ASAN_OPTIONS": options + ":detect_leaks=0"}


if __name__ == "__main__":
    os.chdir(built())  # what is tested is what was installed
    os.execve(PYTHON, [str(PYTHON), "-X", "dev", "-m", "pytest", *sys.argv[1:]],
              dict(environment(), **preloaded(), PAWL_WHEELS=str(HOME / "wheels"), PAWL_SDIST=str(HOME / "dist")))
