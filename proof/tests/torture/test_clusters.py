# SPDX-License-Identifier: MIT
"""Three servers: their leader dies or stands still, one is cut off from the others, all are killed."""
import shutil
import sys

import pytest
from history import torture

HELD, THIN = 0, 2
FAULTS = "kill-leader,stop-leader,cut-off,restart-all,net-lose"  # the others: each store alone has them


@pytest.mark.parametrize("setup", ["etcd-cluster", "zookeeper-cluster"])
def test_cluster(setup, tmp_path):
    for seconds in (4, 16, 64):
        result = torture("--seconds", seconds, "--store", setup, "--ttl", 2000, "--grants", 20, "--faults", FAULTS,
                         "--dir", tmp_path / str(seconds))
        if "that server is not installed" in result.stderr:
            print(f"SKIP: {setup}: it is not installed", file=sys.stderr)
            pytest.skip("it is not installed")
        if result.returncode != THIN:
            break
        shutil.rmtree(tmp_path / str(seconds))
    assert result.returncode == HELD, result.stdout + result.stderr
