// SPDX-License-Identifier: MIT
// What is built on locks: jobs that run once in a period, elections, latches, barriers.
'use strict';
const native = require('./native.cjs');
const { errors, makeError } = require('./errors.cjs');
const { outcome, pending, waitMs } = require('./held.cjs');

const OUTCOMES = ['never', 'succeeded', 'failed', 'failed, kept'];

function whole(number, most, op, name) {
  if (!Number.isInteger(number) || number < 1 || number > most) {
    throw makeError(native.ERR_PARTIES, op, name, `a whole number from 1 to ${most}, not ${String(number)}`);
  }
  return number;
}

/** Runs work, then end(whether it succeeded). What work throws comes out, but for a loss, which matters more. */
async function ran(work, end) {
  let result;
  try {
    result = await work();
  } catch (error) {
    try {
      await end(false);
    } catch (lost) {
      if (!(lost instanceof errors.Lost)) throw error;
      if (lost !== error && lost.cause === undefined) lost.cause = error;
      throw lost;
    }
    throw error;
  }
  await end(true);
  return result;
}

// ---- Once ------------------------------------------------------------------------------------------------

/** A run of a job, under its lock: see Held. */
class Run {
  #held;
  constructor(held) { this.#held = held; }
  get name() { return this.#held.name; }
  get signal() { return this.#held.signal; }
  get held() { return this.#held.held; }
  get remaining() { return this.#held.remaining; }
  get fence() { return this.#held.fence; }
  check() { return this.#held.check(); }
}

const date = (us) => us ? new Date(us / 1000) : undefined;
// Freed, a run that has begun and not ended gives its period back; what waits is ended.
const ONCE = { op: 'once', begin: native.begin, cancel: native.free, undo: native.free };

/** At most one successful run in each period, among all who name it: what client.once() makes. */
class Job {
  #client; #name; #options;

  constructor(client, name, options) {
    this.#client = client;
    this.#name = name;
    this.#options = options;
  }

  get name() { return this.#name; }

  /** Runs work(run), and tells whether: false, if it has been done in this period. If work throws, the run has failed,
   * and that comes out. Lost: it has run, but the lock was lost meanwhile. Busy, Timeout: somebody runs it now. */
  async run(...given) {
    const work = given.pop();
    const { wait, signal } = given[0] ?? {};
    const { every, keepOnFailure, ttl, owner, onEvent } = this.#options;
    const make = (pointer, id) => native.once(pointer, id, this.#name, ttl, owner, every, keepOnFailure);
    let held;
    try {
      held = await this.#client._hold(this.#name, make, onEvent, wait, signal, ONCE);
    } catch (error) {
      if (error instanceof errors.Done) return false;
      throw error;
    }
    await ran(() => work(new Run(held)), (success) => held._end('once', (handle) => native.end(handle, success)));
    return true;
  }

  /** How the latest run went: asks the store, without the lock. */
  async look(options) {
    const found = await this.#client._look(this.#name, this.#options.every, options);
    return { ...found, outcome: OUTCOMES[found.outcome], began: date(found.began), ended: date(found.ended),
      now: date(found.now), next: date(found.next) };
  }
}

// ---- Election -----------------------------------------------------------------------------------------------

function bytes(value) {
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  throw new TypeError('pawl: a value is a string or a Uint8Array');
}

/** The lead, and its lock: see Held. */
class Leading extends Run {
  #held;
  constructor(held) {
    super(held);
    this.#held = held;
  }

  /** Makes a value known, 4096 bytes at most; it replaces the one before. */
  async proclaim(value, { wait } = {}) { await this.#held._proclaim(bytes(value), waitMs(wait)); }

  /** Leads no more: observers are told, and the lock is released. */
  async resign({ wait } = {}) {
    const limit = waitMs(wait);
    await this.#held._end('resign', (handle) => native.resign(handle, limit));
  }
}

/** A candidate for the lead of a name: what client.election() makes. */
class Election {
  #lock; #value;

  constructor(lock, value) {
    this.#lock = lock;
    this.#value = value === undefined ? undefined : bytes(value);
  }

  get name() { return this.#lock.name; }

  /** Waits for the lead, and proclaims the value if there is one. Rejects with Busy (wait: 0), Timeout and so on. */
  async campaign(options) {
    const held = await this.#lock.acquire(options);
    const leading = new Leading(held);
    if (this.#value === undefined) return leading;
    try {
      await leading.proclaim(this.#value);
    } catch (error) {
      await held.release().catch(() => {}); // what failed first says more
      throw error;
    }
    return leading;
  }

  /** Waits for the lead, runs work(leading), and resigns. Lost, whatever work made of it, if the lead was lost. */
  async lead(...given) {
    const work = given.pop();
    const leading = await this.campaign(...given);
    return ran(() => work(leading), () => leading.resign());
  }
}

function copyLeader({ err, remaining, ...rest }, name = '') {
  return { ...rest, remaining: remaining < 0 ? Infinity : remaining,
    error: err ? makeError(err, 'observe', name) : undefined };
}

/** What is told of the leader, the latest of it, until the loop that reads it ends, or the signal, or the client. */
async function* observe(client, name, { signal } = {}) {
  signal?.throwIfAborted();
  let news = pending(), isOver = false;
  const end = () => { isOver = true; news.resolve(); };
  const { id, handle } = client._make('observe', name, (pointer, id) => native.observe(pointer, id, name),
    () => ({ _told() { news.resolve(); }, _closing: end }));
  signal?.addEventListener('abort', end, { once: true });
  try {
    while (true) {
      client._waiting(1);
      await news.promise.finally(() => client._waiting(-1));
      signal?.throwIfAborted();
      if (isOver) return;
      news = pending();
      yield copyLeader(native.takeLeader(handle), name);
    }
  } finally {
    signal?.removeEventListener('abort', end);
    client._forget(id);
    native.free(handle);
  }
}

// ---- Latch and barrier ---------------------------------------------------------------------------------------

/** One call with a handle of its own, which an abort frees; result(handle) is read when it has succeeded. */
async function call(client, op, name, make, begin, signal, result) {
  signal?.throwIfAborted();
  const wish = pending();
  const { id, handle } = client._make(op, name, make, () => ({
    _told(kind, err) {
      client._waiting(-1);
      wish.resolve(err);
    },
    _closing() {},
  }));
  try {
    let code = begin(handle);
    if (!code) {
      client._waiting(1);
      code = await outcome(wish, signal, () => native.free(handle), () => {});
    }
    if (code) throw client._fail(code, op, name);
    return result(handle);
  } finally {
    client._forget(id);
    native.free(handle);
  }
}

/** Opens when it was counted down so many times: what client.latch() makes. */
class Latch {
  #client; #name; #count; #keep;

  constructor(client, name, count, keep) {
    this.#client = client;
    this.#name = name;
    this.#count = whole(count, native.LATCH_COUNT_MAX, 'latch', name);
    this.#keep = keep;
  }

  get name() { return this.#name; }

  #call(op, begin, signal, result) {
    return call(this.#client, op, this.#name,
      (pointer, id) => native.latch(pointer, id, this.#name, this.#count, this.#keep), begin, signal, result);
  }

  /** Counts; how many are to come. Unknown, and an abort: it may or may not count. After any other error nothing was
   * counted. */
  async countDown({ by = 1, wait, signal } = {}) {
    const limit = waitMs(wait), number = whole(by, this.#count, 'count down', this.#name);
    return this.#call('count down', (handle) => native.countDown(handle, limit, number), signal, native.left);
  }

  /** Resolves when the latch is open. Timeout, Busy (wait: 0): it was not. Broken: the store has forgotten it, or it has
   * begun anew. */
  async wait({ wait, signal } = {}) {
    const limit = waitMs(wait);
    await this.#call('wait', (handle) => native.latchWait(handle, limit), signal, () => {});
  }

  /** How many are to come: asks the store. */
  async left(options) { return this.#client._left(this.#name, this.#count, options); }
}

/** Lets so many through together, round after round: what client.barrier() makes. Each wait() is one of them. */
class Barrier {
  #client; #name; #parties; #ttl;

  constructor(client, name, parties, ttl) {
    this.#client = client;
    this.#name = name;
    this.#parties = whole(parties, native.BARRIER_PARTIES_MAX, 'barrier', name);
    this.#ttl = ttl;
  }

  get name() { return this.#name; }
  get parties() { return this.#parties; }

  /** Resolves when all are there, with the number of the round. Who gives up, also by an abort, breaks it for the others.
   * Timeout, Busy (wait: 0): they were not. Broken: another one has given up or died. Lost: our own lease was lost. */
  async wait({ wait, signal } = {}) {
    const limit = waitMs(wait);
    return call(this.#client, 'wait', this.#name,
      (pointer, id) => native.barrier(pointer, id, this.#name, this.#parties, this.#ttl),
      (handle) => native.barrierWait(handle, limit), signal, native.round);
  }
}

module.exports = { Barrier, Election, Job, Latch, Leading, Run, copyLeader, observe };
