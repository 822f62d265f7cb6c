// SPDX-License-Identifier: MIT
// Real stores for the tests, and ways to wait for what must come.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pawl';

export const PATIENCE = 30000;
export const ANSWERED = 1000; // a limit that runs out; a store that a busy machine delays has answered before

/** Asks again and again until it is true, and returns it. */
export async function until(what) {
  for (const end = Date.now() + PATIENCE; ;) {
    const value = await what();
    if (value) return value;
    if (Date.now() > end) throw new Error(`it did not come: ${what}`);
    await pause(2); // nothing tells when it is time to ask again
  }
}

export function hasRedis() {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('SKIP: there is no redis-server');
    return false;
  }
}

/** A redis-server on a socket of its own. */
export async function startRedis() {
  const dir = mkdtempSync(path.join(tmpdir(), 'pawl-js'));
  const socket = path.join(dir, 's');
  const server = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no',
    '--dir', dir], { stdio: 'ignore' });
  const cli = (...words) => {
    try {
      return execFileSync('redis-cli', ['-s', socket, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .trim();
    } catch {
      return '';
    }
  };
  await until(() => cli('ping') === 'PONG');
  return { url: `redis+unix://${socket}`, cli, server,
    stop() { server.kill('SIGKILL'); rmSync(dir, { recursive: true, force: true }); } };
}

let shared;

/** Calls define(open) for each store; open() gives the URL of a store without locks. */
export function onEveryStore(name, define) {
  describe(`${name}, sqlite`, () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'pawl-js'));
    let count = 0;
    after(() => rmSync(dir, { recursive: true, force: true }));
    define(async () => `sqlite:${dir}/locks${++count}.db`, 'sqlite');
  });
  describe(`${name}, redis`, { skip: !hasRedis() }, () => {
    after(() => { shared?.stop(); shared = undefined; });
    define(async () => {
      shared ??= await startRedis();
      shared.cli('flushall');
      return shared.url;
    }, 'redis');
  });
}

export async function breakIt(client, name) {
  await client.breakLock(name, (await client.inspect(name)).fence);
}
export const waits = (client, name, count = 1) => until(async () => (await client.inspect(name)).waiterCount >= count);
export const free = (client, name) => until(async () => !(await client.inspect(name)).held);

/** Two clients of a store, closed at the end of the test. */
export async function two(t, open, options) {
  const url = await open();
  const both = [new Client(url, options), new Client(url, options)];
  t.after(() => Promise.all(both.map((client) => client.close())));
  return both;
}

/** A program that has the client `c`; it prints lines. */
export function program(t, url, text) {
  const child = spawn(process.execPath, ['--input-type=module', '-e',
    `import { Client } from 'pawl'; const c = new Client(process.argv[1]);\n${text}`, url],
    { stdio: ['pipe', 'pipe', 'inherit'], cwd: import.meta.dirname ?? new URL('.', import.meta.url).pathname });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (data) => { said += data; });
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
  return { child, ended, says: (line) => until(() => said.includes(line)) };
}
