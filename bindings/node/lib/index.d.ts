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

// ---- What is built on locks -------------------------------------------------------------------------

export interface JobOptions extends Pick<LockOptions, 'ttl' | 'owner' | 'onEvent'> {
  /** A run that failed counts as well. */
  keepOnFailure?: boolean;
}

/** The latest run of a job that has ended. Times are the store's; the label is what others have chosen. */
export interface JobInfo {
  outcome: 'never' | 'succeeded' | 'failed' | 'failed, kept';
  /** No run of this period counts: one may run. */
  due: boolean;
  began?: Date;
  ended?: Date;
  now: Date;
  /** When the next period begins. */
  next: Date;
  fence: bigint;
  owner: string;
}

/** A run of a job, under its lock. */
export declare class Run {
  protected constructor();
  readonly name: string;
  /** Aborted when the lock is lost; its reason is the Lost error. */
  readonly signal: AbortSignal;
  readonly held: boolean;
  readonly remaining: number;
  readonly fence: bigint;
  /** Throws Lost unless the lock is held now; the milliseconds until the deadline. */
  check(): number;
}

/** At most one successful run in each period, among all who name it. */
export declare class Job {
  private constructor();
  readonly name: string;
  /** Whether it ran: false, if it has been done in this period. If work throws, the run has failed. */
  run(work: (run: Run) => unknown): Promise<boolean>;
  run(options: Wait, work: (run: Run) => unknown): Promise<boolean>;
  look(options?: Ask): Promise<JobInfo>;
}

export interface ElectionOptions extends Omit<LockOptions, 'reentrant'> {
  /** What it proclaims when it leads, an address, say; 4096 bytes at most. */
  value?: string | Uint8Array;
}

/** What is known of the leader. Its label and its value are what others have chosen. */
export interface Leader {
  leads: boolean;
  /** '' if nobody leads. */
  owner: string;
  fence: bigint;
  /** Until its lease ends, unless it is renewed. */
  remaining: number;
  /** undefined: it has proclaimed nothing yet. */
  value?: Uint8Array;
  /** Why nothing is known now. */
  error?: PawlError;
}

/** The lead, and its lock. */
export declare class Leading extends Run {
  proclaim(value: string | Uint8Array, options?: { wait?: number }): Promise<void>;
  resign(options?: { wait?: number }): Promise<void>;
}

/** A candidate for the lead of a name. */
export declare class Election {
  private constructor();
  readonly name: string;
  campaign(options?: Wait): Promise<Leading>;
  /** Waits for the lead, runs work, and resigns. Lost, if the lead was lost meanwhile. */
  lead<T>(work: (leading: Leading) => T | PromiseLike<T>): Promise<T>;
  lead<T>(options: Wait, work: (leading: Leading) => T | PromiseLike<T>): Promise<T>;
}

/** Opens when it was counted down so many times, by whomever; once. */
export declare class Latch {
  private constructor();
  readonly name: string;
  /** How many are to come. Unknown, and an abort: it may or may not count. */
  countDown(options?: Wait & { by?: number }): Promise<number>;
  wait(options?: Wait): Promise<void>;
  left(options?: Ask): Promise<number>;
}

/** Lets so many through together, round after round. */
export declare class Barrier {
  private constructor();
  readonly name: string;
  readonly parties: number;
  /** The number of the round. Who gives up, also by an abort, breaks it for the others. */
  wait(options?: Wait): Promise<number>;
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
  /** A job that succeeds at most once in each period of `every` milliseconds, by the store's clock. */
  once(name: string, every: number, options?: JobOptions): Job;
  election(name: string, options?: ElectionOptions): Election;
  leader(name: string, options?: Ask): Promise<Leader>;
  /** What is known of the leader, now and whenever that changes; what you have no time for is left out but for the latest. */
  observe(name: string, options?: { signal?: AbortSignal }): AsyncGenerator<Leader, void, void>;
  /** keep: how long the store keeps it after the latest count. Default: a day. */
  latch(name: string, count: number, options?: { keep?: number }): Latch;
  /** ttl: the lease of one that waits. Default 30000. */
  barrier(name: string, parties: number, options?: { ttl?: number }): Barrier;
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
/** The job has been done in this period: Job.run turns it into false. */
export declare class Done extends Busy {}
/** It stayed busy for the whole wait. */
export declare class Timeout extends Busy {}
/** You do not hold the lock, or not any more: stop using what it protects. */
export declare class Lost extends PawlError {}
export declare class NotHeld extends Lost {}
/** A latch or a barrier will not open: another one has given up or died, or the store has forgotten it. */
export declare class Broken extends Lost {}
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
