# SPDX-License-Identifier: MIT
"""redis-rw-lock: readers and writers by five locks of python-redis-lock, whose waiters sleep in BLPOP."""
import frame
import redis
import redis_rw_lock

LEASE_S = 600  # nothing renews it


def connect(url):
    client = redis.StrictRedis.from_url(url)
    return lambda name: [redis_rw_lock.RWLock(client, name, mode, expire=LEASE_S)
                         for mode in (redis_rw_lock.RWLock.READ, redis_rw_lock.RWLock.WRITE)]


frame.main("redis-rw-lock", connect, ["mix"])
