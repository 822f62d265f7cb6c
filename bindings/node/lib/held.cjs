// SPDX-License-Identifier: MIT
// A lock that is held, and the wish for one.
'use strict';
const native = require('./native.cjs');
const { makeError } = require('./errors.cjs');

const MODES = ['exclusive', 'shared', 'update', 'permit'];
const NUMBERS = new Map([['exclusive', native.MODE_EXCLUSIVE], ['shared', native.MODE_SHARED],
  ['update', native.MODE_UPDATE], ['permit', native.MODE_PERMIT]]);
const WORDS = new Map([...NUMBERS].map(([word, number]) => [number, word]));

function modeNumber(mode, op, name) {
  const number = NUMBERS.get(mode);
  if (number === undefined) {
    throw makeError(native.ERR_ARGUMENT, op, name, `a mode is one of ${MODES.join(', ')}, not ${String(mode)}`);
  }
  return number;
}

function milliseconds(value, what) {
  if (typeof value !== 'number' || Number.isNaN(value)) throw new TypeError(`pawl: ${what} is a number of milliseconds`);
  return value;
}

/** How long to wait: undefined and Infinity are without limit. */
function waitMs(wait) {
  if (wait === undefined || wait === Infinity) return native.WAIT_FOREVER;
  if (milliseconds(wait, 'wait') < 0) throw new RangeError('pawl: a wait is not negative');
  return Math.ceil(Math.min(wait, Number.MAX_SAFE_INTEGER));
}

/** The symbols of `using`, also where Node does not have them yet. */
const asyncDispose = Symbol.asyncDispose || Symbol.for('nodejs.asyncDispose');

/** A promise, and the two functions that settle it. */
function pending() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

/**
 * Waits for an outcome that libpawl tells; a signal ends the wait by `cancel`. What was granted all
 * the same goes to `undo`.
 */
async function outcome(wish, signal, cancel, undo) {
  if (!signal) return wish.promise;
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const code = await wish.promise;
    if (!signal.aborted) return code;
    if (code === 0) undo();
    throw signal.reason;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** How a lock is asked for, how the wait is given up, and how a grant is given back. */
const LOCK = { op: 'lock', begin: native.acquire, cancel: native.cancel, undo: native.release };

/** A lock that is held: what client.acquire and client.using give. */
class Held {
  #client; #handle; #id; #name; #loss = new AbortController(); #onEvent;
  #isOver = false; #why = null; #done = null; #upgrading = null; #saying = null; #onOver = null;
  #hasEnded = false; #isFreed = true;
  #token = ''; #fences = []; #mode; #slots = [];

  /** Made by the client. */
  constructor(client, id, handle, name, onEvent) {
    this.#client = client;
    this.#id = id;
    this.#handle = handle;
    this.#name = name;
    this.#onEvent = onEvent;
  }

  get name() { return this.#name; }

  // ---- What the client tells -------------------------------------------------------------------

  /** @internal */
  async _acquire(wait, signal, { op, begin, cancel, undo } = LOCK) {
    this.#done = pending();
    let code = begin(this.#handle, wait);
    if (code === native.ACQUIRED_AT_ONCE) {
      code = 0;
    } else if (!code) {
      this.#client._waiting(1);
      code = await outcome(this.#done, signal, () => cancel(this.#handle), () => undo(this.#handle));
    }
    if (code) throw this.#client._fail(code, op, this.name);
    this.#token = native.token(this.#handle);
    this.#slots = native.slots(this.#handle);
    this.#look();
  }

  /** What stays known when it is over. */
  #look() {
    this.#fences = native.fences(this.#handle);
    this.#mode = WORDS.get(native.mode(this.#handle));
  }

  _told(kind, err, remaining, message) {
    if (kind === native.NEWS_DONE) {
      this.#client._waiting(-1);
      this.#done.resolve(err);
    } else if (kind === native.NEWS_UPGRADED) {
      this.#client._waiting(-1);
      this.#upgrading.resolve(err);
      this.#upgrading = null;
      this.#forget();
    } else if (kind === native.NEWS_SAID) {
      this.#client._waiting(-1);
      this.#saying.resolve(err);
      this.#saying = null;
      this.#forget();
    } else if (kind === native.EVENT_LOST) {
      this._lose(makeError(native.ERR_LOST, 'hold', this.name, message,
        err ? { cause: makeError(err, 'hold', this.name) } : undefined));
    } else {
      const word = { [native.EVENT_DOUBT]: 'doubt', [native.EVENT_HELD]: 'held', [native.EVENT_YIELD]: 'wanted' }[kind];
      const error = kind === native.EVENT_DOUBT ? makeError(err, 'hold', this.name, message) : undefined;
      this.#tell({ kind: word, error, remaining });
    }
  }

  /** The client closes. */
  _closing() {
    if (this.#token) this._lose(makeError(native.ERR_LOST, 'hold', this.name, 'the client was closed'));
  }

  _lose(error) {
    if (this.#isOver || this.#why) return;
    this.#why = error;
    this.#loss.abort(error);
    this.#tell({ kind: 'lost', error, remaining: 0 });
  }

  /** What the user's function throws is an uncaught exception, and nothing of pawl's is hurt by it. */
  #tell(event) {
    if (!this.#onEvent || this.#isOver) return;
    const call = this.#onEvent;
    queueMicrotask(() => call(event));
  }

  _whenOver(call) { this.#onOver = call; }

  // ---- What it is like now ------------------------------------------------------------------------

  /** Aborted when the lock is lost; its reason is the Lost error. */
  get signal() { return this.#loss.signal; }

  /** Whether it is held now, by the clock: no I/O, and right even if the loop did not run. */
  get held() { return !this.#isOver && native.isHeld(this.#handle); }

  /** Milliseconds until the deadline; 0 if it is not held. */
  get remaining() { return this.#isOver ? 0 : native.remaining(this.#handle); }

  /** The fencing token: larger than that of every earlier grant of the name. */
  get fence() { return this.#fences[0][1]; }

  /** The fence of each name of client.lockAll(). */
  get fences() { return new Map(this.#fences); }

  /** The owner's proof at the store, a secret: who knows it can release. '' if it is over. */
  get token() { return this.#isOver ? '' : this.#token; }

  /** In which it is held, or was held last. */
  get mode() { return this.#mode; }

  /** The numbers of its permits, the lowest first; empty if it holds none. */
  get slots() { return [...this.#slots]; }

  /** Throws Lost unless it is held now; returns the milliseconds until the deadline. */
  check() {
    if (this.#isOver) throw this.#client._fail(native.ERR_NOT_HELD, 'check', this.name);
    const remaining = native.remaining(this.#handle);
    if (remaining <= 0) throw this.#why || this.#client._fail(native.ERR_LOST, 'check', this.name);
    return remaining;
  }

  // ---- Modes -----------------------------------------------------------------------------------------

  /** From update to exclusive: waits until the readers have gone. After Busy, Timeout and an abort it is held in
   * update mode as before. */
  async upgrade({ wait, signal } = {}) {
    if (this.#isOver) throw this.#client._fail(native.ERR_NOT_HELD, 'upgrade', this.name);
    signal?.throwIfAborted();
    const wish = pending();
    let code = native.upgrade(this.#handle, waitMs(wait));
    if (!code) {
      this.#upgrading = wish;
      this.#client._waiting(1);
      code = await outcome(wish, signal, () => native.cancel(this.#handle), () => {});
    }
    if (code) throw this.#client._fail(code === native.ERR_CANCELED ? native.ERR_NOT_HELD : code, 'upgrade', this.name);
    if (!this.#isOver) this.#look();
  }

  /** From exclusive to update or shared, or from update to shared: at once. */
  downgrade(mode = 'shared') {
    const number = modeNumber(mode, 'downgrade', this.name);
    const code = this.#isOver ? native.ERR_NOT_HELD : native.downgrade(this.#handle, number);
    if (code) throw this.#client._fail(code, 'downgrade', this.name);
    this.#mode = mode;
  }

  // ---- Released --------------------------------------------------------------------------------------

  /**
   * Releases. It is on its way when this resolves; with `wait` the store has done it, or Unknown is the error after
   * so many milliseconds. Lost: it was not held until now; NotHeld: it was released before.
   */
  async release({ wait } = {}) {
    const limit = wait === undefined ? undefined : waitMs(wait);
    this.#take('release');
    const code = limit === undefined ? native.release(this.#handle) : await this.#releaseWait(limit);
    this.#ended(code, 'release', limit === undefined || code !== native.ERR_UNKNOWN);
  }

  async #releaseWait(limit) {
    this.#done = pending();
    const code = native.releaseWait(this.#handle);
    if (code) return code;
    this.#client._waiting(1);
    if (limit < 0) return this.#done.promise;
    let timer;
    const late = new Promise((resolve) => { timer = setTimeout(resolve, Math.min(limit, 0x7fffffff), native.ERR_UNKNOWN); });
    try {
      return await Promise.race([this.#done.promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** An end that tells the store more than that it is over. `begin` begins it.
   * @internal */
  async _end(op, begin) {
    this.#take(op);
    this.#done = pending();
    let code = begin(this.#handle);
    if (!code) {
      this.#client._waiting(1);
      code = await this.#done.promise;
    }
    this.#ended(code, op);
  }

  /** The lock has been given back. `isFreed`: libpawl does not go on with it. */
  #ended(code, op, isFreed = true) {
    this.#hasEnded = true;
    this.#isFreed = isFreed;
    this.#forget();
    if (code && this.#why) throw this.#why;
    if (code) throw this.#client._fail(code, op, this.name);
  }

  /** Once nothing is to be told of it any more. */
  #forget() {
    if (!this.#hasEnded || this.#upgrading || this.#saying) return;
    this.#client._forget(this.#id);
    if (this.#isFreed) native.free(this.#handle);
  }

  /** One after the other.
   * @internal */
  async _proclaim(value, wait) {
    while (this.#saying) await this.#saying.promise;
    const code = this.#isOver ? native.ERR_NOT_HELD : native.proclaim(this.#handle, wait, value);
    if (code) throw this.#client._fail(code, 'proclaim', this.name);
    const said = this.#saying = pending();
    this.#client._waiting(1);
    const outcome = await said.promise;
    if (outcome) throw this.#client._fail(outcome, 'proclaim', this.name);
  }

  #take(op) {
    if (this.#isOver) throw this.#client._fail(native.ERR_NOT_HELD, op, this.name);
    this.#isOver = true;
    this.#onOver?.();
  }

  /** Stops renewing and forgets the lock without releasing it; returns the token that carries the lease on. */
  detach() {
    const token = this.#token;
    this.#take('detach');
    this.#ended(native.detach(this.#handle), 'detach');
    return token;
  }

  /** `await using`: releases. */
  async [asyncDispose]() {
    if (!this.#isOver) await this.release();
  }
}

module.exports = { Held, LOCK, asyncDispose, milliseconds, modeNumber, outcome, pending, waitMs, WORDS };
