# SPDX-License-Identifier: MIT
"""What the libraries show to programs that were built on them is what proof/abi says."""
import os
import shutil
import subprocess

import pytest
import tree


def test_the_abi_is_what_was_written_down():
    if not shutil.which("abidw"):
        print("SKIP: abidw is not installed (abigail-tools): the ABI was not compared")
        pytest.skip("abidw is not installed (abigail-tools): the ABI was not compared")
    done = subprocess.run([tree.SOURCE / "scripts/abi"], text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, "BUILD": str(tree.BUILD)}, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("was, becomes", [
    ("name='pawl_break'", "name='pawl_brake'"),          # a function that is gone
    ("<enumerator name='PAWL_MODE_SHARED' value='", "<enumerator name='PAWL_MODE_SHARED' value='4"),
    ("<enumerator name='PAWL_ERR_PARTIES' value='-54'", "<enumerator name='PAWL_ERR_PARTIES' value='-55'"),
    ("<enumerator name='PAWL_CLASS_USAGE' value='", "<enumerator name='PAWL_CLASS_USAGE' value='4"),
], ids=["function", "enumerator", "error", "class of errors"])
def test_a_change_of_the_abi_is_seen(tmp_path, was, becomes):
    if not shutil.which("abidiff"):
        print("SKIP: abidiff is not installed (abigail-tools): the ABI was not compared")
        pytest.skip("abidiff is not installed (abigail-tools): the ABI was not compared")
    known = tree.SOURCE / "proof/abi/libpawl.abi"
    text = known.read_text("utf-8")
    assert was in text
    other = tmp_path / "other.abi"
    other.write_text(text.replace(was, becomes), encoding="utf-8")
    done = subprocess.run(["abidiff", "--non-reachable-types", "--no-corpus-path", known, other], check=False, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode & 4, done.stdout.decode()
