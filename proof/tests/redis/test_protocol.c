/* SPDX-License-Identifier: MIT */
/* The protocol without a server: keys, calls, replies, pushes, errors. */
#define _GNU_SOURCE
#include "stores/redis/redis_proto.h"
#include "stores/redis/redis_reader.h"
#include "stores/redis/redis_scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "0123456789abcdef0123456789abcdef00000001"

static pawl__redis_space space(const char *prefix)
{
    pawl__redis_space s;
    assert_true(pawl__redis_space_init(&s, prefix, "c0ffee", "redis://h:1"));
    return s;
}

static pawl_request request(pawl_verb verb)
{
    return (pawl_request){.id = 7,
                          .verb = verb,
                          .name = "job",
                          .name_len = 3,
                          .token = TOKEN,
                          .owner = "me",
                          .ttl_ms = 1500,
                          .fence = 99};
}

/* ---- Keys --------------------------------------------------------------------------------- */

static void is_key(pawl__redis_bytes key, const char *expected, size_t len)
{
    assert_int_equal(key.len, len);
    assert_memory_equal(key.data, expected, len);
}

static void companions_share_the_hash_tag(void **state)
{
    char room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1];
    pawl__redis_bytes keys[PAWL__REDIS_KEYS];
    pawl__redis_space s = space("pawl:");
    (void)state;
    pawl__redis_keys(&s, "job", 3, room, keys);
    is_key(keys[0], "pawl:job", 8);
    is_key(keys[1], "{pawl:job}:f", 12);
    is_key(keys[2], "{pawl:job}:q", 12);
    is_key(keys[3], "{pawl:job}:w", 12);
    pawl__redis_keys(&s, "{a}b", 4, room, keys);
    is_key(keys[0], "pawl:{a}b", 9);
    is_key(keys[1], "pawl:{a}b\0f", 11);
    pawl__redis_keys(&s, "a{b", 3, room, keys);
    is_key(keys[1], "{pawl:a{b}:f", 12);
    /* No tag, and none can be made: letters that lead into the slot of the lock. */
    pawl__redis_keys(&s, "{}", 2, room, keys);
    assert_int_equal(keys[1].len, 7 + 6);
    assert_memory_equal(keys[1].data, "pawl:{}\0", 8);
    assert_int_equal(keys[1].data[12], 'f');
}

static void the_longest_name_fits(void **state)
{
    char prefix[PAWL__REDIS_PREFIX_MAX + 2], name[PAWL_NAME_MAX];
    pawl__redis_call call;
    (void)state;
    memset(prefix, 'p', sizeof(prefix));
    prefix[PAWL__REDIS_PREFIX_MAX] = '\0';
    memset(name, 'n', sizeof(name));
    pawl__redis_space s = space(prefix);
    pawl_request r = request(PAWL_VERB_ACQUIRE);
    r.name = name;
    r.name_len = sizeof(name);
    assert_true(pawl__redis_encode(&s, &r, &call));
    assert_int_equal(call.keys[1].len, sizeof(name) + PAWL__REDIS_PREFIX_MAX + 4);
    name[0] = '}';
    assert_true(pawl__redis_encode(&s, &r, &call));
    assert_int_equal(call.keys[1].len, PAWL__REDIS_KEY_MAX);
    prefix[PAWL__REDIS_PREFIX_MAX] = 'p';
    prefix[PAWL__REDIS_PREFIX_MAX + 1] = '\0';
    assert_false(pawl__redis_space_init(&s, prefix, "c", "w"));
    assert_false(pawl__redis_space_init(&s, "with blank", "c", "w"));
    assert_false(pawl__redis_space_init(&s, "line\nbreak", "c", "w"));
}

static void globs_match_names_only_as_they_are(void **state)
{
    char glob[PAWL__REDIS_GLOB_MAX + 1];
    pawl__redis_space s = space("p[1]:");
    (void)state;
    pawl__redis_glob(&s, "a*b?[c]\\d", 9, glob);
    assert_string_equal(glob, "p\\[1\\]:a\\*b\\?\\[c\\]\\\\d*");
    pawl__redis_queue_glob(&s, "a*", 2, glob);
    assert_string_equal(glob, "*p\\[1\\]:a\\**q");
}

static void a_queues_key_leads_to_its_lock(void **state)
{
    static const char *const names[] = {"x", "{t}x", "{}", "}:q", "q", "a}b", "{x"};
    static const struct {
        const char *key;
        size_t len;
    } others[] = {{"", 0}, {"q", 1}, {"}:q", 3}, {"{}:q", 4}, {"{pawl:x}:w", 10}, {"pawl:x", 6}};
    static char room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1];
    pawl__redis_space s = space("pawl:");
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pawl__redis_bytes keys[PAWL__REDIS_KEYS];
        pawl__redis_keys(&s, names[i], strlen(names[i]), room, keys);
        pawl__redis_bytes lock = pawl__redis_lock_of_queue(keys[PAWL__REDIS_KEY_QUEUE]);
        assert_int_equal(lock.len, keys[PAWL__REDIS_KEY_LOCK].len);
        assert_memory_equal(lock.data, keys[PAWL__REDIS_KEY_LOCK].data, lock.len);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        pawl__redis_bytes key = {.data = others[i].key, .len = others[i].len};
        assert_int_equal(pawl__redis_lock_of_queue(key).len, 0);
    }
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void has_args(const pawl__redis_call *call, size_t count, ...)
{
    va_list args;
    assert_int_equal(call->arg_count, count);
    va_start(args, count);
    for (size_t i = 0; i < count; i++) {
        const char *expected = va_arg(args, const char *);
        is_key(call->args[i], expected, strlen(expected));
    }
    va_end(args);
}

static void requests_become_calls(void **state)
{
    pawl__redis_space s = space("pawl:");
    pawl__redis_call call;
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX];
    (void)state;
    pawl_request r = request(PAWL_VERB_ACQUIRE);
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 4, TOKEN, "1500", "pawl:inbox:c0ffee me", "0");
    r.flags = PAWL_ASK_QUEUE;
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 3, TOKEN, "1500", "pawl:inbox:c0ffee me");
    size_t argc = pawl__redis_call_argv(&call, (pawl__redis_bytes){"abc", 3}, true, argv);
    assert_int_equal(argc, 10);
    is_key(argv[0], "EVALSHA", 7);
    is_key(argv[1], "abc", 3);
    is_key(argv[2], "4", 1);
    is_key(argv[3], "pawl:job", 8);
    is_key(argv[7], TOKEN, PAWL_TOKEN_LEN);
    (void)pawl__redis_call_argv(&call, (pawl__redis_bytes){"abc", 3}, false, argv);
    is_key(argv[0], "EVAL", 4);

    r = request(PAWL_VERB_RENEW);
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 3, TOKEN, "1500", "pawl:inbox:c0ffee me");
    r = request(PAWL_VERB_RELEASE);
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 1, TOKEN);
    r = request(PAWL_VERB_INSPECT);
    r.token = NULL;
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 2, "", "1000");
    r = request(PAWL_VERB_BREAK);
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 2, "99", "me");
    assert_int_equal(call.key_count, PAWL__REDIS_KEYS_MAX);
    r = request(PAWL_VERB_ACQUIRE);
    r.mode = PAWL_MODE_PERMIT;
    r.units = 2;
    r.capacity = 1024;
    assert_true(pawl__redis_encode(&s, &r, &call));
    assert_int_equal(call.script, PAWL__REDIS_ACQUIRE_MANY);
    has_args(&call, 7, TOKEN, "1500", "pawl:inbox:c0ffee me", "p", "2", "1024", "0");
    r = request(PAWL_VERB_CHANGE);
    r.mode = PAWL_MODE_UPDATE;
    r.change = 4294967295u;
    r.flags = PAWL_ASK_QUEUE;
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 5, TOKEN, "1500", "pawl:inbox:c0ffee me", "u", "4294967295");
    r.mode = (pawl_mode)(PAWL_MODE_PERMIT + 1);
    assert_false(pawl__redis_encode(&s, &r, &call));
    r = request(PAWL_VERB_PUBLISH);
    r.value = "v\0w";
    r.value_len = 3;
    r.keep_ms = PAWL_KEEP_MAX_MS;
    r.publication = 7;
    assert_true(pawl__redis_encode(&s, &r, &call));
    is_key(call.args[2], "v\0w", 3);
    is_key(call.args[3], "7", 1);
    call.arg_count = 2;
    has_args(&call, 2, TOKEN, "34560000000");
    assert_int_equal(pawl__redis_call_argv(&call, (pawl__redis_bytes){"abc", 3}, true, argv), 10);
    is_key(argv[2], "5", 1);
    is_key(argv[7], "{pawl:job}:v", 12);
    r = request(PAWL_VERB_READ);
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 2, "", "1500");
    r.flags = PAWL_ASK_WATCH;
    assert_true(pawl__redis_encode(&s, &r, &call));
    has_args(&call, 2, "pawl:inbox:c0ffee", "1500");
    r = request(PAWL_VERB_LIST);
    assert_false(pawl__redis_encode(&s, &r, &call));
    r = request(PAWL_VERB_DOCTOR);
    assert_false(pawl__redis_encode(&s, &r, &call));
}

/* ---- Replies ---------------------------------------------------------------------- */

/* A reply written as it comes over the wire. */
static pawl__redis_verdict decode_in(pawl_mode mode, pawl_verb verb, const char *wire,
                                     pawl_reply *ret_reply, char *ret_message)
{
    pawl__redis_space s = space("pawl:");
    static uint16_t slots[PAWL_CAPACITY_MAX];
    pawl__redis_reader *reader = pawl__redis_reader_new();
    const pawl__redis_value *value;
    pawl_request r = request(verb);
    r.mode = mode;
    assert_true(pawl__redis_reader_feed(reader, wire, strlen(wire)));
    assert_int_equal(pawl__redis_reader_next(reader, &value), PAWL__REDIS_READ_VALUE);
    pawl__redis_verdict verdict =
        pawl__redis_decode(&s, &r, pawl__redis_scripts[PAWL__REDIS_ACQUIRE].body, value, ret_reply,
                           ret_message, slots);
    pawl__redis_reader_free(reader);
    return verdict;
}

static pawl__redis_verdict decode(pawl_verb verb, const char *wire, pawl_reply *ret_reply,
                                  char *ret_message)
{
    return decode_in(PAWL_MODE_EXCLUSIVE, verb, wire, ret_reply, ret_message);
}

static void permits_come_with_their_slots(void **state)
{
    static const char *const lies[] = {"0 5 0",          "0 5 0 ",    "0 5 0 x",     "0 5 0 1,",
                                       "0 5 0 ,1",       "0 5 0 1,1", "0 5 0 2,1",   "0 5 0 1024",
                                       "0 5 0 -1",       "0 5 0 1 2", "0 5 0 99999", "0 5 0 1,,2",
                                       "0 5 0 000000001"};
    pawl_reply reply;
    char message[PAWL_MESSAGE_MAX], wire[64];
    (void)state;
    (void)decode_in(PAWL_MODE_PERMIT, PAWL_VERB_ACQUIRE, "$14\r\n0 5 1 0,7,1023\r\n", &reply,
                    message);
    assert_true(reply.outcome == PAWL_GRANTED && reply.waiting);
    assert_int_equal(reply.slot_count, 3);
    assert_true(reply.slots[0] == 0 && reply.slots[1] == 7 && reply.slots[2] == 1023);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        snprintf(wire, sizeof(wire), "$%zu\r\n%s\r\n", strlen(lies[i]), lies[i]);
        if (decode_in(PAWL_MODE_PERMIT, PAWL_VERB_ACQUIRE, wire, &reply, message) !=
            PAWL__REDIS_DOUBT)
            fail_msg("believed: %s", lies[i]);
        assert_true(reply.slot_count == 0 && reply.fence == 0);
    }
}

static void changes_are_answered_like_acquisitions(void **state)
{
    pawl_reply reply;
    char message[PAWL_MESSAGE_MAX];
    (void)state;
    (void)decode(PAWL_VERB_CHANGE, "$5\r\n0 5 0\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_GRANTED);
    (void)decode(PAWL_VERB_CHANGE, "$9\r\n1 0 500 7\r\n", &reply, message);
    assert_true(reply.outcome == PAWL_QUEUED && reply.position == 0 && reply.fence == 7);
    (void)decode(PAWL_VERB_CHANGE, "$6\r\n2 500 \r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_BUSY);
    (void)decode(PAWL_VERB_CHANGE, ":6\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_NOT_OWNER);
    assert_int_equal(decode(PAWL_VERB_CHANGE, ":4\r\n", &reply, message), PAWL__REDIS_DOUBT);
}

static void answers_are_understood(void **state)
{
    pawl_reply reply;
    char message[PAWL_MESSAGE_MAX];
    (void)state;
    assert_int_equal(decode(PAWL_VERB_ACQUIRE, "$20\r\n0 1700000000000000 1\r\n", &reply, message),
                     PAWL__REDIS_DECODED);
    assert_int_equal(reply.outcome, PAWL_GRANTED);
    assert_int_equal(reply.id, 7);
    assert_true(reply.fence == UINT64_C(1700000000000000) && reply.waiting);
    (void)decode(PAWL_VERB_ACQUIRE, "$10\r\n1 12 -1 77\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_QUEUED);
    assert_true(reply.position == 12 && reply.holder_ms == -1 && reply.fence == 77);
    (void)decode(PAWL_VERB_ACQUIRE, "$11\r\n2 500 bob x\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_BUSY);
    assert_int_equal(reply.holder_ms, 500);
    assert_string_equal(reply.message, "bob x");
    (void)decode(PAWL_VERB_RENEW, "$5\r\n3 5 0\r\n", &reply, message);
    assert_true(reply.outcome == PAWL_CONFIRMED && reply.fence == 5 && !reply.waiting);
    (void)decode(PAWL_VERB_RELEASE, ":4\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_RELEASED);
    (void)decode(PAWL_VERB_RELEASE, ":5\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_LEFT);
    (void)decode(PAWL_VERB_RENEW, ":6\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_NOT_OWNER);
    assert_null(reply.message);
    (void)decode(PAWL_VERB_RENEW, "$9\r\n6 eve x y\r\n", &reply, message);
    assert_int_equal(reply.outcome, PAWL_NOT_OWNER);
    assert_string_equal(reply.message, "eve x y");
    assert_int_equal(decode(PAWL_VERB_RELEASE, "$5\r\n6 eve\r\n", &reply, message),
                     PAWL__REDIS_DOUBT);
}

static void a_refusal_is_never_a_grant(void **state)
{
    static const char *const refusals[] = {"-NOSCRIPT No matching script.\r\n", "-ERR x\r\n",
                                           "-OOM x\r\n", "-NOAUTH x\r\n", "-\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        pawl_reply reply;
        char message[PAWL_MESSAGE_MAX];
        (void)decode(PAWL_VERB_ACQUIRE, refusals[i], &reply, message);
        assert_true(reply.outcome == PAWL_FAILED || reply.outcome == PAWL_UNKNOWN);
        assert_true(reply.err < 0 && reply.message && reply.message[0]);
    }
}

/* A server that lies, or an answer that belongs to another request. */
static void what_no_script_says_is_doubted(void **state)
{
    static const struct {
        pawl_verb verb;
        const char *wire;
    } lies[] = {
        {PAWL_VERB_ACQUIRE, "+OK\r\n"},
        {PAWL_VERB_ACQUIRE, ":1\r\n"},
        {PAWL_VERB_ACQUIRE, "$-1\r\n"},
        {PAWL_VERB_ACQUIRE, "*0\r\n"},
        {PAWL_VERB_ACQUIRE, "*-1\r\n"},
        {PAWL_VERB_ACQUIRE, "$0\r\n\r\n"},
        {PAWL_VERB_ACQUIRE, "$1\r\n0\r\n"},
        {PAWL_VERB_ACQUIRE, "$5\r\n0 0 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$6\r\n0 -5 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$21\r\n0 99999999999999999 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$20\r\n0 9999999999999999 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$3\r\n0 5\r\n"},
        {PAWL_VERB_ACQUIRE, "$5\r\n0 5 x\r\n"},
        {PAWL_VERB_ACQUIRE, "$7\r\n0 5 0 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$6\r\n0  5 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$5\r\nx 5 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$8\r\n1 -1 5 1\r\n"},
        {PAWL_VERB_ACQUIRE, "$8\r\n1 0 -7 1\r\n"},
        {PAWL_VERB_ACQUIRE, "$8\r\n1 0 5 -1\r\n"},
        {PAWL_VERB_ACQUIRE, "$5\r\n1 0 5\r\n"},
        {PAWL_VERB_ACQUIRE, "$9\r\n1 0 5 1 1\r\n"},
        {PAWL_VERB_ACQUIRE, "$1\r\n2\r\n"},
        {PAWL_VERB_ACQUIRE, "$3\r\n2 5\r\n"},
        {PAWL_VERB_ACQUIRE, "$8\r\n2 -3 bob\r\n"},
        {PAWL_VERB_ACQUIRE, "$7\r\n2 x bob\r\n"},
        {PAWL_VERB_ACQUIRE, "$5\r\n3 5 0\r\n"},
        {PAWL_VERB_ACQUIRE, "$1\r\n4\r\n"},
        {PAWL_VERB_ACQUIRE, "$1\r\n7\r\n"},
        {PAWL_VERB_ACQUIRE, "$6\r\n-1 5 0\r\n"},
        {PAWL_VERB_ACQUIRE, "*3\r\n:0\r\n:5\r\n:0\r\n"},
        {PAWL_VERB_ACQUIRE, ":0\r\n"},
        {PAWL_VERB_ACQUIRE, ":2\r\n"},
        {PAWL_VERB_ACQUIRE, ":4\r\n"},
        {PAWL_VERB_RENEW, "$5\r\n0 5 0\r\n"},
        {PAWL_VERB_RENEW, ":3\r\n"},
        {PAWL_VERB_RENEW, ":4\r\n"},
        {PAWL_VERB_RELEASE, "$5\r\n0 5 0\r\n"},
        {PAWL_VERB_RELEASE, ":77\r\n"},
        {PAWL_VERB_RELEASE, ":-1\r\n"},
        {PAWL_VERB_RELEASE, "*1\r\n:4\r\n"},
        {PAWL_VERB_BREAK, ":5\r\n"},
        {PAWL_VERB_PUBLISH, "$5\r\n0 5 0\r\n"},
        {PAWL_VERB_PUBLISH, ":4\r\n"},
        {PAWL_VERB_READ, ":9\r\n"},
        {PAWL_VERB_READ, "*1\r\n:7\r\n"},
        {PAWL_VERB_INSPECT, "*1\r\n:9\r\n"},
        {PAWL_VERB_INSPECT, ":7\r\n"},
        {PAWL_VERB_INSPECT, "*1\r\n:4\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        pawl_reply reply;
        char message[PAWL_MESSAGE_MAX];
        if (decode(lies[i].verb, lies[i].wire, &reply, message) != PAWL__REDIS_DOUBT)
            fail_msg("believed: %s", lies[i].wire);
        assert_int_equal(reply.outcome, PAWL_UNKNOWN);
        assert_int_equal(reply.err, PAWL_ERR_PROTOCOL);
        assert_int_equal(reply.fence, 0);
    }
}

/* ---- Errors ----------------------------------------------------------------------- */

static const struct {
    const char *error;
    pawl_err err;
    bool not_done, reconnect;
    const char *says;
} errors_told[] = {
    {"NOAUTH Authentication required.", PAWL_ERR_AUTH, true, true, "password"},
    {"WRONGPASS invalid username-password pair or user is disabled.", PAWL_ERR_AUTH, true, true,
     "refused the user or password"},
    {"ERR Client sent AUTH, but no password is set", PAWL_ERR_AUTH, true, false, "no password set"},
    {"ERR AUTH <password> called without any password configured for the default user. Are you "
     "sure your configuration is correct?",
     PAWL_ERR_AUTH, true, false, "no password set"},
    {"READONLY You can't write against a read only replica.", PAWL_ERR_READONLY, true, true,
     "replica"},
    {"LOADING Redis is loading the dataset in memory", PAWL_ERR_LOADING, true, true, "loading"},
    {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
     PAWL_ERR_STORE_BUSY, true, false, "SCRIPT KILL"},
    {"OOM command not allowed when used memory > 'maxmemory'.", PAWL_ERR_STORE_FULL, true, false,
     "maxmemory"},
    {"MISCONF Redis is configured to save RDB snapshots, but", PAWL_ERR_STORE_FULL, true, false,
     "disk"},
    {"NOREPLICAS Not enough good replicas to write.", PAWL_ERR_UNAVAILABLE, true, false,
     "replicas"},
    {"TRYAGAIN Multiple keys request during rehashing of slot", PAWL_ERR_UNAVAILABLE, true, false,
     "cluster"},
    {"CLUSTERDOWN Hash slot not served", PAWL_ERR_UNAVAILABLE, true, false, "cluster"},
    {"MASTERDOWN Link with MASTER is down", PAWL_ERR_UNAVAILABLE, true, true, "primary"},
    {"MOVED 3999 127.0.0.1:6381", PAWL_ERR_UNSUPPORTED, true, false, "cluster"},
    {"ASK 3999 127.0.0.1:6381", PAWL_ERR_UNSUPPORTED, true, false, "cluster"},
    {"CROSSSLOT Keys in request don't hash to the same slot", PAWL_ERR_UNSUPPORTED, true, false,
     "cluster"},
    {"DENIED Redis is running in protected mode because", PAWL_ERR_PERMISSION, true, false,
     "protected mode"},
    {"PAWLKIND 0 4", PAWL_ERR_KIND, true, false, "in use as a lock"},
    {"PAWLKIND 4 0", PAWL_ERR_KIND, true, false, "in use as a semaphore"},
    {"PAWLCAPACITY 4 5", PAWL_ERR_CAPACITY, true, false, "it has 4, asked for were 5"},
    {"PAWLMODE sx", PAWL_ERR_MODE, true, false, "mode update"},
    {"PAWLMODE ux", PAWL_ERR_MODE, true, false, "in mode update already"},
    {"PAWLMODE ps", PAWL_ERR_MODE, true, false, "permits"},
    {"PAWLMODE xp", PAWL_ERR_MODE, true, false, "cannot change to permits"},
    {"ERR max number of clients reached", PAWL_ERR_UNAVAILABLE, true, false, "maxclients"},
    {"ERR DB index is out of range", PAWL_ERR_OPTION, true, false, "database"},
    {"NOPERM User joe has no permissions to run the 'evalsha' command", PAWL_ERR_PERMISSION, true,
     false, "+evalsha"},
    {"NOPERM this user has no permissions to access one of the keys used as arguments",
     PAWL_ERR_PERMISSION, true, false, "~pawl:* ~{pawl:*"},
    {"NOPERM No permissions to access a key", PAWL_ERR_PERMISSION, true, false,
     "~pawl:* ~{pawl:*"}, /* from 7.2 on, and Valkey */
    {"NOPERM No permissions to access a channel", PAWL_ERR_PERMISSION, true, false,
     "&pawl:inbox:*"},
    {"NOPERM this user has no permissions to access one of the channels used as arguments",
     PAWL_ERR_PERMISSION, true, false, "&pawl:inbox:*"},
    {"ERR unknown command 'EVALSHA', with args beginning with:", PAWL_ERR_UNSUPPORTED, true, false,
     "EVALSHA"},
    {"ERR something that nobody has thought of", PAWL_ERR_UNSUPPORTED, false, false,
     "nobody has thought of"},
    /* Inside a script, Redis 7. Line 4 of this script is GET on KEYS[2]. */
    {"WRONGTYPE Operation against a key holding the wrong kind of value script: f1, on "
     "@user_script:4.",
     PAWL_ERR_WRONG_TYPE, true, false, "the key f holds"},
    {"ERR The user executing the script can't run this command or subcommand script: f1, on "
     "@user_script:2.",
     PAWL_ERR_PERMISSION, true, false, "+zadd"},
    /* The same, Redis 6. */
    {"ERR Error running script (call to f_f1): @user_script:4: WRONGTYPE Operation against a "
     "key holding the wrong kind of value",
     PAWL_ERR_WRONG_TYPE, true, false, "the key f holds"},
    {"ERR Error running script (call to f_f1): @user_script:2: @user_script: 2: -OOM command "
     "not allowed when used memory > 'maxmemory'.",
     PAWL_ERR_STORE_FULL, true, false, "memory is full"},
    {"ERR Error running script (call to f_f1): @user_script:2: @user_script: 2: -NOPERM The "
     "user executing the script can't run this command or subcommand",
     PAWL_ERR_PERMISSION, true, false, "+zadd"},
    {"ERR Error running script (call to f_f1): @user_script:2: @user_script: 2: -READONLY You "
     "can't write against a read only replica.",
     PAWL_ERR_READONLY, true, true, "replica"},
    {"ERR Error running script (call to f_f1): @user_script:1: Script killed by user with "
     "SCRIPT KILL...",
     PAWL_ERR_STORE_BUSY, true, false, "SCRIPT KILL"},
    /* Nonsense in the place of the line. */
    {"WRONGTYPE Operation script: f1, on @user_script:999999999999999.", PAWL_ERR_WRONG_TYPE, true,
     false, "a key of l"},
    {"WRONGTYPE Operation script: f1, on @user_script:", PAWL_ERR_WRONG_TYPE, true, false, "l"},
    {"WRONGTYPE", PAWL_ERR_WRONG_TYPE, true, false, "l"},
    {"", PAWL_ERR_UNSUPPORTED, false, false, "refused"},
};

static void errors_say_what_and_what_to_do(void **state)
{
    static const char script[] = "local a = 1\n"
                                 "redis.call('ZADD', KEYS[3], 1, 2)\n"
                                 "local b = 2\n"
                                 "local c = redis.call('GET', KEYS[2])\n";
    const pawl__redis_bytes keys[] = {{"l", 1}, {"f", 1}, {"q", 1}, {"w", 1}};
    pawl__redis_space s = space("pawl:");
    (void)state;
    for (size_t i = 0; i < sizeof(errors_told) / sizeof(errors_told[0]); i++) {
        char message[PAWL_MESSAGE_MAX] = "";
        pawl__redis_bytes error = {errors_told[i].error, strlen(errors_told[i].error)};
        pawl__redis_trouble trouble =
            pawl__redis_explain(&s, "EVALSHA", keys, script, error, message);
        if (trouble.err != errors_told[i].err || trouble.not_done != errors_told[i].not_done ||
            trouble.reconnect != errors_told[i].reconnect || !strstr(message, errors_told[i].says))
            fail_msg("%s -> %s, %d, %d: %s", errors_told[i].error, pawl_err_name(trouble.err),
                     trouble.not_done, trouble.reconnect, message);
        assert_non_null(strstr(message, "redis://h:1"));
        assert_null(strchr(message, '\n'));
    }
    assert_true(pawl__redis_explain(&s, "EVALSHA", keys, script,
                                    (pawl__redis_bytes){"NOSCRIPT No matching script.", 28},
                                    (char[PAWL_MESSAGE_MAX]){""})
                    .no_script);
}

static void long_and_dirty_errors_stay_one_line(void **state)
{
    char error[4096], message[PAWL_MESSAGE_MAX];
    pawl__redis_space s = space("pawl:");
    (void)state;
    memset(error, '\n', sizeof(error));
    error[sizeof(error) - 1] = '\0';
    (void)pawl__redis_explain(&s, "X", NULL, NULL, (pawl__redis_bytes){error, sizeof(error) - 1},
                              message);
    assert_true(strlen(message) < PAWL_MESSAGE_MAX);
    assert_null(strchr(message, '\n'));
}

/* ---- Pushes ----------------------------------------------------------------------- */

static bool push_of(const char *payload, size_t len, pawl_push *ret_push)
{
    static pawl_token token;
    static uint16_t slots[PAWL_CAPACITY_MAX];
    static pawl__redis_space s;
    s = space("pawl:");
    return pawl__redis_decode_push(&s, (pawl__redis_bytes){payload, len}, &token, slots, ret_push);
}

static void pushes_are_understood(void **state)
{
    pawl_push push;
    static const char grant[] = "g 1700000000000000 1 " TOKEN " pawl:a b\nc";
    (void)state;
    assert_true(push_of(grant, sizeof(grant) - 1, &push));
    assert_int_equal(push.kind, PAWL_PUSH_GRANT);
    assert_true(push.fence == UINT64_C(1700000000000000) && push.waiting);
    assert_string_equal(push.token, TOKEN);
    assert_int_equal(push.name_len, 5);
    assert_memory_equal(push.name, "a b\nc", 5);
    assert_true(push_of("y " TOKEN " pawl:x", 2 + 40 + 7, &push));
    assert_int_equal(push.kind, PAWL_PUSH_YIELD);
    static const char permits[] = "p 5 0 1,3 " TOKEN " pawl:x";
    assert_true(push_of(permits, sizeof(permits) - 1, &push));
    assert_true(push.kind == PAWL_PUSH_GRANT && push.slot_count == 2 && push.slots[1] == 3);
    assert_true(push_of("r pawl:x", 8, &push));
    assert_int_equal(push.kind, PAWL_PUSH_RECHECK);
    assert_null(push.token);
    assert_true(push_of("n pawl:x", 8, &push));
    assert_int_equal(push.kind, PAWL_PUSH_NEWS);
    assert_null(push.token);
}

static bool value_of(const char *wire, pawl_value *ret_value)
{
    pawl__redis_reader *reader = pawl__redis_reader_new();
    const pawl__redis_value *value;
    assert_true(pawl__redis_reader_feed(reader, wire, strlen(wire)));
    assert_int_equal(pawl__redis_reader_next(reader, &value), PAWL__REDIS_READ_VALUE);
    bool taken = pawl__redis_decode_value(value, ret_value);
    pawl__redis_reader_free(reader); /* what it points to is gone: only numbers are looked at */
    return taken;
}

static void a_value_is_understood_or_refused(void **state)
{
    static const char *const lies[] = {
        ":9\r\n",
        "*1\r\n:9\r\n",
        "*6\r\n:7\r\n:8\r\n:5\r\n:6\r\n$1\r\na\r\n$1\r\nv\r\n",
        "*6\r\n:9\r\n:8\r\n:-5\r\n:6\r\n$1\r\na\r\n$1\r\nv\r\n",
        "*6\r\n:9\r\n:8\r\n:9007199254740993\r\n:6\r\n$1\r\na\r\n$1\r\nv\r\n",
        "*6\r\n:9\r\n:8\r\n:5\r\n:6\r\n:1\r\n$1\r\nv\r\n",
        "*5\r\n:9\r\n:8\r\n:5\r\n:6\r\n$1\r\na\r\n",
    };
    pawl_value value;
    (void)state;
    assert_true(value_of("*6\r\n:9\r\n:8\r\n:5\r\n:6\r\n$1\r\na\r\n$1\r\nv\r\n", &value));
    assert_true(value.now_us == 8 && value.fence == 5 && value.at_us == 6 && value.len == 1);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        if (value_of(lies[i], &value)) fail_msg("believed: %s", lies[i]);
}

static void what_is_no_push_is_ignored(void **state)
{
    static const char *const others[] = {
        "",
        " ",
        "g",
        "g ",
        "x pawl:x",
        "gg 5 1 " TOKEN " pawl:x",
        "g 0 1 " TOKEN " pawl:x",
        "g -5 1 " TOKEN " pawl:x",
        "g 99999999999999999999 1 " TOKEN " pawl:x",
        "g 9999999999999999 1 " TOKEN " pawl:x",
        "g 5 " TOKEN " pawl:x",
        "g 5 11 " TOKEN " pawl:x",
        "g 5 1 short pawl:x",
        "g 5 1 " TOKEN,
        "g 5 1 " TOKEN " ",
        "g 5 1 " TOKEN " pawl:",
        "g 5 1 " TOKEN " other:x",
        "p 5 1 " TOKEN " pawl:x",
        "p 5 1 3,1 " TOKEN " pawl:x",
        "p 5 1 1024 " TOKEN " pawl:x",
        "p 5 1  " TOKEN " pawl:x",
        "y pawl:x",
        "r other:x",
        "r pawl:",
    };
    pawl_push push;
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (push_of(others[i], strlen(others[i]), &push)) fail_msg("taken: %s", others[i]);
    char longest[PAWL_NAME_MAX + 16] = "r pawl:";
    memset(longest + 7, 'n', PAWL_NAME_MAX + 1);
    assert_true(push_of(longest, 7 + PAWL_NAME_MAX, &push));
    assert_false(push_of(longest, 7 + PAWL_NAME_MAX + 1, &push));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(companions_share_the_hash_tag),
        cmocka_unit_test(the_longest_name_fits),
        cmocka_unit_test(globs_match_names_only_as_they_are),
        cmocka_unit_test(a_queues_key_leads_to_its_lock),
        cmocka_unit_test(requests_become_calls),
        cmocka_unit_test(answers_are_understood),
        cmocka_unit_test(permits_come_with_their_slots),
        cmocka_unit_test(changes_are_answered_like_acquisitions),
        cmocka_unit_test(a_refusal_is_never_a_grant),
        cmocka_unit_test(what_no_script_says_is_doubted),
        cmocka_unit_test(errors_say_what_and_what_to_do),
        cmocka_unit_test(long_and_dirty_errors_stay_one_line),
        cmocka_unit_test(pushes_are_understood),
        cmocka_unit_test(a_value_is_understood_or_refused),
        cmocka_unit_test(what_is_no_push_is_ignored),
    };
    return cmocka_run_group_tests_name("redis protocol", cases, NULL, NULL);
}
