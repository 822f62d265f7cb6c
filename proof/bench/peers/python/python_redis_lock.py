# SPDX-License-Identifier: MIT
"""python-redis-lock: SET NX, and waiters sleep in BLPOP."""
import frame
import redis
import redis_lock


def connect(url):
    client = redis.StrictRedis.from_url(url)
    return lambda name: redis_lock.Lock(client, name, expire=frame.TTL_S)


frame.main("python-redis-lock", connect)
