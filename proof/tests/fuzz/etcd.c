/* SPDX-License-Identifier: MIT */
/*
 * What an etcd answers, and what a watch of it says. Nothing may be read beyond it; a key that is
 * read as pawl's is made again as it was; and only what is known to be refused is not unknown.
 *
 *   input: the status (1 byte), the text
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "stores/etcd/etcd_json.h"

#define PREFIX "pawl/"

static void check_entry(json_t *kv)
{
    pawl__etcd_entry entry;
    pawl__etcd_bytes start, again;
    if (!pawl__etcd_entry_read(kv, PREFIX, &entry)) return;
    CHECK(entry.created > 0 && entry.key.len > 0 && entry.key.len <= PAWL__ETCD_KEY_MAX);
    CHECK(strlen(entry.owner) <= PAWL_OWNER_MAX && entry.name_len <= PAWL_NAME_MAX);
    if (!entry.token[0]) return;
    CHECK(strlen(entry.token) == PAWL_TOKEN_LEN);
    pawl__etcd_key_of_name(&start, PREFIX, entry.name, entry.name_len);
    pawl__etcd_key_make(&again, &start, entry.mode, entry.token);
    CHECK(pawl__etcd_same_bytes(&again, &entry.key));
    CHECK((entry.mode == PAWL_MODE_PERMIT) == (entry.units > 0) && entry.units <= entry.capacity);
    char value[PAWL__ETCD_VALUE_MAX];
    CHECK(pawl__etcd_value_write(value, &entry) < sizeof value);
}

static void check_responses(json_t *root)
{
    int64_t count;
    size_t i;
    json_t *kv;
    for (size_t n = 0; n < 8; n++) {
        json_t *kvs = pawl__etcd_kvs(root, n, &count);
        json_array_foreach(kvs, i, kv) check_entry(kv);
    }
    (void)pawl__etcd_revision(root);
    (void)pawl__etcd_succeeded(root);
}

static void check_events(json_t *root)
{
    pawl__etcd_event event;
    size_t i;
    json_t *each, *events = json_object_get(json_object_get(root, "result"), "events");
    json_array_foreach(events, i, each)
    {
        if (!pawl__etcd_event_read(each, &event)) continue;
        CHECK(event.key.len <= PAWL__ETCD_KEY_MAX && !(event.gone && event.fresh));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    pawl__etcd_answer answer;
    long status = fuzz_byte(&in) % 2 ? 503 : 200;
    pawl__etcd_answer_read(status, (const char *)in.data, in.left, &answer);
    if (answer.fate == PAWL__ETCD_DONE) {
        CHECK(answer.root && status == 200 && !answer.err);
        check_responses(answer.root);
        check_events(answer.root);
        json_decref(answer.root);
    } else {
        CHECK(!answer.root && answer.err && memchr(answer.message, '\0', sizeof answer.message));
    }
    return 0;
}
