/* SPDX-License-Identifier: MIT */
/* The faults are dealt from a deck: each comes once before any comes again. */
#ifndef PAWL_TORTURE_DECK_H
#define PAWL_TORTURE_DECK_H

#include "../faults/faults.h"

#define TORTURE_CARDS_MAX (2 * TORTURE_FAULT_COUNT)

typedef struct torture_card {
    const torture_fault *fault;
    torture_active active;
    bool fired;
} torture_card;

typedef struct torture_deck {
    torture_card cards[TORTURE_CARDS_MAX];
    size_t count, next;
    int64_t deal_at, gap_max_ms;
} torture_deck;

/* Takes the faults that were chosen and fit, notes them, and shuffles. */
void torture_deck_fill(torture_rig *rig, torture_deck *deck);
/* Begins the next fault, if it is time. */
void torture_deck_deal(torture_rig *rig, torture_deck *deck);
/* Ends what has lasted long enough, or all. */
void torture_deck_end_due(torture_rig *rig, torture_deck *deck, bool all);
bool torture_deck_all_fired(const torture_deck *deck);
bool torture_deck_has_active(const torture_deck *deck, const torture_fault *fault);

#endif
