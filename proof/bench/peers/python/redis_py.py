# SPDX-License-Identifier: MIT
"""The Lock of redis-py, with its defaults: it sleeps 0.1 s between attempts."""
import frame
import redis


def connect(url):
    client = redis.Redis.from_url(url)
    return lambda name: client.lock(name, timeout=frame.TTL_S)


frame.main("redis-py", connect)
