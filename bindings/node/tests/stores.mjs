// SPDX-License-Identifier: MIT
// Real stores for the tests, and ways to wait for what must come.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

export const PATIENCE = 20000;

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
