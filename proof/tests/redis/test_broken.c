/* SPDX-License-Identifier: MIT */
/* The notes of who broke a lock, on a real server: when they end, and that they decide nothing. */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>

#define BROKEN "{pawl:x}:b"

static rig *begin(void **state)
{
    rig *r = *state;
    rig_must(r, "FLUSHALL");
    return r;
}

static void a_note_of_a_break_ends_by_itself(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    uint64_t fence = rig_expect(r, ask_acquire("x", token, 5000), PAWL_GRANTED)->reply.fence;
    assert_int_equal(rig_int(r, "EXISTS " BROKEN), 0);
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    assert_in_range(rig_int(r, "PTTL " BROKEN), PAWL_BROKEN_KEEP_MS - 5000, PAWL_BROKEN_KEEP_MS);
    /* A lease that would have lived for longer is remembered for longer. */
    const char *longer = fresh_token();
    fence = rig_expect(r, ask_acquire("x", longer, 3600000), PAWL_GRANTED)->reply.fence;
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    assert_in_range(rig_int(r, "PTTL " BROKEN), 3590000, 3600000);
    assert_int_equal(rig_int(r, "HLEN " BROKEN), 3); /* the list, and one for each */
    /* Its time is over: it goes with the next break. */
    rig_must(r, "HSET " BROKEN " %s %s", token, "1 5 4 3 eve");
    fence = rig_expect(r, ask_acquire("x", fresh_token(), 5000), PAWL_GRANTED)->reply.fence;
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "HEXISTS " BROKEN " %s", token), 0);
    assert_int_equal(rig_int(r, "HEXISTS " BROKEN " %s", longer), 1);
}

/* Notes decide nothing: a break, a renewal and a report go on without them. */
static void a_foreign_value_in_the_place_of_the_notes_harms_nobody(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_must(r, "SET " BROKEN " something");
    uint64_t fence = rig_expect(r, ask_acquire("x", token, 5000), PAWL_GRANTED)->reply.fence;
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "PTTL " BROKEN), -1); /* nor is it touched */
    rig_expect(r, ask_renew("x", token, 5000), PAWL_NOT_OWNER);
    assert_null(rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.broken_by);
}

static void a_foreign_holder_that_is_broken_is_noted_too(void **state)
{
    rig *r = begin(state);
    rig_must(r, "SET pawl:x %s", "not a token");
    rig_expect(r, ask_break("x", 0), PAWL_RELEASED);
    const answer *a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    assert_non_null(a->info.broken_by);
    assert_int_equal(a->info.broken_fence, 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_note_of_a_break_ends_by_itself),
        cmocka_unit_test(a_foreign_value_in_the_place_of_the_notes_harms_nobody),
        cmocka_unit_test(a_foreign_holder_that_is_broken_is_noted_too),
    };
    return rig_run("redis broken", cases, rig_group_begin, rig_group_end);
}
