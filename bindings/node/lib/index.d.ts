// SPDX-License-Identifier: MIT
/** pawl: a distributed lock over the store that you already run. Times are milliseconds, fences are bigints. */

export type Mode = 'exclusive' | 'shared' | 'update' | 'permit';

export interface Wait {
  /** How long to wait: 0 is not at all; undefined and Infinity are without limit. */
  wait?: number;
  /** Its abort ends the wait; the promise rejects with its reason. */
  signal?: AbortSignal;
}

export interface LockOptions {
  /** The length of the lease, renewed at a third of it until the release. Default 30000. */
  ttl?: number;
  /** Keep the lease so long after a release for this client's next acquisition. Default 0. */
  retain?: number;
  /** A label of this lock alone. */
  owner?: string;
  /** The lease outlives this process: see Held.detach. */
  detached?: boolean;
  /** Lock.using and Lock.acquire may be called again while it is held; the outermost `using` releases. */
  reentrant?: boolean;
  /** Told of doubt, of loss, and of others who wait. */
  onEvent?: (event: LockEvent) => void;
}

export interface ModeOptions extends LockOptions {
  mode?: Exclude<Mode, 'permit'>;
}

export interface LockEvent {
  /** doubt: a renewal is overdue; held: confirmed after doubt; lost: comes once; wanted: somebody waits. */
  kind: 'doubt' | 'held' | 'lost' | 'wanted';
  error?: PawlError;
  remaining: number;
}

/** A lock that is held. */
export declare class Held {
  private constructor();
  readonly name: string;
  /** Aborted when the lock is lost; its reason is the Lost error. */
  readonly signal: AbortSignal;
  readonly held: boolean;
  readonly remaining: number;
  readonly fence: bigint;
  readonly fences: Map<string, bigint>;
  readonly token: string;
  readonly mode: Mode;
  readonly slots: number[];
  /** Throws Lost unless it is held now; the milliseconds until the deadline. */
  check(): number;
  upgrade(options?: Wait): Promise<void>;
  downgrade(mode?: 'update' | 'shared'): void;
  release(options?: { wait?: number }): Promise<void>;
  detach(): string;
  /** Of Symbol.asyncDispose, where there is one: `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export declare class Lock {
  private constructor();
  readonly name: string;
  acquire(options?: Wait): Promise<Held>;
  using<T>(work: (lock: Held) => T | PromiseLike<T>): Promise<T>;
  using<T>(options: Wait, work: (lock: Held) => T | PromiseLike<T>): Promise<T>;
  locked(): Promise<boolean>;
}

export declare class RWLock {
  private constructor();
  read(): Lock;
  update(): Lock;
  write(): Lock;
}

export interface Holder { owner: string; remaining: number; fence: bigint; mode: Mode; units: number }
export interface Waiter { owner: string; waited: number; mode: Mode; units: number }

/** A lock as its store sees it. Names and labels are what others have chosen. */
export interface Info {
  name: string;
  held: boolean;
  foreign: boolean;
  owner: string;
  remaining: number;
  fence: bigint;
  mode: Mode;
  capacity: number;
  holderCount: number;
  waiterCount: number;
  holders: Holder[];
  waiters: Waiter[];
}

export interface ClientOptions {
  owner?: string;
  /** How long a call waits for a store that is away; Infinity: only its own wait ends it. Default 5000. */
  storeTimeout?: number;
  /** How long close() waits for its releases to be confirmed. Default 1000. */
  closeTimeout?: number;
  log?: (level: 'debug' | 'info' | 'warning' | 'error', line: string) => void;
}

export interface Ask { wait?: number }

/** One store, one connection, any number of locks. */
export declare class Client {
  constructor(url?: string, options?: ClientOptions);
  readonly url: string;
  readonly owner: string;
  readonly closed: boolean;
  lock(name: string, options?: ModeOptions): Lock;
  lockAll(names: Iterable<string>, options?: ModeOptions): Lock;
  rwlock(name: string, options?: LockOptions): RWLock;
  semaphore(name: string, capacity: number, units?: number, options?: LockOptions): Lock;
  acquire(name: string, options?: ModeOptions & Wait): Promise<Held>;
  using<T>(name: string, work: (lock: Held) => T | PromiseLike<T>): Promise<T>;
  using<T>(name: string, options: ModeOptions & Wait, work: (lock: Held) => T | PromiseLike<T>): Promise<T>;
  inspect(name: string, options?: Ask): Promise<Info>;
  list(prefix?: string, options?: Ask): Promise<Info[]>;
  breakLock(name: string, fence: bigint, options?: Ask): Promise<void>;
  renewToken(name: string, token: string, ttl: number, options?: Ask): Promise<bigint>;
  releaseToken(name: string, token: string, options?: Ask): Promise<void>;
  checkToken(name: string, token: string, options?: Ask): Promise<number>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What to do is in the class, what happened in the code. */
export declare class PawlError extends Error {
  protected constructor(message: string, errno: number, lock?: string);
  /** "PAWL_ERR_BUSY" */
  readonly code: string;
  readonly errno: number;
  /** The name of the lock; '' if none is concerned. */
  readonly lock: string;
}
/** Somebody else holds the lock. */
export declare class Busy extends PawlError {}
/** It stayed busy for the whole wait. */
export declare class Timeout extends Busy {}
/** You do not hold the lock, or not any more: stop using what it protects. */
export declare class Lost extends PawlError {}
export declare class NotHeld extends Lost {}
/** The store cannot serve now. */
export declare class Unavailable extends PawlError {}
/** The store did not answer: it may or may not have been done. */
export declare class Unknown extends PawlError {}
/** The call is wrong: change the program. */
export declare class Usage extends PawlError {}
/** The store refuses: its set-up must be changed. */
export declare class Denied extends PawlError {}
export declare class Canceled extends PawlError {}
export declare class Closed extends Canceled {}
export declare class Internal extends PawlError {}

export declare const version: string;
