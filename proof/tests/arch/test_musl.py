# SPDX-License-Identifier: MIT
"""Another C library: what compiles with musl, and the calls that keep the rest from it."""
import re
import shutil
import subprocess

import pytest
import tree

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wconversion", "-Wno-sign-conversion",
            "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wformat=2", "-Wundef", "-Wvla",
            "-Wno-gnu-zero-variadic-macro-arguments"]

# What is in glibc alone, and which files of the runtime call it. Whoever replaces one takes it out of here.
GLIBC_ONLY = {
    "src/runtime/fork.c": "pthread_cond_clockwait",
    "src/runtime/gate.c": "pthread_cond_clockwait",
    "src/runtime/modules.c": "dladdr1",
    "src/runtime/waiter.c": "sem_clockwait",
}


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    if not shutil.which("musl-gcc"):
        print("SKIP: musl-gcc is not installed (musl-tools): nothing was compiled with musl")
        pytest.skip("musl-gcc is not installed (musl-tools): nothing was compiled with musl")
    # libevent's headers alone: those of glibc, which lie beside them, must not be found.
    found = subprocess.run(["pkg-config", "--variable=includedir", "libevent_core"], text=True, check=True,
                           stdout=subprocess.PIPE).stdout.strip()
    directory = tmp_path_factory.mktemp("headers")
    (directory / "event2").symlink_to(f"{found}/event2")

    def run(path):
        done = subprocess.run(["musl-gcc", *WARNINGS, "-fPIC", "-fsyntax-only", f"-I{tree.SOURCE}/include",
                               "-isystem", directory, tree.SOURCE / path], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout
    return run


def test_the_library_but_for_three_calls(compiler):
    files = [str(path) for path in tree.files("src/base", "src/engine", "src/stores/memory", "src/runtime",
                                              suffixes=(".c",))]
    assert len(files) > 60 and set(GLIBC_ONLY) <= set(files)
    for path in files:
        code, said = compiler(path)
        if path not in GLIBC_ONLY:
            assert code == 0, said
            continue
        missing = re.findall(r"implicit declaration of function .(\w+).;", said)
        assert missing and set(missing) == {GLIBC_ONLY[path]}, said
