# SPDX-License-Identifier: MIT
"""The drivers of what a database has by itself, for a moment, on a private server."""
import tempfile

import pytest
from suite import databases, driver


@pytest.mark.parametrize("kind", [databases.PostgreSQL, databases.MariaDB, databases.Etcd])
def test_what_a_database_has_by_itself(bench, kind):
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as scratch:  # the server's user may enter
        database = kind(scratch)
        if not database.installed:
            pytest.skip(f"there is no {kind.name} on this machine")
        try:
            database.start()
            for who, url in database.urls.items():
                waits = who not in ("bare", "gateway")
                workload, clients = ("contend", "4") if waits else ("pairs", "1")
                name = "advisory" if kind is databases.PostgreSQL else who.split(",")[0]
                result = driver.run([bench(name)], url, workload, clients, 0.3)
                assert result.get("overlaps", 0) == 0 < result["total"]
            assert database.cpu_us() > 0
        finally:
            database.stop()


# What one pair asks of the server, roughly, for the first and the last ones are not whole: of
# MariaDB and PostgreSQL two calls; etcd has a lease made, ZooKeeper is looked at and renewed.
PAIR = {databases.PostgreSQL: (1.5, 3), databases.MariaDB: (1.5, 3), databases.Etcd: (1.5, 10),
        databases.ZooKeeper: (2, 12)}


@pytest.mark.parametrize("kind", PAIR)
def test_pawl_on_a_server(bench, kind):
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as scratch:
        server = kind(scratch)
        if not server.installed:
            pytest.skip(f"there is no {kind.name} on this machine")
        try:
            server.start()
            result = driver.run([bench("pawl")], server.url, "contend", "4", 0.3)
            assert result["overlaps"] == 0 < result["total"] and server.cpu_us() > 0
            found = {}
            result = driver.run([bench("pawl")], server.url, "pairs", "1", 1, between=server.counts(found))
            least, most = PAIR[kind]
            assert least <= found["requests"] / result["total"] <= most
        finally:
            server.stop()
