/* SPDX-License-Identifier: MIT */
/*
 * Answers to pawl's scripts and their rows. Whatever a server says, what comes out is
 * an answer that the store's contract allows.
 *
 *   input: verb, has a token (bit 0) and mode (bits 1 and 2), the RESP stream of answers
 */
#include "fuzz.h"

#include "stores/redis/redis_reader.h"

#define FENCE_MAX (UINT64_C(1) << 53)

static const char script[] = "-- call('GET', KEYS[1])\nredis.call('SET', KEYS[2], 'x')\n"
                             "return redis.call('ZADD', KEYS[3], 1, 'y')\n";

/* Rule 11: the lowest first, none twice; permits have some, nobody else has any. */
static void check_slots(const pawl_request *request, const pawl_reply *reply)
{
    bool has_some = reply->outcome == PAWL_GRANTED && request->mode == PAWL_MODE_PERMIT;
    CHECK((reply->slot_count > 0) == has_some && reply->slot_count <= PAWL_CAPACITY_MAX);
    for (size_t i = 0; i < reply->slot_count; i++)
        CHECK(reply->slots[i] < PAWL_CAPACITY_MAX &&
              (i == 0 || reply->slots[i] > reply->slots[i - 1]));
}

static void check_allowed(const pawl_request *request, const pawl_reply *reply)
{
    pawl_verb verb = request->verb;
    bool may_wait = verb == PAWL_VERB_ACQUIRE || verb == PAWL_VERB_CHANGE;
    CHECK(reply->id == request->id);
    switch (reply->outcome) {
    case PAWL_GRANTED:
    case PAWL_CONFIRMED:
        CHECK(reply->outcome == PAWL_GRANTED
                  ? may_wait
                  : verb == PAWL_VERB_RENEW || verb == PAWL_VERB_PUBLISH);
        check_slots(request, reply);
        CHECK(reply->fence > 0 && reply->fence <= FENCE_MAX);
        return;
    case PAWL_QUEUED:
        CHECK(may_wait && reply->fence <= FENCE_MAX);
        CHECK(reply->position >= 0 && reply->holder_ms >= -1);
        return;
    case PAWL_BUSY:
        CHECK(may_wait && reply->holder_ms >= -1);
        return;
    case PAWL_RELEASED:
    case PAWL_NOT_OWNER:
        CHECK(verb == PAWL_VERB_RELEASE || verb == PAWL_VERB_BREAK ||
              ((verb == PAWL_VERB_RENEW || verb == PAWL_VERB_CHANGE || verb == PAWL_VERB_PUBLISH) &&
               reply->outcome == PAWL_NOT_OWNER));
        return;
    case PAWL_LEFT:
        CHECK(verb == PAWL_VERB_RELEASE);
        return;
    case PAWL_REPORTED:
        CHECK(verb == PAWL_VERB_INSPECT || verb == PAWL_VERB_LIST || verb == PAWL_VERB_READ);
        return;
    case PAWL_FAILED:
    case PAWL_UNKNOWN:
        CHECK(reply->err < 0 && reply->message && reply->message[0]);
        fuzz_check_line(reply->message, PAWL_MESSAGE_MAX);
        return;
    }
    FAIL_TEST("outcome %d", (int)reply->outcome);
}

static void check_row(const pawl_request *request, const pawl__redis_value *value)
{
    static pawl__redis_rows rows;
    pawl_info info;
    if (!pawl__redis_decode_info(request, value, &rows, &info)) return;
    CHECK(info.size == sizeof info && info.name_len == request->name_len && info.owner);
    CHECK(info.waiters_shown <= info.waiter_count);
    CHECK(info.waiters_shown <= PAWL_WAITERS_SHOWN_MAX);
    CHECK(info.holders_shown <= info.holder_count);
    CHECK(info.holders_shown <= PAWL_HOLDERS_SHOWN_MAX && info.capacity <= PAWL_CAPACITY_MAX);
    CHECK(!info.mine || request->token);
    size_t letters = strlen(info.owner);
    for (size_t i = 0; i < info.holders_shown; i++) {
        const pawl_holder_info *holder = &info.holders[i];
        CHECK(holder->mode <= PAWL_MODE_PERMIT && holder->units <= PAWL_CAPACITY_MAX);
        CHECK(!holder->mine || info.mine);
        letters += strlen(holder->owner);
    }
    for (size_t i = 0; i < info.waiters_shown; i++) letters += strlen(info.waiters[i].owner);
    CHECK(letters <= PAWL__REDIS_REPLY_BYTES_MAX);
}

static void check_value(const pawl__redis_value *value)
{
    pawl_value told;
    if (!pawl__redis_decode_value(value, &told)) return;
    CHECK(told.len <= PAWL_STORED_MAX && told.fence <= FENCE_MAX && told.owner);
    size_t letters = strlen(told.owner);
    for (size_t i = 0; i < told.len; i++) letters += told.bytes[i] != 0;
    CHECK(letters <= PAWL__REDIS_REPLY_BYTES_MAX);
}

static void check_answer(const pawl__redis_space *space, const pawl_request *request,
                         const pawl__redis_value *value)
{
    pawl_reply reply;
    char message[PAWL_MESSAGE_MAX];
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl__redis_verdict verdict =
        pawl__redis_decode(space, request, script, value, &reply, message, slots);
    check_allowed(request, &reply);
    if (verdict == PAWL__REDIS_DOUBT) CHECK(reply.outcome == PAWL_UNKNOWN);
    if (verdict == PAWL__REDIS_UNKNOWN_SCRIPT || verdict == PAWL__REDIS_RECONNECT)
        CHECK(reply.outcome == PAWL_FAILED && value->type == PAWL__REDIS_ERROR);
    check_row(request, value);
    check_value(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    pawl__redis_space space;
    pawl_request request = {.id = 7, .name = "jobs/{a} b", .name_len = 10, .ttl_ms = 1000};
    request.verb = (pawl_verb)fuzz_below(&in, PAWL_VERB_COUNT);
    uint8_t bits = fuzz_byte(&in);
    request.mode = (pawl_mode)(bits >> 1 & 3);
    if (bits & 1) request.token = "0123456789012345678901234567890123456789";
    CHECK(pawl__redis_space_init(&space, "pawl:", "00000000000000000000000000000001",
                                 "redis://localhost:6379"));

    pawl__redis_reader *reader = pawl__redis_reader_new();
    const pawl__redis_value *value;
    CHECK(reader && pawl__redis_reader_feed(reader, (const char *)in.data, in.left));
    while (pawl__redis_reader_next(reader, &value) == PAWL__REDIS_READ_VALUE)
        check_answer(&space, &request, value);
    pawl__redis_reader_free(reader);
    return 0;
}
