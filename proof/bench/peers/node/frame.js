// SPDX-License-Identifier: MIT
// proof/bench/driver/run.c once more for Node. See proof/bench/driver/driver.h for what a driver is.
import { once } from 'node:events';
import readline from 'node:readline';

export const TTL_MS = 30000;
export const PERMITS = 8;

const now = () => Number(process.hrtime.bigint());

class Run {
  constructor(clients) {
    this.stop = false;
    this.inside = this.overlaps = this.until = 0;
    this.last = this.released = null; // written by the holder only, as the gaps
    this.gaps = [];
    this.granted = this.handovers = 0;
    this.times = [];
    this.counts = Array.from({ length: clients }, () => ({ acquired: 0, total: 0, longest: 0 }));
  }

  async contend(lock, me) {
    const mine = this.counts[me];
    while (!this.stop) {
      const asked = now();
      await lock.acquire();
      const at = now();
      if (++this.inside !== 1) this.overlaps++;
      mine.total++;
      if (at <= this.until) {
        mine.acquired++;
        mine.longest = Math.max(mine.longest, at - asked);
        if (this.last !== null && this.last !== me) this.gaps.push(at - this.released);
      }
      // Others run here, as they would in a program that does something with the lock.
      await null;
      this.last = me;
      this.inside--;
      this.released = now();
      await lock.release();
    }
  }

  // As proof/bench/pawl/several.c: a hand-over is what at least as many others as there are permits
  // came between.
  async permits(lock, me) {
    const mine = this.counts[me];
    let last = Infinity;
    while (!this.stop) {
      const asked = now();
      await lock.acquire();
      const at = now();
      if (++this.inside > PERMITS) this.overlaps++;
      mine.total++;
      if (at <= this.until) {
        mine.acquired++;
        mine.longest = Math.max(mine.longest, at - asked);
        if (this.granted - last > PERMITS) this.handovers++;
      }
      last = this.granted++;
      await null;
      this.inside--;
      await lock.release();
    }
  }

  async alone(lock, me, timed) {
    while (!this.stop) {
      const before = now();
      await lock.acquire();
      if (timed) this.times.push(now() - before);
      await lock.release();
      this.counts[me].acquired++;
    }
    this.counts[me].total = this.counts[me].acquired;
  }
}

function quantile(times, share) {
  times.sort((a, b) => a - b);
  return times[Math.floor((times.length - 1) * share)];
}

function report(run, name, workload, clients, seconds) {
  const sum = (what) => run.counts.reduce((total, c) => total + what(c), 0);
  const acquired = sum((c) => c.acquired);
  const out = {
    driver: name, workload, clients, seconds, acquired, total: sum((c) => c.total),
  };
  if (run.times.length) {
    out.acquire_p50_ns = quantile(run.times, 0.5);
    out.acquire_p99_ns = quantile(run.times, 0.99);
  }
  if (workload !== 'pairs' && workload !== 'acquire') {
    out.handovers = workload === 'permits' ? run.handovers : run.gaps.length;
    out.overlaps = run.overlaps;
    out.jain = acquired ** 2 / Math.max(1, clients * sum((c) => c.acquired ** 2));
    out.longest_wait_ns = Math.max(...run.counts.map((c) => c.longest));
    if (run.gaps.length) {
      out.gap_p50_ns = quantile(run.gaps, 0.5);
      out.gap_p99_ns = quantile(run.gaps, 0.99);
    }
  }
  return out;
}

// connect(url, workload) makes a client with a connection of its own; called with a name it makes a
// lock, which has acquire() and release(). more: workloads that not every library has.
export async function main(name, connect, more = []) {
  const [url, workload, clientsText, secondsText] = process.argv.slice(2);
  const clients = Number(clientsText);
  const seconds = Number(secondsText);
  if (!['pairs', 'acquire', 'contend', ...more].includes(workload)) {
    throw new Error(`${name} does not know the workload ${workload}`);
  }
  const run = new Run(clients);
  const locks = await Promise.all(run.counts.map(async (_, me) => {
    const newLock = connect(url, workload);
    const own = newLock(`warm-${me}`);
    for (let i = 0; i < 2; i++) {
      await own.acquire();
      await own.release();
    }
    return newLock('bench-0');
  }));
  const input = readline.createInterface({ input: process.stdin });
  const closed = once(input, 'close');
  console.log('ready');
  await Promise.race([once(input, 'line'), closed]);
  run.until = now() + seconds * 1e9;
  setTimeout(() => { run.stop = true; }, seconds * 1000);
  await Promise.all(locks.map((lock, me) => (workload === 'contend' ? run.contend(lock, me)
    : workload === 'permits' ? run.permits(lock, me) : run.alone(lock, me, workload === 'acquire'))));
  console.log(JSON.stringify(report(run, name, workload, clients, seconds)));
  await closed;
  process.exit(0);
}
