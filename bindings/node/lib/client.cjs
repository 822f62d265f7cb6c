// SPDX-License-Identifier: MIT
// Clients, and what they make.
'use strict';
const native = require('./native.cjs');
const { errors, makeError } = require('./errors.cjs');
const { Barrier, Election, Job, Latch, Leading, Run, copyLeader, observe } = require('./composed.cjs');
const { Held, LOCK, asyncDispose, milliseconds, modeNumber, waitMs, WORDS } = require('./held.cjs');

const LEVELS = ['debug', 'info', 'warning', 'error'];
const ASK_MS = 60000;

function text(value, what) {
  if (typeof value !== 'string') throw new TypeError(`pawl: ${what} is a string`);
  return value;
}

function withoutNul(value, errno, op) {
  if (value !== undefined && text(value, 'it').includes('\0')) throw makeError(errno, op);
  return value;
}

/** A lock on one name, or on several: what client.lock() makes. It may be acquired again and again, also
 * several times at once: each acquisition is a Held of its own. */
class Lock {
  #client; #names; #options; #current = null; #depth = 0;

  constructor(client, names, options) {
    this.#client = client;
    this.#names = names;
    this.#options = options;
  }

  get name() { return this.#names.join(', '); }

  /** Acquires; rejects with Busy (wait: 0), Timeout, Unavailable and so on, or with the signal's reason. */
  async acquire({ wait, signal } = {}) {
    if (!this.#options.reentrant) return this.#client._acquire(this.#names, this.#options, wait, signal);
    signal?.throwIfAborted();
    return this.#enter(await (this.#current ??= this.#first(wait, signal)));
  }

  /** Of a re-entrant one the first acquisition; those that come meanwhile share it. */
  async #first(wait, signal) {
    try {
      const held = await this.#client._acquire(this.#names, this.#options, wait, signal);
      held._whenOver(() => { this.#current = null; this.#depth = 0; });
      return held;
    } catch (error) {
      this.#current = null;
      throw error;
    }
  }

  #enter(held) {
    if (this.#depth >= native.REENTRY_MAX) throw makeError(native.ERR_REENTRY, 'lock', this.name);
    if (this.#depth > 0) held.check();
    this.#depth++;
    return held;
  }

  /** Runs work(held) under the lock, and releases. Lost, whatever work made of it, if the lock was lost meanwhile. */
  async using(...given) {
    const work = given.pop();
    const held = await this.acquire(...given);
    let result;
    try {
      result = await work(held);
    } catch (error) {
      await this.#leave(held, error);
      throw error;
    }
    await this.#leave(held);
    return result;
  }

  async #leave(held, error) {
    if (this.#options.reentrant && --this.#depth > 0) return;
    try {
      await held.release();
    } catch (lost) {
      if (error !== undefined && lost !== error && lost.cause === undefined) lost.cause = error;
      if (error === undefined || lost instanceof errors.Lost) throw lost;
    }
  }

  /** Whether anybody holds it, or one of its names: asks the store. */
  async locked() {
    const infos = await Promise.all(this.#names.map((name) => this.#client.inspect(name)));
    return infos.some((info) => info.held);
  }
}

/** Many readers or one writer. */
class RWLock {
  #make;
  constructor(make) { this.#make = make; }
  /** A Lock to read, beside others who do. */
  read() { return this.#make('shared'); }
  /** A Lock to read beside readers and to write later: see Held.upgrade. One at a time. */
  update() { return this.#make('update'); }
  /** A Lock to write, alone. */
  write() { return this.#make('exclusive'); }
}

/** Those that are open: what they hold is given back when the process ends, also by process.exit(). */
const open = new Set();
process.on('exit', () => {
  for (const pointer of open) native.closeNow(pointer);
});
const dropped = new FinalizationRegistry((pointer) => {
  open.delete(pointer);
  native.close(pointer, () => {});
});

/** Clients of which somebody holds something, or waits: the lock of one that nobody refers to any more
 * is held all the same. */
const inUse = new Set();

/** One store, one connection, any number of locks. Times are milliseconds. */
class Client {
  #pointer; #held = new Map(); #lastId = 0; #waits = 0; #closing = null; #log;

  /** url: undefined is $PAWL_STORE, or the default SQLite file. It does not wait for the store. */
  constructor(url, { owner, storeTimeout = 5000, closeTimeout = 1000, log } = {}) {
    this.#log = log;
    const held = new WeakRef(this); // the addon's reference must not keep the client
    const opened = native.open(withoutNul(url, native.ERR_URL, 'open'), withoutNul(owner, native.ERR_OWNER, 'open'),
      waitMs(storeTimeout), Math.ceil(milliseconds(closeTimeout, 'closeTimeout')), log !== undefined,
      (...news) => held.deref()?.#told(...news));
    if (Array.isArray(opened)) throw makeError(opened[0], 'open', '', opened[1]);
    this.#pointer = opened;
    open.add(opened);
    dropped.register(this, opened, this);
  }

  #told(id, kind, err, remaining, message) {
    if (kind === native.NEWS_LOG) {
      const call = this.#log;
      queueMicrotask(() => call(LEVELS[err] || 'error', message));
    } else {
      this.#held.get(id)?._told(kind, err, remaining, message);
    }
  }

  /** @internal */
  _waiting(change) {
    const before = this.#waits;
    this.#waits += change;
    if ((before > 0) !== (this.#waits > 0)) native.waits(this.#pointer, this.#waits > 0);
  }

  /** @internal */
  _forget(id) {
    this.#held.delete(id);
    if (this.#held.size === 0) inUse.delete(this);
  }

  /** @internal */
  _fail(code, op, lock) { return makeError(code, op, lock, native.reason(this.#pointer, code)); }

  /** What make(client, id) makes in C: its id and its handle. Its news go to listener(id, handle).
   * @internal */
  _make(op, name, make, listener) {
    const id = ++this.#lastId;
    const handle = make(this.#pointer, id);
    if (typeof handle === 'number') throw this._fail(handle, op, name);
    const listens = listener(id, handle);
    this.#held.set(id, listens);
    inUse.add(this);
    return { id, handle, listens };
  }

  /** @internal */
  async _acquire(names, options, wait, signal) {
    const make = (pointer, id) => native.lock(pointer, id, names, options.ttl, options.retain, options.owner, options.flags,
      options.mode, options.capacity, options.units, options.isSeveral);
    return this._hold(names.join(', '), make, options.onEvent, wait, signal);
  }

  /** Asks for what `make` makes, in the given way.
   * @internal */
  async _hold(name, make, onEvent, wait, signal, way = LOCK) {
    const limit = waitMs(wait);
    signal?.throwIfAborted();
    const { id, handle, listens: held } = this._make(way.op, name, make,
      (...made) => new Held(this, ...made, name, onEvent));
    try {
      await held._acquire(limit, signal, way);
      if (this.#closing) throw this._fail(native.ERR_CLOSED, way.op, name);
    } catch (error) {
      this._forget(id);
      native.free(handle);
      throw error;
    }
    return held;
  }

  #options({ ttl = 30000, retain = 0, owner, detached = false, reentrant = false, mode = 'exclusive', onEvent } = {},
    name = '') {
    return { ttl: Math.ceil(milliseconds(ttl, 'ttl')), retain: Math.ceil(milliseconds(retain, 'retain')),
      owner: withoutNul(owner, native.ERR_OWNER, 'lock'), flags: detached ? native.LOCK_DETACHED : 0,
      reentrant, mode: modeNumber(mode, 'lock', name), capacity: 0, units: 0, isSeveral: false, onEvent };
  }

  // ---- Locks -------------------------------------------------------------------------------------------

  /** A lock on a name of 1 to 512 bytes; nothing is acquired yet. */
  lock(name, options) {
    withoutNul(text(name, 'a name'), native.ERR_NAME, 'lock');
    const taken = this.#options(options, name);
    if (taken.mode === native.MODE_PERMIT) {
      throw makeError(native.ERR_ARGUMENT, 'lock', name, 'permits are a semaphore\'s: client.semaphore(name, capacity)');
    }
    return new Lock(this, [name], taken);
  }

  /** A lock on 1 to 64 different names: all of them or none. */
  lockAll(names, options) {
    const all = Array.from(names, (name) => withoutNul(text(name, 'a name'), native.ERR_NAME, 'lock'));
    if (all.length === 0) throw makeError(native.ERR_NAMES, 'lock');
    return new Lock(this, all, { ...this.#options(options), isSeveral: true });
  }

  rwlock(name, options) { return new RWLock((mode) => this.lock(name, { ...options, mode })); }

  /** A lock on `units` of the `capacity` permits of a name. */
  semaphore(name, capacity, units = 1, options = undefined) {
    withoutNul(text(name, 'a name'), native.ERR_NAME, 'lock');
    if (![capacity, units].every(Number.isInteger) || units < 1 || units > capacity || capacity > native.CAPACITY_MAX) {
      throw makeError(native.ERR_UNITS, 'lock', name);
    }
    return new Lock(this, [name], { ...this.#options(options), mode: native.MODE_PERMIT, capacity, units });
  }

  /** lock(name, options).acquire(options). */
  async acquire(name, options) { return this.lock(name, options).acquire(options); }

  /** client.using(name, [options,] work): runs work(held) under the lock. */
  async using(name, ...given) { return this.lock(name, given.length > 1 ? given[0] : undefined).using(...given); }

  // ---- What is built on locks: docs/composed.md -------------------------------------------------------

  #plain(name) { return withoutNul(text(name, 'a name'), native.ERR_NAME, 'lock'); }

  /** A job that succeeds at most once in each period of `every` milliseconds. */
  once(name, every, { keepOnFailure = false, ...options } = {}) {
    const { ttl, owner, onEvent } = this.#options(options, name);
    return new Job(this, this.#plain(name), { every: Math.ceil(milliseconds(every, 'every')), keepOnFailure, ttl, owner,
      onEvent });
  }

  /** A candidate for the lead of a name. value: what it proclaims when it leads. */
  election(name, { value, ...options } = {}) {
    return new Election(this.lock(name, { ...options, mode: 'exclusive', reentrant: false }), value);
  }

  /** Who leads now. */
  async leader(name, options) { return copyLeader(await this.#ask('leader', native.LEADER, this.#plain(name), options)); }

  /** for await (const leader of client.observe(name)): what is known of the leader, now and whenever that changes. */
  observe(name, options) { return observe(this, this.#plain(name), options); }

  /** Opens when it was counted down `count` times. */
  latch(name, count, { keep = 86400000 } = {}) {
    return new Latch(this, this.#plain(name), count, Math.ceil(milliseconds(keep, 'keep')));
  }

  /** Lets `parties` callers through together. */
  barrier(name, parties, { ttl = 30000 } = {}) {
    return new Barrier(this, this.#plain(name), parties, Math.ceil(milliseconds(ttl, 'ttl')));
  }

  /** @internal */
  _look(name, every, options) { return this.#ask('look', native.LOOK, name, options, undefined, every); }

  /** @internal */
  _left(name, count, options) { return this.#ask('look', native.LEFT, name, options, undefined, count); }

  // ---- Looking, and breaking --------------------------------------------------------------------------

  #ask(op, kind, name, { wait = ASK_MS } = {}, token = undefined, ttl = 0, fence = 0n) {
    text(name, 'a name');
    return new Promise((resolve, reject) => {
      const code = native.ask(this.#pointer, kind, name, waitMs(wait), token, ttl, fence, (err, answer) => {
        if (err) reject(this._fail(err, op, name));
        else resolve(answer);
      });
      if (code) reject(this._fail(code, op, name));
    });
  }

  /** One lock as its store sees it, also a free one. */
  async inspect(name, options) { return info((await this.#ask('inspect', native.INSPECT, name, options))[0]); }

  /** Every lock that is held or waited for and whose name begins with prefix. No snapshot. */
  async list(prefix = '', options = undefined) {
    return (await this.#ask('list', native.LIST, prefix, options)).map(info);
  }

  /** Takes a lock from its holder if its present fence is `fence`. */
  async breakLock(name, fence, options) {
    if (typeof fence !== 'bigint') throw new TypeError('pawl: a fence is a bigint');
    if (BigInt.asUintN(64, fence) !== fence) throw new RangeError('pawl: a fence has 64 bits and no sign');
    await this.#ask('break', native.BREAK, name, options, undefined, 0, fence);
  }

  /** Extends the lease that token holds by ttl from now; the fence. */
  async renewToken(name, token, ttl, options) {
    return this.#ask('renew', native.RENEW, name, options, text(token, 'a token'), Math.ceil(milliseconds(ttl, 'ttl')));
  }

  async releaseToken(name, token, options) {
    await this.#ask('release', native.RELEASE, name, options, text(token, 'a token'));
  }

  /** For how many milliseconds token holds the lock. */
  async checkToken(name, token, options) {
    return this.#ask('check', native.CHECK, name, options, text(token, 'a token'));
  }

  // ---- The client itself -----------------------------------------------------------------------------

  /** The store's URL without its password. */
  get url() { return native.url(this.#pointer); }

  /** The client's label as others see it. */
  get owner() { return native.owner(this.#pointer); }

  get closed() { return this.#closing !== null; }

  /** Releases every lock, and ends every wait with Closed. Closing twice is allowed. */
  close() {
    this.#closing ??= new Promise((resolve) => {
      for (const held of this.#held.values()) held._closing();
      open.delete(this.#pointer);
      inUse.delete(this);
      dropped.unregister(this);
      if (!native.close(this.#pointer, resolve)) resolve();
    });
    return this.#closing;
  }

  [asyncDispose]() { return this.close(); }
}

function info(from) {
  const person = (one) => ({ ...one, mode: WORDS.get(one.mode) });
  return { ...from, mode: WORDS.get(from.mode), remaining: from.remaining < 0 ? Infinity : from.remaining,
    holders: from.holders.map((one) => ({ ...person(one), remaining: one.remaining < 0 ? Infinity : one.remaining })),
    waiters: from.waiters.map(({ fence, ...one }) => person(one)) };
}

module.exports = { Client, Held, Lock, RWLock, Barrier, Election, Job, Latch, Leading, Run, ...errors,
  version: native.version };
