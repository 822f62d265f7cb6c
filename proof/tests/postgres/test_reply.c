/* SPDX-License-Identifier: MIT */
/* What a procedure says is understood whole or not at all: half an answer grants nothing. So are
 * its pushes and the rows of its reports, and what is refused without the server. No server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stores/common/refusals.h"
#include "stores/common/sql_reply.h"
#include "stores/common/sql_report.h"

static pawl__sql_words room;

static bool decodes(const char *text, pawl_reply *ret_reply)
{
    *ret_reply = (pawl_reply){0};
    return pawl__sql_decode(text, &room, ret_reply);
}

static void what_is_cut_is_not_understood(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "grante",
        "granted",
        "granted 7",
        "granted 7 0",
        "granted 7 0 x",
        "granted 7 0 3,",
        "granted 7 0 ,3",
        "granted 7 0 3;4",
        "granted 7 0 3,x",
        "granted 7 0 -1",
        "granted 7 0 1024",
        "granted 7 0 1,99999",
        "nonsense 1 2 3",
        "grantedx 7 0 -",
        "confirmed",
        "confirmed 7 1",
        "queued",
        "queued 1 200",
        "failed",
        "failed 0",
        "failed x",
        "failed -3",
        "busy",
        "busy x",
        "busy 7 6",
        "busy 7 6G",
        "not_owner 6",
        "not_owner zz",
        "queued 1 x 7",
        "value x 1 2 61 62",
        "value 7 1 2 6 62",
        "value 7 1 2 61 6",
        "value 7 1 2 61 6g",
        "value 7 1 2 61",
        "value",
        "value 7 1 2",
    };
    pawl_reply reply;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (decodes(wrong[i], &reply)) fail_msg("\"%s\" is understood", wrong[i]);
}

static void what_is_whole_is_understood(void **state)
{
    (void)state;
    pawl_reply reply;
    assert_true(decodes("granted 7 1 3,4", &reply));
    assert_int_equal(reply.outcome, PAWL_GRANTED);
    assert_int_equal(reply.fence, 7);
    assert_true(reply.waiting);
    assert_int_equal(reply.slot_count, 2);
    assert_int_equal(reply.slots[1], 4);
    assert_true(decodes("confirmed 8 0 -", &reply));
    assert_false(reply.waiting);
    assert_null(reply.slots);
    assert_true(decodes("queued 1 200 7", &reply));
    assert_int_equal(reply.holder_ms, 200);
    assert_true(decodes("failed 3", &reply));
    assert_int_equal(reply.err, -3);
}

/* Each kind of answer, with each of its fields. */
static void each_answer_has_its_fields(void **state)
{
    pawl_reply reply;
    (void)state;
    assert_true(decodes("granted 18446744073709551615 0 0,1023", &reply));
    assert_true(reply.fence == UINT64_MAX && !reply.waiting && reply.slot_count == 2);
    assert_true(reply.slots[0] == 0 && reply.slots[1] == 1023);
    assert_true(decodes("confirmed 7 1 5", &reply));
    assert_int_equal(reply.outcome, PAWL_CONFIRMED);
    assert_true(reply.fence == 7 && reply.waiting && reply.slot_count == 1 && reply.slots[0] == 5);
    assert_true(decodes("queued 2 -1 9", &reply));
    assert_int_equal(reply.outcome, PAWL_QUEUED);
    assert_true(reply.position == 2 && reply.holder_ms == -1 && reply.fence == 9);
    assert_true(decodes("busy 300", &reply));
    assert_int_equal(reply.outcome, PAWL_BUSY);
    assert_true(reply.holder_ms == 300 && !reply.message);
    assert_true(decodes("busy -1 616e6e", &reply));
    assert_true(reply.holder_ms == -1);
    assert_string_equal(reply.message, "ann");
    assert_true(decodes("released", &reply));
    assert_int_equal(reply.outcome, PAWL_RELEASED);
    assert_true(decodes("left", &reply));
    assert_int_equal(reply.outcome, PAWL_LEFT);
    assert_true(decodes("not_owner", &reply));
    assert_int_equal(reply.outcome, PAWL_NOT_OWNER);
    assert_null(reply.message);
    assert_true(decodes("not_owner 657665", &reply));
    assert_string_equal(reply.message, "eve");
    assert_true(decodes("failed 36 8 4", &reply));
    assert_int_equal(reply.outcome, PAWL_FAILED);
    assert_int_equal(reply.err, PAWL_ERR_CAPACITY);
    assert_non_null(strstr(reply.message, "it has 8, asked for were 4"));
    assert_true(decodes("failed 1 8", &reply));
    assert_true(reply.err == PAWL_ERR_BUSY && !reply.message);
}

static void all_slots_there_are_and_no_more(void **state)
{
    char text[6000] = "granted 7 0 ";
    size_t len = strlen(text);
    pawl_reply reply;
    (void)state;
    for (int i = 0; i < PAWL_CAPACITY_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, i ? ",%d" : "%d", i);
    assert_true(decodes(text, &reply));
    assert_int_equal(reply.slot_count, PAWL_CAPACITY_MAX);
    for (int i = 0; i < PAWL_CAPACITY_MAX; i++) assert_int_equal(reply.slots[i], i);
    len = strlen("granted 7 0 ");
    for (int i = 0; i <= PAWL_CAPACITY_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, i ? ",%d" : "%d", 7);
    assert_false(decodes(text, &reply)); /* one too many, though each may be */
}

static void a_value_is_read_whole(void **state)
{
    static char text[2 * PAWL_STORED_MAX + 2 * PAWL_OWNER_MAX + 100];
    pawl_reply reply;
    (void)state;
    assert_true(decodes("value 7 -1 2 616e6e 00ff", &reply));
    assert_int_equal(reply.outcome, PAWL_REPORTED);
    assert_true(reply.value->fence == 7 && reply.value->at_us == -1 && reply.value->now_us == 2);
    assert_string_equal(reply.value->owner, "ann");
    assert_int_equal(reply.value->len, 2);
    assert_memory_equal(reply.value->bytes, "\0\xff", 2);
    assert_true(decodes("value 7 1 2 - -", &reply));
    assert_true(reply.value->len == 0 && !*reply.value->owner);
    for (int more = 0; more < 2; more++) { /* the largest, and what is larger */
        size_t len = (size_t)snprintf(text, sizeof text, "value 7 1 2 ");
        memset(text + len, '6', 2 * PAWL_OWNER_MAX);
        len += 2 * PAWL_OWNER_MAX;
        text[len++] = ' ';
        memset(text + len, '6', 2 * (PAWL_STORED_MAX + (size_t)more));
        text[len + 2 * (PAWL_STORED_MAX + (size_t)more)] = '\0';
        assert_int_equal(decodes(text, &reply), !more);
    }
    assert_int_equal(strlen(reply.value->owner), PAWL_OWNER_MAX);
}

static void hex_is_read_or_is_nothing(void **state)
{
    char bytes[4] = "xxx";
    size_t len = 7;
    (void)state;
    assert_true(pawl__sql_parse_hex("", bytes, sizeof bytes, &len));
    assert_true(len == 0 && !*bytes);
    assert_true(pawl__sql_parse_hex("616263", bytes, sizeof bytes, &len)); /* and its end */
    assert_int_equal(len, 3);
    assert_string_equal(bytes, "abc");
    static const char *const wrong[] = {"61626364", "6", "61 ", "6G", "AB", "616"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(pawl__sql_parse_hex(wrong[i], bytes, sizeof bytes, &len));
        assert_true(len == 0 && !*bytes);
    }
}

/* ---- Pushes -------------------------------------------------------------------------------- */

#define TOKEN "0123456789abcdef0123456789abcdef01234567"

typedef struct heard {
    pawl_host host;
    int count;
    pawl_push push;
    char name[PAWL_NAME_MAX + 1], token[PAWL_TOKEN_LEN + 1];
    uint16_t slot;
} heard;

static void on_push(pawl_host *host, const pawl_push *push)
{
    heard *h = (heard *)host;
    h->count++;
    h->push = *push;
    snprintf(h->name, sizeof h->name, "%.*s", (int)push->name_len, push->name);
    snprintf(h->token, sizeof h->token, "%s", push->token ? push->token : "none");
    h->slot = push->slots ? push->slots[push->slot_count - 1] : UINT16_MAX;
}

static heard hear(const char *text)
{
    heard h = {.host.push = on_push};
    pawl__sql_hear(&h.host, text);
    return h;
}

static void each_push_is_heard(void **state)
{
    (void)state;
    heard h = hear("g 7 1 3,4 " TOKEN " 616e6e");
    assert_int_equal(h.count, 1);
    assert_int_equal(h.push.kind, PAWL_PUSH_GRANT);
    assert_true(h.push.fence == 7 && h.push.waiting && h.push.slot_count == 2 && h.slot == 4);
    assert_string_equal(h.name, "ann");
    assert_string_equal(h.token, TOKEN);
    h = hear("g 18446744073709551615 0 - " TOKEN " 61");
    assert_true(h.count == 1 && h.push.fence == UINT64_MAX && !h.push.waiting && !h.push.slots);
    h = hear("y 8 0 - " TOKEN " 61");
    assert_true(h.count == 1 && h.push.kind == PAWL_PUSH_YIELD);
    assert_string_equal(h.token, TOKEN);
    h = hear("r 0 0 - - 61");
    assert_true(h.count == 1 && h.push.kind == PAWL_PUSH_RECHECK && !h.push.token);
    h = hear("n 9 0 - - 61");
    assert_true(h.count == 1 && h.push.kind == PAWL_PUSH_NEWS && h.push.fence == 9);
    assert_null(h.push.token);
}

static void what_is_no_push_is_dropped(void **state)
{
    static const char *const wrong[] = {
        "",
        "g",
        "x 7 1 - " TOKEN " 61",
        "g 7 1 - " TOKEN,
        "g 7 1 - " TOKEN " 6",
        "g 7 1 - " TOKEN " 6z",
        "g 7 1 3, " TOKEN " 61",
        "g 7 1 1024 " TOKEN " 61",
        "g 7 1 - - 61",
        "g 7 1 - 0123 61",
        "y 7 1 - - 61",
        "y 7 1 - 0123456789abcdef0123456789abcdef0123456 61",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (hear(wrong[i]).count) fail_msg("\"%s\" is heard", wrong[i]);
}

/* ---- Reports ------------------------------------------------------------------------------- */

typedef const char *row_text[PAWL__SQL_REPORT_COLUMNS];

static const char *cell(const void *result, int row, int column)
{
    return ((const row_text *)result)[row][column];
}

typedef struct listed {
    pawl_host host;
    int count;
    char lines[8][200];
} listed;

/* All that a row says, in one line. */
static void on_row(pawl_host *host, uint64_t id, const pawl_info *info)
{
    listed *l = (listed *)host;
    char *line = l->lines[l->count++];
    int len = snprintf(line, 200, "%d %.*s|%s|%d %d|%d|%d|%d %d|%s %d %d:", (int)id,
                       (int)info->name_len, info->name, info->owner, info->held, info->mine,
                       (int)info->remaining_ms, (int)info->fence, (int)info->mode,
                       (int)info->capacity, info->broken_by ? info->broken_by : "none",
                       (int)info->broken_ms, (int)info->broken_fence);
    len += snprintf(line + len, 200 - (size_t)len, " %d of %d", (int)info->holders_shown,
                    (int)info->holder_count);
    for (size_t i = 0; i < info->holders_shown; i++) {
        const pawl_holder_info *h = &info->holders[i];
        len += snprintf(line + len, 200 - (size_t)len, " [%s %d %d %d %d %d]", h->owner,
                        (int)h->remaining_ms, (int)h->fence, (int)h->mode, (int)h->units, h->mine);
    }
    len += snprintf(line + len, 200 - (size_t)len, "; %d of %d", (int)info->waiters_shown,
                    (int)info->waiter_count);
    for (size_t i = 0; i < info->waiters_shown; i++) {
        const pawl_waiter_info *w = &info->waiters[i];
        len += snprintf(line + len, 200 - (size_t)len, " [%s %d %d %d %d]", w->owner,
                        (int)w->age_ms, (int)w->place_ms, (int)w->mode, (int)w->units);
    }
}

static int report(const row_text *rows, int count, listed *ret_listed, pawl__sql_range *range)
{
    pawl__sql_table table = {.result = rows, .rows = count, .text = cell};
    *ret_listed = (listed){.host.row = on_row};
    return pawl__sql_report(&ret_listed->host, 5, &table, range);
}

static void rows_become_names_with_holders_and_waiters(void **state)
{
    /* kind, name, owner, left, age, fence, mode, units, mine, total, broken by, broken, its fence
     */
    static const row_text rows[] = {
        {"0", "61", "", "", "", "9", "", "8", "", "", "657665", "50", "6"},
        {"1", "61", "7831", "300", "", "8", "3", "2", "f", "2", NULL, NULL, NULL},
        {"1", "61", "7832", "200", "", "9", "3", "1", "t", "2", NULL, NULL, NULL},
        {"2", "61", "7731", "70", "11", "", "3", "4", "", "3", NULL, NULL, NULL},
        {"2", "61", "7732", "80", "12", "", "3", "5", "", "3", NULL, NULL, NULL},
        {"0", "62", NULL, NULL, NULL, "4", NULL, "6", NULL, NULL, NULL, NULL, NULL},
        {"0", "63", "", "", "", "5", "", "7", "", "", "", "1", "5"},
        {"2", "63", "77", "90", "13", "", "1", "1", "", "1", NULL, NULL, NULL},
    };
    pawl__sql_range range = {0};
    listed l;
    (void)state;
    assert_int_equal(report(rows, 8, &l, &range), 3);
    assert_int_equal(l.count, 3);
    assert_string_equal(l.lines[0], "5 a|x2|1 1|300|9|3 8|eve 50 6: 2 of 2 [x1 300 8 3 2 0] "
                                    "[x2 200 9 3 1 1]; 2 of 3 [w1 11 70 3 4] [w2 12 80 3 5]");
    assert_string_equal(l.lines[1], "5 b||0 0|0|4|0 0|none 0 0: 0 of 0; 0 of 0");
    assert_string_equal(l.lines[2], "5 c||0 0|0|5|0 7| 1 5: 0 of 0; 1 of 1 [w 13 90 1 1]");
    assert_int_equal(range.from_len, 1); /* where the next page begins */
    assert_memory_equal(range.from, "c", 2);
    assert_int_equal(report(rows + 1, 1, &l, &range), PAWL__SQL_NO_REPORT);
    assert_int_equal(l.count, 0);
    assert_int_equal(report(rows, 0, &l, &range), 0);
}

static void the_longest_labels_and_names_are_whole(void **state)
{
    static char owner[2 * PAWL_OWNER_MAX + 1], name[2 * PAWL_NAME_MAX + 1];
    memset(owner, '6', sizeof owner - 1);
    memset(name, '7', sizeof name - 1);
    const row_text rows[] = {
        {"0", name, "", "", "", "9", "", "1", "", "", owner, "5", "6"},
        {"1", name, owner, "1", "", "9", "0", "1", "f", "1", NULL, NULL, NULL}};
    pawl__sql_range range = {0};
    static char line[200];
    listed l;
    (void)state;
    assert_int_equal(report(rows, 2, &l, &range), 1);
    assert_int_equal(range.from_len, PAWL_NAME_MAX);
    memset(line, 'w', sizeof line - 1); /* as far as a line goes */
    memcpy(line, "5 ", 2);
    assert_string_equal(l.lines[0], line);
}

static void the_end_of_a_prefix_is_behind_all_that_begin_so(void **state)
{
    static const struct {
        const char *prefix, *end;
    } cases[] = {{"", ""},       {"a", "b"},         {"ab", "ac"},
                 {"a\xff", "b"}, {"a\xff\xff", "b"}, {"\xff\xff", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pawl__sql_range range;
        memset(&range, 1, sizeof range);
        pawl__sql_range_of_prefix(&range, cases[i].prefix, strlen(cases[i].prefix));
        assert_int_equal(range.from_len, strlen(cases[i].prefix));
        assert_memory_equal(range.from, cases[i].prefix, range.from_len);
        assert_int_equal(range.end_len, strlen(cases[i].end));
        assert_memory_equal(range.end, cases[i].end, range.end_len);
    }
    char longest[PAWL_NAME_MAX + 5];
    pawl__sql_range range;
    memset(longest, 'x', sizeof longest);
    pawl__sql_range_of_prefix(&range, longest, sizeof longest);
    assert_int_equal(range.from_len, PAWL_NAME_MAX);
}

/* ---- What is refused without the server ------------------------------------------------------ */

typedef struct refused {
    pawl_host host;
    pawl__refusals refusals;
    int count;
    uint64_t last_id, adds;
    pawl_reply last;
    char message[100];
} refused;

static void on_reply(pawl_host *host, const pawl_reply *reply)
{
    refused *r = (refused *)host;
    assert_int_equal(reply->outcome, PAWL_FAILED);
    assert_true(reply->position == -1 && reply->holder_ms == -1);
    r->count++;
    r->last_id = reply->id;
    r->last = *reply;
    snprintf(r->message, sizeof r->message, "%s", reply->message ? reply->message : "none");
    for (; r->adds; r->adds--)
        pawl__refusals_add(&r->refusals, 1000 + r->adds, PAWL_ERR_NAME, "more");
}

static void a_refusal_is_told_once_and_why(void **state)
{
    refused r = {.host.reply = on_reply};
    (void)state;
    assert_true(pawl__refusals_init(&r.refusals));
    pawl__refusals_add(&r.refusals, 7, PAWL_ERR_UNAVAILABLE, NULL);
    pawl__refusals_give(&r.refusals, &r.host, PAWL_ERR_UNAVAILABLE, "the link says");
    assert_true(r.count == 1 && r.last_id == 7 && r.last.err == PAWL_ERR_UNAVAILABLE);
    assert_string_equal(r.message, "the link says");
    pawl__refusals_give(&r.refusals, &r.host, PAWL_ERR_UNAVAILABLE, "the link says");
    assert_int_equal(r.count, 1);

    static const struct {
        pawl_err err, link_err;
        const char *message, *link_message, *told;
    } cases[] = {{PAWL_ERR_NAME, PAWL_ERR_UNAVAILABLE, NULL, "link", "none"},
                 {PAWL_ERR_AUTH, PAWL_ERR_AUTH, NULL, "", "none"},
                 {PAWL_ERR_AUTH, PAWL_ERR_AUTH, "its own", "link", "its own"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pawl__refusals_add(&r.refusals, i, cases[i].err, cases[i].message);
        pawl__refusals_give(&r.refusals, &r.host, cases[i].link_err, cases[i].link_message);
        assert_string_equal(r.message, cases[i].told);
        assert_int_equal(r.last.err, cases[i].err);
    }
    pawl__refusals_done(&r.refusals);
}

static void what_is_refused_meanwhile_waits_for_the_next_turn(void **state)
{
    refused r = {.host.reply = on_reply, .adds = 700};
    (void)state;
    assert_true(pawl__refusals_init(&r.refusals));
    for (uint64_t id = 0; id < 300; id++) pawl__refusals_add(&r.refusals, id, PAWL_ERR_NAME, "x");
    pawl__refusals_give(&r.refusals, &r.host, PAWL_OK, "");
    assert_true(r.count == 300 && r.last_id == 299);
    pawl__refusals_give(&r.refusals, &r.host, PAWL_OK, "");
    assert_true(r.count == 1000 && r.last_id == 1001);
    assert_string_equal(r.message, "more");
    pawl__refusals_done(&r.refusals);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_is_cut_is_not_understood),
        cmocka_unit_test(what_is_whole_is_understood),
        cmocka_unit_test(each_answer_has_its_fields),
        cmocka_unit_test(all_slots_there_are_and_no_more),
        cmocka_unit_test(a_value_is_read_whole),
        cmocka_unit_test(hex_is_read_or_is_nothing),
        cmocka_unit_test(each_push_is_heard),
        cmocka_unit_test(what_is_no_push_is_dropped),
        cmocka_unit_test(rows_become_names_with_holders_and_waiters),
        cmocka_unit_test(the_longest_labels_and_names_are_whole),
        cmocka_unit_test(the_end_of_a_prefix_is_behind_all_that_begin_so),
        cmocka_unit_test(a_refusal_is_told_once_and_why),
        cmocka_unit_test(what_is_refused_meanwhile_waits_for_the_next_turn),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
