/* SPDX-License-Identifier: MIT */
/*
 * What arrives unasked: a message in the inbox of the Redis store, and a letter in that of
 * the SQLite store. Whoever may write there may write anything.
 *
 *   input: which store (1 byte), the message
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "stores/redis/redis_proto.h"
#include "stores/sqlite/sqlite_inbox.h"

#define PREFIX    "pawl:"
#define FENCE_MAX (UINT64_C(1) << 53)

static void check_push(const pawl_push *push)
{
    CHECK(push->name_len >= 1 && push->name_len <= PAWL_NAME_MAX);
    bool of_nobody = push->kind == PAWL_PUSH_RECHECK || push->kind == PAWL_PUSH_NEWS;
    CHECK((push->token == NULL) == of_nobody);
    CHECK(push->slot_count <= PAWL_CAPACITY_MAX);
    CHECK(push->slot_count == 0 || push->kind == PAWL_PUSH_GRANT);
    for (size_t i = 0; i < push->slot_count; i++)
        CHECK(push->slots[i] < PAWL_CAPACITY_MAX &&
              (i == 0 || push->slots[i] > push->slots[i - 1]));
    if (push->token) CHECK(strnlen(push->token, PAWL_TOKEN_LEN + 1) <= PAWL_TOKEN_LEN);
}

/* The lock key ends the message, the token stands before it. */
static void check_places(const pawl_push *push, const char *payload, size_t len)
{
    size_t prefix_len = strlen(PREFIX);
    const char *end = payload + len, *key = push->name - prefix_len;
    CHECK(push->name + push->name_len == end && key > payload);
    CHECK(memcmp(key, PREFIX, prefix_len) == 0);
    if (!push->token) return;
    CHECK(key - payload > PAWL_TOKEN_LEN + 1);
    CHECK(memcmp(key - 1 - PAWL_TOKEN_LEN, push->token, PAWL_TOKEN_LEN) == 0);
}

static void hear_from_redis(fuzz_input in)
{
    pawl__redis_space space;
    pawl_token token;
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl_push push;
    CHECK(pawl__redis_space_init(&space, PREFIX, "00000000000000000000000000000001", "redis://h"));
    char *payload = fuzz_text(in);
    pawl__redis_bytes bytes = {.data = payload, .len = in.left};
    if (pawl__redis_decode_push(&space, bytes, &token, slots, &push)) {
        check_push(&push);
        check_places(&push, payload, in.left);
        if (push.kind == PAWL_PUSH_GRANT) CHECK(push.fence > 0 && push.fence <= FENCE_MAX);
    }
    free(payload);
}

static void open_letter(fuzz_input in)
{
    pawl__letter letter; /* as recv leaves it: what was not sent is not initialised */
    pawl__letter_room room;
    size_t len = in.left < sizeof letter ? in.left : sizeof letter;
    memset(&letter, 0xa5, sizeof letter);
    if (len) memcpy(&letter, in.data, len);
    if (!pawl__letter_is_valid(&letter, in.left)) return;
    pawl_push push = pawl__letter_push(&letter, &room);
    check_push(&push);
    CHECK(push.name + push.name_len <= (const char *)(&letter + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    if (fuzz_byte(&in) & 1) {
        open_letter(in);
        return 0;
    }
    hear_from_redis(in);
    return 0;
}
