/* SPDX-License-Identifier: MIT */
/*
 * Looking again instead of sleeping.
 *
 * Putting a thread to sleep and waking it costs more than a round trip to a server on the same
 * machine, above all on a virtual machine (docs/performance.md). So while somebody waits, the loop
 * owner looks for an answer of the store again and again, for at most PAWL__SPIN_NS. Between two
 * looks it yields the processor, because the store may need this very one.
 *
 * That is worth it only where the store is near. So each kind of waiting has a score: a wait that
 * ended in time raises it, one that did not lowers it by more, and with a score of 0 it spins only
 * now and then. It never spins for renewals, or for callbacks that nobody waits for.
 *
 * Locking: none, it belongs to the loop owner [loop].
 */
#ifndef PAWL_RUNTIME_SPIN_H
#define PAWL_RUNTIME_SPIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAWL__SPIN_NS INT64_C(200000)

typedef enum pawl__spin_kind { PAWL__SPIN_ANSWER = 0, PAWL__SPIN_PUSH } pawl__spin_kind;

typedef struct pawl__spin {
    bool allowed;          /* there is more than one processor */
    size_t under_way;      /* requests without an answer */
    int64_t since;         /* when this wait began, if the owner spins */
    pawl__spin_kind kind;  /* of this wait */
    int8_t score[2];       /* by kind */
    uint8_t zero_waits[2]; /* waits since the score came down to 0 */
} pawl__spin;

void pawl__spin_init(pawl__spin *spin);
/* The loop has a new owner. */
void pawl__spin_begin(pawl__spin *spin);
/* Nothing is left to do: whether to look again, or to sleep. */
bool pawl__spin_again(pawl__spin *spin);
/* Whether it still looks for what it began to look for. */
bool pawl__spin_goes_on(const pawl__spin *spin);
/* The store has said something. */
void pawl__spin_heard(pawl__spin *spin);

#endif
