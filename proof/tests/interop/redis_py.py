# SPDX-License-Identifier: MIT
"""usage: redis_py.py ADDRESS NAME TTL_MS: a lock of redis-py. For each line "acquire" (once, without
waiting) or "release" on stdin it prints yes or no."""
import sys

import redis
import redis.exceptions

address, name, ttl_ms = sys.argv[1:]
lock = redis.Redis.from_url(f"redis://{address}").lock(name, timeout=int(ttl_ms) / 1000)
for line in sys.stdin:
    try:
        done = lock.acquire(blocking=False) if line == "acquire\n" else lock.release() is None
    except redis.exceptions.LockError:
        done = False
    print("yes" if done else "no", flush=True)
