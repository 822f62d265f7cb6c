// SPDX-License-Identifier: MIT
const USAGE = `usage: pair.mjs URL [--seconds S] [--rounds N] [--quantile Q] [--c COMMAND]

What one uncontended pair of acquire and release costs: pawl from Node, pawl from C (COMMAND, such as
"build/pawl-bench"), and redis-semaphore and node-redlock, with ioredis, in turn, round by round, in one run.
Prints microseconds, the median of the rounds or another quantile, and the ratios to C. pawl and the peers are those
that are installed in the folder in which it is started.`;
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';

const TTL = 30000;
const load = createRequire(path.join(process.cwd(), 'here.js'));

function options() {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: {
      seconds: { type: 'string', default: '1' }, rounds: { type: 'string', default: '5' },
      quantile: { type: 'string', default: '0.5' }, c: { type: 'string' } } });
    if (positionals.length === 1) return { url: positionals[0], ...values };
  } catch { /* the same as no URL */ }
  console.error(USAGE);
  return process.exit(2);
}

/** Microseconds for one pair. */
async function timed(pair, seconds) {
  for (let i = 0; i < 50; i++) await pair();
  const begun = process.hrtime.bigint();
  for (let count = 20; ; count += 20) {
    for (let i = 0; i < 20; i++) await pair();
    const took = Number(process.hrtime.bigint() - begun) / 1000;
    if (took >= seconds * 1e6) return took / count;
  }
}

/** pawl-bench's own measurement of one client alone. */
function fromC(command, url, seconds) {
  const [program, ...words] = command.split(/\s+/);
  const said = execFileSync(program, [...words, '-q', '-S', url, '-d', `${seconds}s`, '--json', '--only', 'uncontended',
    'bench'], { encoding: 'utf8' });
  return 1e6 / JSON.parse(said).phases[0].pairs_per_second;
}

function installed(name) {
  try {
    return load(name);
  } catch {
    console.error(`${name} is not installed here`);
    return undefined;
  }
}

/** [name, pair] of what is installed here; close ends their connection. */
function peers(url) {
  const Redis = url.startsWith('redis') ? installed('ioredis') : undefined;
  if (!Redis) return { runs: [], close() {} };
  const client = new Redis(url.replace(/^redis\+unix:\/\//, ''));
  const semaphore = installed('redis-semaphore'), Redlock = installed('redlock');
  const runs = [];
  if (semaphore) {
    const mutex = new semaphore.Mutex(client, 'bench-semaphore', { lockTimeout: TTL });
    runs.push(['redis-semaphore', async () => { await mutex.acquire(); await mutex.release(); }]);
  }
  if (Redlock) {
    const redlock = new (Redlock.default ?? Redlock)([client]);
    runs.push(['node-redlock', async () => { await (await redlock.acquire(['bench-redlock'], TTL)).release(); }]);
  }
  return { runs, close: () => client.disconnect() };
}

/** The median for 0.5; a smaller one leaves out the rounds in which others had the machine. */
function quantile(numbers, q) {
  const sorted = [...numbers].sort((a, b) => a - b), at = q * (sorted.length - 1), below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

const { url, c, ...limits } = options();
const seconds = Number(limits.seconds), q = Number(limits.quantile);
const client = new (load('pawl').Client)(url), lock = client.lock('bench', { ttl: TTL });
const others = peers(url);
const runs = [['pawl, lock.acquire()', async () => { await (await lock.acquire()).release(); }],
  ['pawl, client.using()', () => client.using('bench', { ttl: TTL }, () => {})], ...others.runs];
const times = new Map([...(c ? [['pawl in C', []]] : []), ...runs.map(([name]) => [name, []])]);
for (let round = 0; round < Number(limits.rounds); round++) {
  if (c) times.get('pawl in C').push(fromC(c, url, seconds));
  for (const [name, pair] of runs) times.get(name).push(await timed(pair, seconds));
}
await client.close();
others.close();
for (const [name, all] of times) {
  const ratio = c ? `  ${(quantile(all, q) / quantile(times.get('pawl in C'), q)).toFixed(2).padStart(5)} x C` : '';
  console.log(`${name.padEnd(26)} ${quantile(all, q).toFixed(1).padStart(8)} us${ratio}`);
}
