// SPDX-License-Identifier: MIT
// Jobs, elections, latches and barriers on real stores.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as pawl from 'pawl';
import { ANSWERED, PATIENCE, breakIt, free, onEveryStore, program, two, until, waits } from './stores.mjs';

const { Client } = pawl;
const LONG = 366 * 86400000; // a period that no test sees the end of
const never = () => assert.fail('it must not run');
const areThere = (client, name, count) => until(async () => (await client.inspect(name)).holderCount === count);
const outcome = (promise) => promise.catch((error) => error);

/** The round that it passes in the end, although others give up or die. */
async function through(barrier) {
  for (;;) {
    try {
      return await barrier.wait({ wait: 3 * PATIENCE });
    } catch (error) {
      if (!(error instanceof pawl.Broken)) throw error;
    }
  }
}

onEveryStore('what is built on locks', (open, kind) => {
  test('a job runs once in a period', async (t) => {
    const [a, b] = await two(t, open);
    const mine = a.once('job', LONG), theirs = b.once('job', LONG);
    const before = await mine.look();
    assert.ok(before.outcome === 'never' && before.due && before.began === undefined && before.now instanceof Date);
    const oops = new Error('oops');
    await assert.rejects(mine.run(() => { throw oops; }), oops);
    assert.equal((await theirs.look()).outcome, 'failed');
    assert.equal(await mine.run({ wait: PATIENCE }, async (run) => {
      assert.ok(run.held && run.check() > 0 && run.fence > 0n && run.name === 'job' && !run.signal.aborted);
      const busy = await outcome(theirs.run({ wait: 0 }, never));
      assert.ok(busy instanceof pawl.Busy && !(busy instanceof pawl.Done));
      assert.ok(await outcome(theirs.run({ wait: ANSWERED }, never)) instanceof pawl.Timeout);
    }), true);
    assert.equal(await theirs.run(never), false);
    assert.equal(await mine.run(never), false);
    const found = await theirs.look();
    assert.ok(found.outcome === 'succeeded' && !found.due && found.owner === a.owner && found.fence > 0n);
    assert.ok(found.began <= found.ended && found.ended <= found.now && found.now < found.next);
    await assert.rejects(a.once('kept', LONG, { keepOnFailure: true }).run(() => { throw oops; }), oops);
    assert.equal(await b.once('kept', LONG).run(never), false);
    assert.equal((await b.once('kept', LONG).look()).outcome, 'failed, kept');
    await assert.rejects(a.once('x', 0).run(never), pawl.Usage);
  });

  test('a run that is lost or given up does not count', async (t) => {
    const [a, b] = await two(t, open);
    const job = a.once('job', LONG);
    const lost = await outcome(job.run(async (run) => {
      await breakIt(b, 'job');
      await until(() => run.signal.aborted);
      assert.throws(() => run.check(), pawl.Lost);
    }));
    assert.ok(lost instanceof pawl.Lost);
    assert.ok((await job.look()).due);
    const held = await b.acquire('job', { wait: PATIENCE });
    const stop = new AbortController();
    const waiting = job.run({ signal: stop.signal }, never);
    await waits(b, 'job');
    stop.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    await until(async () => (await b.inspect('job')).waiterCount === 0);
    const hasty = new AbortController(); // before it has asked for the lock
    const early = job.run({ signal: hasty.signal }, never);
    hasty.abort();
    await assert.rejects(early, { name: 'AbortError' });
    await held.release();
    await free(b, 'job');
    assert.equal(await job.run(() => {}), true);
  });

  test('a leader is known by its value', async (t) => {
    const [a, b] = await two(t, open);
    const seen = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const leader of b.observe('e', { signal: stop.signal })) seen.push(leader);
    })().catch((error) => error);
    const hear = (what) => until(() => seen.length > 0 && what(seen.at(-1)));
    await hear((leader) => !leader.leads && !leader.error);
    const mine = a.election('e', { value: 'one\0' }), theirs = b.election('e');
    assert.equal(await mine.lead(async (leading) => {
      assert.ok(leading.held && leading.check() > 0);
      await hear((leader) => leader.value?.toString() === 'one\0');
      await assert.rejects(theirs.campaign({ wait: 0 }), pawl.Busy);
      await leading.proclaim(new Uint8Array([1, 2]));
      await hear((leader) => leader.value?.length === 2);
      const leader = await b.leader('e');
      assert.ok(leader.leads && leader.owner === a.owner && leader.fence === leading.fence && leader.remaining > 0);
      await assert.rejects(leading.proclaim('x'.repeat(4097)), { code: 'PAWL_ERR_VALUE' });
      await assert.rejects(leading.proclaim(7), TypeError);
      return 'led';
    }), 'led');
    await hear((leader) => !leader.leads);
    const lost = await outcome(theirs.lead({ wait: PATIENCE }, async (leading) => {
      await breakIt(a, 'e');
      await until(() => leading.signal.aborted);
      await assert.rejects(leading.proclaim('late'), pawl.Lost);
    }));
    assert.ok(lost instanceof pawl.Lost);
    const leading = await mine.campaign({ wait: PATIENCE });
    const last = leading.proclaim('last');
    await leading.resign({ wait: PATIENCE }); // beside a word that is on its way
    await outcome(last);
    await assert.rejects(leading.resign(), pawl.NotHeld);
    await assert.rejects(leading.proclaim('x'), pawl.NotHeld);
    stop.abort();
    assert.equal((await following).name, 'AbortError');
    for await (const leader of b.observe('e')) { // its end stops it
      assert.equal(leader.leads, false);
      break;
    }
  });

  test('a latch opens when all have come', async (t) => {
    const [a, b] = await two(t, open);
    const mine = a.latch('l', 3), theirs = b.latch('l', 3);
    const waiting = [mine.wait(), mine.wait(), theirs.wait({ signal: new AbortController().signal })];
    assert.equal(await theirs.countDown(), 2);
    assert.equal(await mine.left(), 2);
    await assert.rejects(theirs.wait({ wait: ANSWERED }), (error) => error instanceof pawl.Timeout && error.lock === 'l');
    await assert.rejects(theirs.wait({ wait: 0 }), { code: 'PAWL_ERR_BUSY' });
    const stop = new AbortController();
    const left = theirs.wait({ signal: stop.signal });
    stop.abort();
    await assert.rejects(left, { name: 'AbortError' });
    await assert.rejects(theirs.wait({ signal: stop.signal }), { name: 'AbortError' });
    await assert.rejects(b.latch('l', 4).countDown(), { code: 'PAWL_ERR_COUNT' });
    await assert.rejects(b.latch('l', 4).wait(), pawl.Usage);
    await assert.rejects(mine.countDown({ by: 4 }), { code: 'PAWL_ERR_PARTIES' });
    assert.equal(await mine.countDown({ by: 2, wait: PATIENCE }), 0);
    await Promise.all(waiting);
    await theirs.wait({ wait: PATIENCE });
    assert.throws(() => a.latch('x', 0), { code: 'PAWL_ERR_PARTIES' });
    assert.throws(() => a.latch('x', 1.5), { code: 'PAWL_ERR_PARTIES' });
    await assert.rejects(a.latch('x', 1, { keep: -1 }).wait(), { code: 'PAWL_ERR_ARGUMENT' });
    await assert.rejects(a.latch('', 1).wait(), { code: 'PAWL_ERR_NAME' });
  });

  test('a thousand wait for a latch, and take no thread', async (t) => {
    const [a, b] = await two(t, open);
    const latch = a.latch('l', 1);
    await latch.left();
    const threads = () => readdirSync('/proc/self/task').length;
    const before = threads();
    const all = Array.from({ length: 1000 }, () => latch.wait({ wait: PATIENCE * 5 }));
    assert.equal(await b.latch('l', 1).countDown(), 0);
    await Promise.all(all);
    assert.ok(threads() <= before + 4); // the pool's own four
  });

  test('a barrier lets all through together', async (t) => {
    const [a, b] = await two(t, open);
    const mine = a.barrier('b', 3), theirs = b.barrier('b', 3);
    for (const round of [1, 2]) {
      const waiting = [mine.wait(), mine.wait()];
      await areThere(b, 'b', 2);
      assert.equal(await theirs.wait({ wait: PATIENCE }), round);
      assert.deepEqual(await Promise.all(waiting), [round, round]);
      await areThere(b, 'b', 0);
    }
    const stop = new AbortController();
    const leaving = outcome(theirs.wait({ signal: stop.signal }));
    await areThere(b, 'b', 1);
    const staying = outcome(mine.wait({ wait: 3 * PATIENCE }));
    await areThere(b, 'b', 2);
    stop.abort(); // breaks it for the other
    assert.equal((await leaving).name, 'AbortError');
    const broken = await staying;
    assert.ok(broken instanceof pawl.Broken && broken.code === 'PAWL_ERR_BROKEN', broken);
    await areThere(b, 'b', 0);
    const losing = outcome(mine.wait());
    await areThere(b, 'b', 1);
    await breakIt(b, 'b');
    assert.equal((await losing).code, 'PAWL_ERR_LOST');
    await assert.rejects(mine.wait({ wait: ANSWERED }), pawl.Timeout);
    await assert.rejects(mine.wait({ wait: 0 }), pawl.Busy);
    await a.semaphore('c', 2).using(() => assert.rejects(b.barrier('c', 3).wait({ wait: PATIENCE }),
      { code: 'PAWL_ERR_COUNT' }));
    assert.throws(() => a.barrier('b', 0), { code: 'PAWL_ERR_PARTIES' });
    await assert.rejects(a.barrier('b', 1, { ttl: 1 }).wait(), { code: 'PAWL_ERR_TTL' });
    assert.equal(await a.barrier('alone', 1).wait(), 1);
  });

  test('a close ends who waits inside', async (t) => {
    const [a, b] = await two(t, open);
    const held = await b.acquire('o');
    const waiting = [a.latch('l', 1).wait(), a.barrier('b', 9).wait(), a.barrier('b', 9).wait(),
      a.once('o', LONG).run(never), a.election('o').campaign(),
      (async () => { for await (const leader of a.observe('o')) assert.ok(leader.leads); })()].map(outcome);
    await areThere(b, 'b', 2);
    await waits(b, 'o');
    await a.close();
    const ends = await Promise.all(waiting);
    assert.equal(ends.pop(), undefined); // the observer has ended
    for (const end of ends) assert.ok(end instanceof pawl.Closed, end);
    await areThere(b, 'b', 0);
    await assert.rejects(a.latch('l', 1).countDown(), pawl.Closed);
    await assert.rejects(a.barrier('b', 9).wait(), pawl.Closed);
    await assert.rejects(a.once('o', LONG).look(), pawl.Closed);
    await held.release();
  });

  test('one that is killed does not stop the others', async (t) => {
    const url = await open();
    const client = new Client(url);
    t.after(() => client.close());
    const killed = program(t, url, `c.barrier('b', 3, { ttl: ${kind === 'redis' ? 1500 : 30000} }).wait();`);
    await areThere(client, 'b', 1);
    const waiting = through(client.barrier('b', 3));
    await areThere(client, 'b', 2);
    killed.child.kill('SIGKILL');
    assert.equal(await killed.ended, 'SIGKILL');
    await areThere(client, 'b', 1); // it is counted as long as its lease lasts
    const rest = [through(client.barrier('b', 3)), through(client.barrier('b', 3))];
    assert.deepEqual(await Promise.all([waiting, ...rest]), [1, 1, 1]);
  });

  test('a release ends an upgrade', async (t) => {
    const [a, b] = await two(t, open);
    const reader = await b.rwlock('p').read().acquire();
    const held = await a.rwlock('p').update().acquire({ wait: PATIENCE });
    const upgrading = outcome(held.upgrade());
    await held.release();
    assert.ok(await upgrading instanceof pawl.NotHeld);
    await reader.release();
  });

  test('nothing is left', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc'), url = await open(), all = [];
    const counts = () => ['fd', 'task'].map((kind) => readdirSync(`/proc/self/${kind}`).length);
    const oneRound = async () => {
      const client = new Client(url);
      const held = await client.acquire('x', { wait: PATIENCE, onEvent: () => held.held });
      await assert.rejects(client.acquire('x', { wait: 0 }), pawl.Busy);
      const stop = new AbortController();
      const waiting = outcome(client.acquire('x', { signal: stop.signal }));
      stop.abort();
      await waiting;
      await client.latch('l', 1).countDown();
      await client.once('j', LONG).run(() => {});
      await assert.rejects(client.barrier('b', 2).wait({ wait: 0 }), pawl.Busy);
      for await (const leader of client.observe('x')) if (leader.leads) break;
      await held.release();
      all.push(new WeakRef(client), new WeakRef(held), new WeakRef(stop));
      await client.close();
    };
    await oneRound();
    const before = counts();
    for (let i = 0; i < 10; i++) await oneRound();
    await until(() => {
      gc();
      return all.every((one) => one.deref() === undefined) && counts().every((count, i) => count <= before[i]);
    });
  });
});
