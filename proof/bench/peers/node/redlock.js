// SPDX-License-Identifier: MIT
// node-redlock on one server, with its defaults but for the number of tries: 200 ms between them.
import Redis from 'ioredis';
import Redlock from 'redlock';

import { main, TTL_MS } from './frame.js';

await main('node-redlock', (url) => {
  const redlock = new Redlock([new Redis(url)], { retryCount: -1 });
  return (name) => ({
    async acquire() { this.held = await redlock.acquire([name], TTL_MS); },
    release() { return this.held.release(); },
  });
});
