/* SPDX-License-Identifier: MIT */
#include "deck.h"

#define QUIET_MS      200 /* before the first fault */
#define AGAIN_MS      5   /* after one that found nothing to hurt */
#define GAP_MIN_MS    20  /* between two faults; the longest is drawn for each round */
#define GAP_LEAST_MS  40
#define GAP_DOUBLINGS 6

static void shuffle(torture_rig *rig, torture_deck *deck)
{
    for (size_t i = deck->count; i-- > 1;) { /* Fisher and Yates */
        size_t k = (size_t)torture_between(&rig->rng, 0, (int64_t)i);
        torture_card card = deck->cards[i];
        deck->cards[i] = deck->cards[k];
        deck->cards[k] = card;
    }
    deck->next = 0;
    /* Sometimes many faults at once, sometimes one after the other; not in a short run. */
    int64_t most = deck->count ? rig->options->seconds * 1000 / (int64_t)deck->count : 0;
    deck->gap_max_ms = GAP_LEAST_MS << torture_between(&rig->rng, 0, GAP_DOUBLINGS);
    if (deck->gap_max_ms > most) deck->gap_max_ms = most > GAP_LEAST_MS ? most : GAP_LEAST_MS;
}

static void take(torture_rig *rig, torture_deck *deck, const torture_fault *fault)
{
    bool asked_for = rig->options->faults, possible = !fault->small_disk || rig->small_disk;
    if (!possible) {
        torture_note_fact(rig, "skipped", "%s: no small disk can be mounted here", fault->name);
    }
    /* If a fault was named by the user and is not possible, the run proves too little. */
    if (possible || asked_for) torture_note_fact(rig, "fault", "%s", fault->name);
    for (int i = 0; possible && i <= fault->more && deck->count < TORTURE_CARDS_MAX; i++) {
        deck->cards[deck->count++] = (torture_card){.fault = fault};
    }
}

void torture_deck_fill(torture_rig *rig, torture_deck *deck)
{
    const char *wanted = rig->options->faults;
    for (int i = 0; i < TORTURE_FAULT_COUNT; i++) {
        const torture_fault *fault = torture_faults[i];
        bool fits = !(fault->needs & ~rig->setup->has);
        if (fits && (!wanted || torture_list_has(wanted, fault->name))) take(rig, deck, fault);
    }
    shuffle(rig, deck);
    deck->deal_at = torture_now() + QUIET_MS * TORTURE_MS;
}

void torture_deck_deal(torture_rig *rig, torture_deck *deck)
{
    int64_t now = torture_now();
    if (now < deck->deal_at || !deck->count) return;
    if (deck->next >= deck->count) shuffle(rig, deck);
    torture_card *card = &deck->cards[deck->next++];
    deck->deal_at = now + AGAIN_MS * TORTURE_MS;
    if (card->active.is || !card->fault->begin(rig, &card->active)) return;
    card->active.is = card->fault->end != NULL;
    card->fired = true;
    deck->deal_at = now + torture_between(&rig->rng, GAP_MIN_MS, deck->gap_max_ms) * TORTURE_MS;
}

void torture_deck_end_due(torture_rig *rig, torture_deck *deck, bool all)
{
    for (size_t i = 0; i < deck->count; i++) {
        torture_card *card = &deck->cards[i];
        if (!card->active.is || (!all && torture_now() < card->active.until)) continue;
        card->active.is = false;
        card->fault->end(rig, &card->active);
    }
}

bool torture_deck_all_fired(const torture_deck *deck)
{
    for (size_t i = 0; i < deck->count; i++) {
        if (!deck->cards[i].fired) return false;
    }
    return true;
}

bool torture_deck_has_active(const torture_deck *deck, const torture_fault *fault)
{
    for (size_t i = 0; i < deck->count; i++) {
        if (deck->cards[i].fault == fault && deck->cards[i].active.is) return true;
    }
    return false;
}
