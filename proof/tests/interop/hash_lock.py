# SPDX-License-Identifier: MIT
"""usage: hash_lock.py ADDRESS NAME TTL_MS: what Redisson's RLock says to a server, by hand: the lock is a
hash, owner -> how often. For each line "acquire" (once, without waiting) or "release" on stdin it prints
yes, no, or what the server refused."""
import sys
import uuid

import redis

ACQUIRE = """if redis.call('exists', KEYS[1]) == 0 or redis.call('hexists', KEYS[1], ARGV[2]) == 1 then
redis.call('hincrby', KEYS[1], ARGV[2], 1) redis.call('pexpire', KEYS[1], ARGV[1]) return 1 end return 0"""
RELEASE = """if redis.call('hexists', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('del', KEYS[1]) return 1"""

address, name, ttl_ms = sys.argv[1:]
client, owner = redis.Redis.from_url(f"redis://{address}"), f"{uuid.uuid4()}:1"
for line in sys.stdin:
    try:
        done = client.eval(ACQUIRE if line == "acquire\n" else RELEASE, 1, name, ttl_ms, owner)
        print("yes" if done else "no", flush=True)
    except redis.exceptions.ResponseError as refused:
        print("WRONGTYPE" if "WRONGTYPE" in str(refused) else refused, flush=True)
