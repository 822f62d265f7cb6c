// SPDX-License-Identifier: MIT
// One tree of errors. What to do is in the class, what happened in the code and the message.
'use strict';
const native = require('./native.cjs');

class PawlError extends Error {
  /** Something that pawl reports: what happened, where, what to do, in one line. */
  constructor(message, errno, lock = '', options = undefined) {
    super(message, options);
    this.name = this.constructor.name;
    this.errno = errno;
    this.code = native.error(errno)[0];
    this.lock = lock;
  }
}
class Busy extends PawlError {}
class Done extends Busy {}
class Timeout extends Busy {}
class Lost extends PawlError {}
class NotHeld extends Lost {}
class Broken extends Lost {}
class Unavailable extends PawlError {}
class Unknown extends PawlError {}
class Usage extends PawlError {}
class Denied extends PawlError {}
class Canceled extends PawlError {}
class Closed extends Canceled {}
class Internal extends PawlError {}

const byCode = new Map([[native.ERR_TIMEOUT, Timeout], [native.ERR_NOT_HELD, NotHeld], [native.ERR_CLOSED, Closed],
  [native.ERR_DONE, Done], [native.ERR_BROKEN, Broken]]);
const byClass = new Map([[native.CLASS_BUSY, Busy], [native.CLASS_RETRY, Unavailable], [native.CLASS_LOST, Lost],
  [native.CLASS_UNKNOWN, Unknown], [native.CLASS_USAGE, Usage], [native.CLASS_DENIED, Denied],
  [native.CLASS_CANCELED, Canceled]]);

function makeError(errno, op, lock = '', reason = '', options = undefined) {
  const [, text, kind] = native.error(errno);
  const Kind = byCode.get(errno) || byClass.get(kind) || Internal;
  const about = lock ? `${op} ${JSON.stringify(lock)}` : op;
  return new Kind(`pawl: ${about}: ${reason || text}`, errno, lock, options);
}

module.exports = { makeError, errors: { PawlError, Busy, Done, Timeout, Lost, NotHeld, Broken, Unavailable, Unknown, Usage, Denied,
  Canceled, Closed, Internal } };
