/* SPDX-License-Identifier: MIT */
/* What tests of the link say again and again. */
#ifndef PAWL_TESTS_REDIS_LINK_WORDS_H
#define PAWL_TESTS_REDIS_LINK_WORDS_H

#include "rig.h"

#define LONG_MS 30000 /* as long as the guard reckons with: nothing is announced */

/* Asks, and requires the outcome. */
const seen_reply *expect(client *c, pawl_request request, pawl_outcome outcome);
void lock_and_unlock(client *c);

/* Waits until the link is down for this error; what was said then. */
const char *await_down(client *c, pawl_err err);
/* One more option in the URL; borrowed. */
void add_option(store_address *address, const char *key, const char *value);
/* Requires the word in the text. */
void says(const char *text, const char *word);

#endif
