// SPDX-License-Identifier: MIT
// The Mutex and the Semaphore of redis-semaphore, with their defaults but for the time-out: 10 ms
// between tries.
import Redis from 'ioredis';
import { Mutex, Semaphore } from 'redis-semaphore';

import { main, PERMITS, TTL_MS } from './frame.js';

const options = { lockTimeout: TTL_MS, acquireTimeout: 3600000 };

await main('redis-semaphore', (url, workload) => {
  const client = new Redis(url);
  return (name) => (workload === 'permits' ? new Semaphore(client, name, PERMITS, options)
    : new Mutex(client, name, options));
}, ['permits']);
