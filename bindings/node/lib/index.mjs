// SPDX-License-Identifier: MIT
import pawl from './client.cjs';

export const { Client, Held, Lock, RWLock, PawlError, Busy, Timeout, Lost, NotHeld, Unavailable, Unknown, Usage, Denied,
  Canceled, Closed, Internal, version } = pawl;
export default pawl;
