/* SPDX-License-Identifier: MIT */
/* What the three files of the gate share. Everything: mutex held. */
#ifndef PAWL_RUNTIME_GATE_INSIDE_H
#define PAWL_RUNTIME_GATE_INSIDE_H

#include "../base/instant.h"
#include "gate.h"

/* How long the client's thread sleeps before it looks whether anybody owns the loop. */
#define PAWL__LOOK_FIRST_NS  PAWL__NS_PER_MS
#define PAWL__LOOK_MAX_NS    (256 * PAWL__NS_PER_MS)
/* How long exit() waits for the answer to a release. */
#define PAWL__EXIT_ANSWER_NS (250 * PAWL__NS_PER_MS)

void pawl__gate_wake_owner(pawl__gate *gate);
void pawl__gate_wake_thread(pawl__gate *gate);
/* Owns the loop, then passes it on. mine: the caller that waits; NULL: the client's thread. */
void pawl__gate_own(pawl__gate *gate, const pawl__waiter *mine, int64_t until);
/* Gives up the loop, and wakes whoever needs it. Owner. */
void pawl__gate_pass_on(pawl__gate *gate);
/* One turn without a rest: sends all that was asked now. Owner. */
void pawl__gate_work_at_once(pawl__gate *gate);
/* Owner. */
void pawl__gate_rest(pawl__gate *gate, int64_t until, pawl__rest how);

bool pawl__gate_has_come(int64_t until);
/* Waits for the condition, until then at most. */
void pawl__gate_wait_until(pawl__gate *gate, pthread_cond_t *cond, int64_t until);

#endif
