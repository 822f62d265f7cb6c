# SPDX-License-Identifier: MIT
"""A plugin for redis-py's own tests: they find pawl's lock in the place of redis-py's."""
import pytest
import redis.asyncio.client
import redis.asyncio.lock
import redis.client
import redis.lock

import pawl.redislock
import pawl.redislock_aio


def with_long_leases(kind):
    """Some of their tests take a lease of 0.1 s, and a busy machine loses it where this one is renewed: whether such a
    test passes would be chance. A lease of ten seconds is renewed in their tests all the same."""
    class Lock(kind):
        def __init__(self, redis_client, name, timeout=None, **options):
            super().__init__(redis_client, name, 10 if timeout is not None and timeout < 1 else timeout, **options)

    return Lock


redis.lock.Lock = redis.client.Lock = with_long_leases(pawl.redislock.Lock)
redis.asyncio.lock.Lock = redis.asyncio.client.Lock = with_long_leases(pawl.redislock_aio.Lock)
_url_of = pawl.redislock.url_of


def url_of(client):
    """The fixtures empty the server between two tests. A server that forgot its locks grants nothing for a while: to
    the guard that is no test."""
    return _url_of(client) + "&guard=off"


pawl.redislock.url_of = pawl.redislock_aio.url_of = url_of


@pytest.fixture(autouse=True)
def a_client_for_each_test():
    """A test that fails keeps its lock, and would hold up the next one."""
    yield
    for client in pawl.redislock._clients.values():
        client.close()
