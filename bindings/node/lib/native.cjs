// SPDX-License-Identifier: MIT
'use strict';
const path = require('node:path');

try {
  module.exports = require(path.join(__dirname, '..', 'pawl.node'));
} catch (error) {
  error.message = `pawl: the part in C is not there, run "npm rebuild" (node build.cjs): ${error.message}`;
  throw error;
}
