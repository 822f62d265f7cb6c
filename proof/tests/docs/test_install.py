# SPDX-License-Identifier: MIT
"""What is installed runs from where it was put, and can be taken away again."""
import os
import subprocess

import pytest

from pages import BUILD, SOURCE

BOUND = 100


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], text=True, timeout=BOUND, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    return done.returncode, done.stdout


def files_below(path):
    return sorted(str(p) for p in path.rglob("*") if not p.is_dir())


@pytest.fixture
def installed(tmp_path):
    code, said = run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", tmp_path)
    assert code == 0, said
    [command] = tmp_path.rglob("bin/pawl")
    return command.parent


def test_programs_find_their_library_and_uninstall_removes_them(installed, tmp_path):
    """No ld.so knows the place: LD_LIBRARY_PATH and its cache must not be needed."""
    env = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    env["PAWL_STORE"] = f"sqlite:{tmp_path}/locks.db"
    for program, words in (("pawl", ["run", "k", "true"]), ("pawl", ["torture", "--help"]),
                           ("pawl", ["bench", "--help"]), ("pawl-bench", ["--help"]),
                           ("pawl-torture", ["--help"]), ("pawl", ["top", "--help"]), ("pawl-flock", ["--help"])):
        code, said = run(installed / program, *words, env=env)
        assert code == 0, (program, said)
    code, said = run("ldd", installed / "pawl-torture", env=env)
    library = [line for line in said.splitlines() if "libpawl.so" in line]
    assert library and str(tmp_path) in os.path.realpath(library[0].split()[2]), said

    code, said = run("make", "-C", SOURCE, "uninstall", f"BUILD={BUILD.resolve()}",
                     f"DESTDIR={tmp_path}", env=env)
    assert code == 0, said
    assert [f for f in files_below(tmp_path) if "locks.db" not in f] == []


def test_another_prefix_is_named_to_who_links(tmp_path):
    """As README's C program is linked: pkg-config says where the library will be found."""
    build, prefix = tmp_path / "build", tmp_path / "prefix"
    code, said = run("meson", "setup", build, SOURCE, f"--prefix={prefix}", "-Dlibdir=lib")
    assert code == 0, said
    env = dict(os.environ, PKG_CONFIG_PATH=str(build / "meson-private"))
    code, said = run("pkg-config", "--libs", "pawl", env=env)
    assert code == 0 and f"-Wl,-rpath,{prefix}/lib" in said.split(), said
