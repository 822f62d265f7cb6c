/* SPDX-License-Identifier: MIT */
#include "recording.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"

#define LONG_NUMBER 12 /* digits; wire.py has the same */

/* ---- The file ----------------------------------------------------------------------- */

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (!memory) bench_die("out of memory");
    return memory;
}

static char *load_bytes(FILE *file, size_t length)
{
    char *bytes = zeroed(length, 1);
    if (fread(bytes, 1, length, file) != length || fgetc(file) != '\n') bench_die("cut recording");
    return bytes;
}

static void load_request(FILE *file, bench_request *r)
{
    int exact;
    if (fscanf(file, " command %zu %d %d %zu %d", &r->length, &r->wait, &r->hole_count,
               &r->expected_length, &exact) != 5) {
        bench_die("a command of the recording is malformed");
    }
    r->exact = exact;
    r->holes = zeroed((size_t)r->hole_count, sizeof *r->holes);
    for (int i = 0; i < r->hole_count; i++) {
        bench_hole *h = &r->holes[i];
        if (fscanf(file, " hole %zu %zu %d %d", &h->at, &h->length, &h->reply, &h->nth) != 4 ||
            h->at + h->length > r->length) {
            bench_die("a hole of the recording is malformed");
        }
    }
    if (fgetc(file) != '\n') bench_die("cut recording");
    r->expected = load_bytes(file, r->expected_length);
    r->bytes = load_bytes(file, r->length);
}

bench_pair *bench_recording_load(const char *path, int *ret_pairs)
{
    FILE *file = fopen(path, "rb");
    int count = 0;
    if (!file || fscanf(file, "pairs %d", &count) != 1 || count < 1) {
        bench_die("%s is not a recording", path);
    }
    bench_pair *pairs = zeroed((size_t)count, sizeof *pairs);
    for (int i = 0; i < count; i++) {
        bench_pair *p = &pairs[i];
        if (fscanf(file, " pair %d", &p->count) != 1 || p->count < 1) bench_die("cut recording");
        p->requests = zeroed((size_t)p->count, sizeof *p->requests);
        for (int j = 0; j < p->count; j++) load_request(file, &p->requests[j]);
    }
    fclose(file);
    *ret_pairs = count;
    return pairs;
}

/* ---- A turn --------------------------------------------------------------------------- */

void bench_pair_restart(bench_pair *pair, unsigned number)
{
    char digits[9];
    snprintf(digits, sizeof digits, "%08x", number);
    pair->sent = pair->answered = 0;
    for (int i = 0; i < pair->count; i++) {
        const bench_request *r = &pair->requests[i];
        for (int j = 0; j < r->hole_count; j++) {
            if (r->holes[j].reply < 0) memcpy(r->bytes + r->holes[j].at, digits, 8);
        }
    }
}

/* Appends the words of a reply; those of an array one by one. */
static size_t flatten(const redisReply *reply, char *text, size_t used)
{
    size_t room = BENCH_REPLY_TEXT_MAX - used, length = 0;
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++) used = flatten(reply->element[i], text, used);
        return used;
    case REDIS_REPLY_INTEGER:
        length = (size_t)snprintf(text + used, room, " %lld", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        length = (size_t)snprintf(text + used, room, " nil");
        break;
    default:
        length = (size_t)snprintf(text + used, room, " %.*s", (int)reply->len, reply->str);
        break;
    }
    return length < room ? used + length : BENCH_REPLY_TEXT_MAX - 1;
}

static char letter(const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
        return '*';
    case REDIS_REPLY_INTEGER:
        return ':';
    case REDIS_REPLY_STATUS:
        return '+';
    case REDIS_REPLY_ERROR:
        return '-';
    case REDIS_REPLY_NIL:
        return '_';
    default:
        return '$';
    }
}

/* The nth run of LONG_NUMBER digits or more; NULL if there is none of this length. */
static const char *long_number(const char *text, int nth, size_t length)
{
    for (const char *p = text; *p;) {
        size_t run = strspn(p, "0123456789");
        if (run >= LONG_NUMBER && nth-- == 0) return run == length ? p : NULL;
        p += run ? run : 1;
    }
    return NULL;
}

static void learn(bench_pair *pair, int reply, const char *text)
{
    for (int i = reply + 1; i < pair->count; i++) {
        const bench_request *r = &pair->requests[i];
        for (int j = 0; j < r->hole_count; j++) {
            const bench_hole *h = &r->holes[j];
            if (h->reply != reply) continue;
            const char *number = long_number(text, h->nth, h->length);
            if (!number) bench_die("no number of %zu digits in the reply: %s", h->length, text);
            memcpy(r->bytes + h->at, number, h->length);
        }
    }
}

void bench_pair_answer(bench_pair *pair, const redisReply *reply)
{
    char text[BENCH_REPLY_TEXT_MAX];
    const bench_request *r = &pair->requests[pair->answered];
    text[0] = letter(reply);
    size_t length = flatten(reply, text, 1);
    if (length < r->expected_length || memcmp(text, r->expected, r->expected_length) != 0 ||
        (r->exact && length != r->expected_length)) {
        bench_die("recorded request %d is answered with \"%s\" instead of \"%s\"", pair->answered,
                  text, r->expected);
    }
    learn(pair, pair->answered, text);
    pair->answered++;
}
