// SPDX-License-Identifier: MIT
import pawl from './client.cjs';

export const { Client, Held, Lock, RWLock, Barrier, Election, Job, Latch, Leading, Run, PawlError, Busy, Done, Timeout,
  Lost, NotHeld, Broken, Unavailable, Unknown, Usage, Denied, Canceled, Closed, Internal, version } = pawl;
export default pawl;
