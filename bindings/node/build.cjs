// SPDX-License-Identifier: MIT
// Builds pawl.node, the part in C, against the libpawl that pkg-config finds and the headers of the Node
// that runs this. usage: node build.cjs [folder of the result]
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

function fail(text) {
  console.error(text);
  process.exit(1);
}

function headers() {
  const places = [process.env.PAWL_NODE_HEADERS, path.join(path.dirname(process.execPath), '..', 'include', 'node'),
    '/usr/include/node', '/usr/include/nodejs/src'];
  const place = places.find((one) => one && fs.existsSync(path.join(one, 'node_api.h')));
  if (!place) fail('pawl: no headers of Node (node_api.h, uv.h): install libnode-dev, or set PAWL_NODE_HEADERS');
  return [place, path.join(place, '..', 'deps', 'uv', 'include')].map((one) => `-I${one}`);
}

function pkgConfig(...words) {
  const tool = process.env.PKG_CONFIG || 'pkg-config';
  try {
    return execFileSync(tool, [...words, 'pawl'], { encoding: 'utf8' }).trim().split(/\s+/).filter(Boolean);
  } catch (error) {
    return fail(`${tool}: ${error.message.split('\n')[0]}\nInstall libpawl first (make && sudo make install in a ` +
      'checkout of pawl); below a prefix of your own set PKG_CONFIG_PATH=PREFIX/lib/.../pkgconfig');
  }
}

const native = path.join(__dirname, 'native');
const sources = ['client', 'composed', 'handle', 'leader', 'questions', 'values'].map((name) => path.join(native, `${name}.c`));
const result = path.join(process.argv[2] || __dirname, 'pawl.node');
const flags = (process.env.CFLAGS || '-O2 -g').split(/\s+/).filter(Boolean);
execFileSync(process.env.CC || 'cc', ['-std=gnu11', '-shared', '-fPIC', '-fvisibility=hidden', ...flags, ...headers(),
  ...pkgConfig('--cflags'), ...sources, ...pkgConfig('--libs'), '-pthread', '-o', result], { stdio: 'inherit' });
