// SPDX-License-Identifier: MIT
// The binding on real stores: locks, losses, waits that are given up, many waiters, other processes.
import assert from 'node:assert/strict';
import { execFileSync, fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import * as pawl from 'pawl';
import { ANSWERED, PATIENCE, breakIt, free, hasRedis, onEveryStore, program, startRedis, two, until, waits } from './stores.mjs';

const { Client } = pawl;
const never = () => assert.fail('it must not run');

onEveryStore('locks', (open, kind) => {
  test('one at a time, with a fence that grows', async (t) => {
    const [a, b] = await two(t, open);
    const first = await a.using('x', { wait: PATIENCE }, async (lock) => {
      assert.equal(typeof lock.fence, 'bigint');
      assert.ok(lock.held && lock.check() > 0 && lock.token && !lock.signal.aborted);
      assert.equal(lock.mode, 'exclusive');
      await assert.rejects(b.using('x', { wait: 0 }, never), pawl.Busy);
      await assert.rejects(b.acquire('x', { wait: ANSWERED }), (error) => error instanceof pawl.Timeout &&
        error instanceof pawl.Busy && error.code === 'PAWL_ERR_TIMEOUT' && error.lock === 'x');
      return lock.fence;
    });
    const held = await b.acquire('x', { wait: PATIENCE });
    assert.ok(held.fence > first && await a.lock('x').locked());
    await held.release({ wait: PATIENCE });
    assert.ok(!held.held && held.remaining === 0 && held.fence > first && held.token === '');
    assert.equal((await a.inspect('x')).held, false);
    await assert.rejects(held.release(), pawl.NotHeld);
    assert.throws(() => held.check(), pawl.NotHeld);
  });

  test('the end of a block releases, also after an error', async (t) => {
    const [a, b] = await two(t, open);
    const oops = new Error('oops');
    await assert.rejects(a.using('x', () => { throw oops; }), oops);
    await free(b, 'x');
    if (Symbol.asyncDispose) {
      const held = await a.acquire('x');
      await held[Symbol.asyncDispose]();
      await held[Symbol.asyncDispose]();
      await free(b, 'x');
    }
  });

  test('a loss aborts', async (t) => {
    const [a, b] = await two(t, open);
    const events = [];
    const lost = await a.using('x', { ttl: 2000, onEvent: (event) => events.push(event) }, async (lock) => {
      await breakIt(b, 'x');
      await until(() => lock.signal.aborted && events.length > 0);
      assert.ok(lock.signal.reason instanceof pawl.Lost && !lock.held);
      assert.throws(() => lock.check(), pawl.Lost);
      lock.signal.throwIfAborted();
    }).catch((error) => error);
    assert.ok(lost instanceof pawl.Lost && !(lost instanceof pawl.NotHeld));
    assert.equal(events[0].kind, 'lost');
    const mine = new Error('mine');
    const both = await a.using('x', { wait: PATIENCE }, async (lock) => {
      await breakIt(b, 'x');
      await until(() => lock.signal.aborted);
      throw mine;
    }).catch((error) => error);
    assert.ok(both instanceof pawl.Lost); // a loss matters more
  });

  test('pairs without a wait let timers and sockets run', async (t) => {
    const [client] = await two(t, open), lock = client.lock('x');
    let fired = false, read = false;
    setTimeout(() => { fired = true; }, 1);
    client.inspect('other').then(() => { read = true; });
    let fence = 0n;
    while (!fired || !read) { // for ever, if each pair were settled without a turn of the loop
      const held = await lock.acquire({ wait: PATIENCE });
      assert.ok(held.held && held.fence >= fence);
      fence = held.fence;
      await held.release();
    }
  });

  test('a wait is given up', async (t) => {
    const [a, b] = await two(t, open);
    const held = await b.acquire('x');
    const stop = new AbortController();
    const waiting = a.using('x', { signal: stop.signal }, never);
    await waits(b, 'x');
    stop.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    await until(async () => (await b.inspect('x')).waiterCount === 0);
    await assert.rejects(a.acquire('x', { signal: stop.signal }), { name: 'AbortError' });
    await held.release();
    await a.using('x', { wait: PATIENCE, signal: new AbortController().signal }, () => {});
  });

  test('a thousand waiters take no thread', async (t) => {
    const [a, b] = await two(t, open);
    const held = await b.acquire('x');
    await a.inspect('x');
    const threads = () => readdirSync('/proc/self/task').length;
    const before = threads();
    let inside = 0, runs = 0;
    const all = Array.from({ length: 1000 }, () => a.using('x', { wait: PATIENCE * 5 }, async () => {
      assert.equal(++inside, 1);
      await null;
      inside--;
      runs++;
    }));
    await waits(b, 'x');
    await readFile(new URL(import.meta.url)); // the pool is free
    assert.ok(threads() <= before + 4 && runs === 0); // the pool's own four
    await held.release();
    await Promise.all(all);
    assert.equal(runs, 1000);
  });

  test('readers, writers, permits', async (t) => {
    const [a, b] = await two(t, open);
    const prices = a.rwlock('p');
    await prices.read().using(async (one) => b.rwlock('p').read().using(async (other) => {
      assert.ok(one.held && other.held && one.mode === 'shared');
      await assert.rejects(b.rwlock('p').write().acquire({ wait: 0 }), pawl.Busy);
      const update = await prices.update().acquire({ wait: PATIENCE });
      await assert.rejects(update.upgrade({ wait: 0 }), pawl.Busy);
      const stop = new AbortController();
      const upgrading = update.upgrade({ signal: stop.signal });
      stop.abort();
      await assert.rejects(upgrading, { name: 'AbortError' });
      assert.ok(update.held && update.mode === 'update');
      await update.release();
    }));
    const held = await prices.update().acquire({ wait: PATIENCE });
    const before = held.fence;
    await held.upgrade({ wait: PATIENCE });
    assert.ok(held.fence > before && held.mode === 'exclusive');
    held.downgrade('shared');
    assert.equal(held.mode, 'shared');
    assert.throws(() => held.downgrade('update'), pawl.Usage);
    await held.release();

    await a.semaphore('s', 3, 2).using(async (some) => {
      assert.deepEqual(some.slots, [0, 1]);
      const rest = await b.semaphore('s', 3).acquire({ wait: PATIENCE });
      assert.deepEqual(rest.slots, [2]);
      await assert.rejects(b.semaphore('s', 3).acquire({ wait: 0 }), pawl.Busy);
      await assert.rejects(b.semaphore('s', 4).acquire({ wait: 0 }), { code: 'PAWL_ERR_CAPACITY' });
      await assert.rejects(b.acquire('s', { wait: 0 }), { code: 'PAWL_ERR_KIND' });
      assert.equal((await a.inspect('s')).holders.length, 2);
      await rest.release();
    });
  });

  test('several names, all or none', async (t) => {
    const [a, b] = await two(t, open);
    const one = await b.acquire('b');
    await assert.rejects(a.lockAll(['c', 'b', 'a']).acquire({ wait: 0 }), pawl.Busy);
    await one.release({ wait: PATIENCE });
    const lost = await a.lockAll(['c', 'b', 'a']).using({ wait: PATIENCE }, async (lock) => {
      assert.deepEqual([...lock.fences.keys()], ['c', 'b', 'a']);
      assert.equal(lock.fence, lock.fences.get('c'));
      assert.equal(lock.name, 'c, b, a');
      await breakIt(b, 'b');
      await until(() => lock.signal.aborted);
    }).catch((error) => error);
    assert.ok(lost instanceof pawl.Lost);
    await free(b, 'a');
    await assert.rejects(a.lockAll(['a', 'a']).acquire(), { code: 'PAWL_ERR_NAMES' });
  });

  test('a lock that counts', async (t) => {
    const [a, b] = await two(t, open);
    const lock = a.lock('x', { reentrant: true });
    await lock.using(async (outer) => {
      await lock.using(async (inner) => assert.equal(inner, outer));
      assert.ok(outer.held);
      await assert.rejects(b.acquire('x', { wait: 0 }), pawl.Busy);
    });
    await free(b, 'x');
    await lock.using(async (again) => assert.ok(again.held));
  });

  test('questions and tokens', async (t) => {
    const [a, b] = await two(t, open);
    const held = await a.acquire('a/1', { detached: true, owner: 'me' });
    const info = await b.inspect('a/1');
    assert.ok(info.held && info.owner === 'me' && info.fence === held.fence && info.remaining > 0);
    assert.equal((await b.list('a/')).length, 1);
    const { fence } = held;
    const token = held.detach();
    assert.equal(await b.renewToken('a/1', token, 60000), fence);
    assert.ok(await b.checkToken('a/1', token) > 0);
    await b.releaseToken('a/1', token);
    await assert.rejects(b.checkToken('a/1', token), pawl.Lost);
    await assert.rejects(b.breakLock('a/1', 7n), pawl.NotHeld);
    assert.throws(() => held.detach(), pawl.NotHeld);
  });

  test('a close ends everything', async (t) => {
    const [a, b] = await two(t, open);
    const held = await a.acquire('x');
    const foe = await b.acquire('y');
    const waiting = a.acquire('y').catch((error) => error);
    await waits(b, 'y');
    await Promise.all([a.close(), a.close()]);
    assert.ok(held.signal.aborted && !held.held && a.closed);
    assert.ok(await waiting instanceof pawl.Closed);
    await assert.rejects(a.acquire('x'), pawl.Closed);
    await assert.rejects(a.inspect('x'), pawl.Closed);
    await assert.rejects(held.release(), pawl.Lost);
    await free(b, 'x');
    await foe.release();
  });

  test('a process that ends gives back, one that is killed is outlived', async (t) => {
    const url = await open();
    const client = new Client(url);
    t.after(() => client.close());
    const ends = program(t, url, "await c.acquire('x'); console.log('has it'); process.exit(3);");
    assert.equal(await ends.ended, 3);
    await client.using('x', { wait: PATIENCE }, () => {});
    const idle = program(t, url, "await c.using('y', () => console.log('done'));");
    assert.equal(await idle.ended, 0); // a client that waits for nothing does not keep Node alive
    const hangs = program(t, url, `await c.acquire('x', { ttl: ${kind === 'redis' ? 1500 : 30000} });
      console.log('has it'); setInterval(() => {}, 1000);`);
    await hangs.says('has it');
    const waiting = client.acquire('x', { wait: PATIENCE });
    hangs.child.kill('SIGKILL');
    assert.equal(await hangs.ended, 'SIGKILL');
    await (await waiting).release();
  });

  test('a child of fork has a client of its own', async (t) => {
    const [a] = await two(t, open);
    const held = await a.acquire('x');
    const child = fork(new URL('./child.mjs', import.meta.url), [a.url]);
    t.after(() => child.kill('SIGKILL'));
    const said = [];
    child.on('message', (word) => said.push(word));
    await until(() => said[0] === 'busy');
    assert.ok(held.held);
    await held.release();
    await until(() => said[1] === 'mine');
  });

  test('a worker that ends gives back', async (t) => {
    const [a] = await two(t, open);
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: a.url });
    await new Promise((resolve) => worker.once('message', resolve));
    await assert.rejects(a.acquire('x', { wait: 0 }), pawl.Busy);
    await worker.terminate();
    await a.using('x', { wait: PATIENCE }, () => {});
  });
});

test('a store that is away is neither busy nor free', { skip: !hasRedis() }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const lines = [];
  const client = new Client(redis.url, { storeTimeout: 200, log: (level, line) => lines.push([level, line]) });
  t.after(() => client.close());
  const held = await client.acquire('x', { ttl: 1000 });
  redis.server.kill('SIGSTOP');
  await assert.rejects(held.release({ wait: 50 }), pawl.Unknown);
  await assert.rejects(client.acquire('y'), pawl.Unavailable);
  await until(() => lines.length > 0);
  assert.ok(['debug', 'info', 'warning', 'error'].includes(lines[0][0]) && typeof lines[0][1] === 'string');
  redis.server.kill('SIGCONT');
  await client.using('x', { wait: PATIENCE }, () => {});
});

test('wrong arguments are errors', async (t) => {
  assert.throws(() => new Client('nosuch:'), pawl.Usage);
  assert.throws(() => new Client('memory:\0'), { code: 'PAWL_ERR_URL' });
  assert.throws(() => new Client('memory:', { storeTimeout: 'x' }), TypeError);
  const client = new Client('memory:wrong');
  t.after(() => client.close());
  assert.throws(() => client.lock(7), TypeError);
  assert.throws(() => client.lock('a\0b'), { code: 'PAWL_ERR_NAME' });
  assert.throws(() => client.lock('x', { mode: 'odd' }), pawl.Usage);
  assert.throws(() => client.lock('x', { mode: 'permit' }), pawl.Usage);
  assert.throws(() => client.lockAll([]), { code: 'PAWL_ERR_NAMES' });
  assert.throws(() => client.semaphore('x', 2, 3), { code: 'PAWL_ERR_UNITS' });
  await assert.rejects(client.acquire(''), { code: 'PAWL_ERR_NAME' });
  await assert.rejects(client.acquire('x', { ttl: 1 }), { code: 'PAWL_ERR_TTL' });
  await assert.rejects(client.acquire('x', { wait: -1 }), RangeError);
  await assert.rejects(client.acquire('x', { wait: NaN }), TypeError);
  await assert.rejects(client.breakLock('x', 1), TypeError);
  await client.using('x', async (lock) => {
    for (const other of [lock.fence + 2n ** 64n, lock.fence - 2n ** 64n]) // the same 64 bits
      await assert.rejects(client.breakLock('x', other), RangeError);
    lock.check();
  });
  await assert.rejects(client.checkToken('x', 'no token'), pawl.Usage);
  await client.using('x', () => {}); // nothing of that stays behind
});

test('both kinds of modules, and the types, tell of the same', () => {
  const require = createRequire(import.meta.url);
  const common = require('pawl');
  assert.deepEqual(Object.keys(pawl).filter((name) => name !== 'default').sort(), Object.keys(common).sort());
  assert.equal(pawl.Client, common.Client);
  const types = readFileSync(require.resolve('pawl').replace('client.cjs', 'index.d.ts'), 'utf8');
  const declared = [...types.matchAll(/^export declare (?:class|const) (\w+)/gm)].map((found) => found[1]);
  assert.deepEqual(declared.sort(), Object.keys(common).sort());
  for (const [name, kind] of Object.entries(common)) {
    if (typeof kind !== 'function' || kind.prototype instanceof Error) continue;
    const body = types.match(new RegExp(`^export declare class ${name}(?: extends \\w+)? \\{\\n([^]*?)^\\}`, 'm'))[1];
    const own = Object.getOwnPropertyNames(kind.prototype).filter((one) => one !== 'constructor' && !one.startsWith('_'));
    for (const one of own) assert.match(body, new RegExp(`\\b${one}\\b`), `${name}.${one}`);
  }
});

test('the measurement runs', () => { // its numbers are no matter here
  const said = execFileSync(process.execPath, [new URL('./pair.mjs', import.meta.url).pathname, 'memory:', '--seconds', '0.01',
    '--rounds', '1'], { encoding: 'utf8', cwd: new URL('..', import.meta.url).pathname });
  assert.match(said, /^pawl, lock\.acquire\(\) +[\d.]+ us\npawl, client\.using\(\) +[\d.]+ us\n$/);
});
