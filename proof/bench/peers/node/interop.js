// SPDX-License-Identifier: MIT
// usage: interop.js ADDRESS NAME TTL_MS: a lock of node-redlock, for proof/tests/interop. For each
// line "acquire" (once, without waiting) or "release" on stdin it prints yes or no.
import { createInterface } from 'node:readline';

import Redis from 'ioredis';
import Redlock from 'redlock';

const [address, name, ttl] = process.argv.slice(2);
const client = new Redis(`redis://${address}`);
const redlock = new Redlock([client], { retryCount: 0 });
redlock.on('error', () => {}); // that it is held by another is no news here
let held;

for await (const line of createInterface({ input: process.stdin })) {
  try {
    if (line === 'acquire') held = await redlock.acquire([name], Number(ttl));
    else await held.release();
    console.log('yes');
  } catch {
    console.log('no');
  }
}
client.disconnect();
