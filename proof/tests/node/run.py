# SPDX-License-Identifier: MIT
"""usage: run.py [arguments of node --test]

Builds the Node binding as a user does, in a folder of its own below the build folder, unless it is there already; then
runs its tests with it. Without a Node of at least 20, or its headers, it says so and skips.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from prepared import prepare  # pylint: disable=wrong-import-position

SOURCE = pathlib.Path(os.environ["PAWL_SOURCE"])
BUILD = pathlib.Path(os.environ["PAWL_BUILD"])
BINDING = SOURCE / "bindings/node"
HOME = BUILD / "bindings-node"
PACKAGE = HOME / "node_modules/pawl"
PACKED = ["lib", "native", "build.cjs", "package.json", "README.md"]
SKIPPED = 77


def why_not():
    """Why there is no Node to test with; None: there is one."""
    if shutil.which("node") is None:
        return "there is no node"
    version = subprocess.run(["node", "--version"], text=True, stdout=subprocess.PIPE).stdout.strip()
    if int(re.match(r"v(\d+)", version).group(1)) < 20:
        return f"this node is {version}, and the binding is for 20 and newer"
    places = [pathlib.Path(os.path.realpath(shutil.which("node"))).parent.parent / "include/node",
              pathlib.Path("/usr/include/node")]
    if not any((place / "node_api.h").exists() for place in places):
        return "there are no headers of node"
    return None


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAWL_STORE")}
    env["PKG_CONFIG_PATH"] = str(BUILD / "meson-uninstalled")
    env["LD_LIBRARY_PATH"] = str(BUILD)
    env["CFLAGS"] = f"-g -O1 -Wall -Wextra -Werror -Wno-missing-field-initializers -I{SOURCE}/include"
    return env


def files(names):
    for name in names:
        path = BINDING / name
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def fingerprint():
    digest = hashlib.sha256(subprocess.run(["node", "--version"], stdout=subprocess.PIPE).stdout)
    for path in [*files(PACKED), *sorted((SOURCE / "include/pawl").glob("*.h")), pathlib.Path(__file__)]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def make():
    shutil.rmtree(PACKAGE, ignore_errors=True)
    for path in files(PACKED):
        there = PACKAGE / path.relative_to(BINDING)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
    done = subprocess.run(["node", "build.cjs"], cwd=PACKAGE, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(done.stdout)


def built():
    """The folder in whose node_modules the binding is."""
    prepare(HOME, fingerprint(), make)
    return HOME


if __name__ == "__main__":
    missing = why_not()
    if missing:
        print(f"SKIP: {missing}")
        sys.exit(SKIPPED)
    tests = built() / "tests"  # where `import 'pawl'` finds the binding
    shutil.rmtree(tests, ignore_errors=True)
    shutil.copytree(BINDING / "tests", tests)
    shutil.copy(BINDING / "bench/pair.mjs", tests)
    os.chdir(HOME)
    all_tests = sorted(str(path.relative_to(HOME)) for path in tests.glob("*.test.mjs"))
    os.execvpe("node", ["node", "--test", "--test-reporter=tap", *sys.argv[1:], *all_tests], environment())
