# SPDX-License-Identifier: MIT
"""Test programs once more under memcheck: it sees memory that was never written, which the
sanitizers do not, and memory that only libraries touch. Leaks are errors, but where children of
a fork end without freeing what was their parent's."""
import os
import shutil
import subprocess

import pytest

BUILD = os.environ["PAWL_BUILD"]
LEAKS = ["--leak-check=full", "--show-leak-kinds=definite,indirect",
         "--errors-for-leak-kinds=definite,indirect"]
ERROR = 99

PROGRAMS = [
    "proof/tests/base/test-base",
    "proof/tests/engine/test-engine",
    "proof/tests/engine/test-late-news",
    "proof/tests/engine/test-broken",
    "proof/tests/runtime/test-runtime-url",
    "proof/tests/runtime/test-runtime-lock memory",
    "proof/tests/runtime/test-runtime-waiting memory",
    "proof/tests/runtime/test-runtime-callbacks memory",
    "proof/tests/redis/test_redis_protocol",
    "proof/tests/config/test-config",
    "./pawl-sim --seeds 20",
]
PROGRAMS_THAT_FORK = [
    "proof/tests/conformance/conformance memory",
    f"proof/tests/conformance/conformance redis {BUILD}/pawl-store-redis.so",
]


def memcheck(command, *options, **environment):
    result = subprocess.run(
        ["valgrind", "-q", f"--error-exitcode={ERROR}", "--fair-sched=yes", *options, *command],
        cwd=BUILD, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PAWL_MODULES": BUILD, **environment})
    return result.returncode, result.stdout + result.stderr


def test_valgrind_is_here():
    assert shutil.which("valgrind"), "scripts/setup test installs it"


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program):
    status, output = memcheck(program.split(), *LEAKS)
    assert status == 0, output


@pytest.mark.parametrize("program", PROGRAMS_THAT_FORK)
def test_program_that_forks(program):
    status, output = memcheck(program.split(), "--child-silent-after-fork=yes")
    assert status == 0, output


@pytest.mark.parametrize("words", ["run job -- true", "ls", "show job", "doctor"])
def test_command(words, tmp_path):
    status, output = memcheck(["./pawl", *words.split()], *LEAKS,
                              PAWL_STORE=f"sqlite:{tmp_path}/locks.db")
    assert status == 0, output


def test_it_bites(tmp_path):
    """An error is one: a program that reads what it has not written fails."""
    source = tmp_path / "wrong.c"
    source.write_text("#include <stdlib.h>\nint main(void)\n"
                      "{ int *p = malloc(sizeof *p); if (*p > 3) return 1; free(p); return 0; }\n")
    program = tmp_path / "wrong"
    subprocess.run(["cc", "-O0", "-o", str(program), str(source)], check=True)
    status, output = memcheck([str(program)])
    assert status == ERROR, output
