// SPDX-License-Identifier: MIT
// What the pages show in JavaScript runs: each block as a program of its own, on an empty SQLite store.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { Client } from 'pawl';
import { PATIENCE } from './stores.mjs';

const PAGES = ['README.md', 'README.zh-CN.md', 'bindings/node/README.md'];
const HERE = path.dirname(fileURLToPath(import.meta.url)); // below it `import 'pawl'` finds the binding
const WITHOUT_END = /\.observe\(|\.barrier\(/; // it waits for others

// What the text around the blocks takes for granted.
const AROUND = 'const backup = async () => {}, read = () => {}, move = () => {}, work = () => {};\n';
const OPENED = "import { Client } from 'pawl';\nconst client = new Client('sqlite:locks.db');\n";

function blocks(page) {
  const text = readFileSync(path.join(process.env.PAWL_SOURCE, page), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```/gms)].map((found) => found[1].replace("'redis://127.0.0.1'", "'sqlite:locks.db'"));
}

function program(block) {
  return (block.includes('new Client(') ? '' : OPENED) + AROUND + block;
}

for (const page of PAGES) {
  test(`what ${page} shows`, (t) => {
    const shown = blocks(page);
    assert.ok(shown.length, page);
    const folder = mkdtempSync(path.join(HERE, 'page-'));
    t.after(() => rmSync(folder, { recursive: true }));
    for (const block of shown) {
      const file = path.join(folder, 'block.mjs');
      writeFileSync(file, program(block));
      const words = WITHOUT_END.test(block) ? ['--check', file] : [file];
      const done = spawnSync(process.execPath, words, { cwd: folder, encoding: 'utf8', timeout: PATIENCE });
      assert.equal(done.status, 0, `${block}\n${done.stdout}${done.stderr}`);
      for (const [, name] of block.matchAll(/\bclient\.(\w+)\(/g)) assert.equal(typeof Client.prototype[name], 'function', name);
    }
  });
}
