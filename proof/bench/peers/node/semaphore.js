// SPDX-License-Identifier: MIT
// The Mutex of redis-semaphore, with its defaults but for the time-out: 10 ms between tries.
import Redis from 'ioredis';
import { Mutex } from 'redis-semaphore';

import { main, TTL_MS } from './frame.js';

await main('redis-semaphore', (url) => {
  const client = new Redis(url);
  return (name) => new Mutex(client, name, { lockTimeout: TTL_MS, acquireTimeout: 3600000 });
});
