/* SPDX-License-Identifier: MIT */
/*
 * Sends recorded requests to a server as fast as it takes them, over one
 * connection with many pairs in flight: what that server can do with those
 * requests, no client in the way.
 *
 *     bench-replay URL FILE IN_FLIGHT SECONDS
 *
 * FILE is a recording (recording.h); its first IN_FLIGHT pairs are sent round and
 * round, each again as soon as its last reply is here. Otherwise as a driver:
 * "ready", a line, one line of JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording.h"
#include "redis.h"

typedef struct replay {
    int fd;
    redisReader *reader;
    char *out; /* what leaves with the next write; room for all requests of all pairs */
    size_t out_length;
    bench_pair **waiting; /* a ring: whose replies come next */
    size_t ring, first, outstanding;
    unsigned turns;
    uint64_t pairs_done, requests_done;
} replay;

/* All requests of the pair that need wait for no reply. */
static void queue_ready(replay *r, bench_pair *pair)
{
    while (pair->sent < pair->count && pair->requests[pair->sent].wait <= pair->answered) {
        const bench_request *request = &pair->requests[pair->sent++];
        memcpy(r->out + r->out_length, request->bytes, request->length);
        r->out_length += request->length;
        r->waiting[(r->first + r->outstanding++) % r->ring] = pair;
    }
}

static void start(replay *r, bench_pair *pair)
{
    bench_pair_restart(pair, ++r->turns);
    queue_ready(r, pair);
}

static void send_queued(replay *r)
{
    for (size_t at = 0; at < r->out_length;) {
        ssize_t sent = write(r->fd, r->out + at, r->out_length - at);
        if (sent <= 0) bench_die("write: %s", strerror(errno));
        at += (size_t)sent;
    }
    r->out_length = 0;
}

static void take(replay *r, const redisReply *reply, bool again)
{
    bench_pair *pair = r->waiting[r->first];
    if (!r->outstanding) bench_die("a reply to no request");
    r->first = (r->first + 1) % r->ring;
    r->outstanding--;
    bench_pair_answer(pair, reply);
    r->requests_done++;
    if (pair->answered < pair->count) {
        queue_ready(r, pair);
        return;
    }
    r->pairs_done++;
    if (again) start(r, pair);
}

/* Reads what has come, and queues what may follow it. */
static void receive(replay *r, bool again)
{
    char buffer[65536];
    ssize_t got = read(r->fd, buffer, sizeof buffer);
    if (got <= 0) bench_die("read: %s", got ? strerror(errno) : "the server hung up");
    if (redisReaderFeed(r->reader, buffer, (size_t)got)) bench_die("out of memory");
    void *reply;
    while (redisReaderGetReply(r->reader, &reply) == REDIS_OK && reply) {
        take(r, reply, again);
        freeReplyObject(reply);
    }
    if (r->reader->err) bench_die("%s", r->reader->errstr);
}

static void prepare(replay *r, const char *url, const bench_pair *pairs, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        r->ring += (size_t)pairs[i].count;
        for (int j = 0; j < pairs[i].count; j++) bytes += pairs[i].requests[j].length;
    }
    r->fd = bench_redis_connect(url)->fd;
    r->reader = redisReaderCreate();
    r->out = malloc(bytes);
    r->waiting = calloc(r->ring, sizeof *r->waiting);
    if (!r->reader || !r->out || !r->waiting) bench_die("out of memory");
}

int main(int argc, char **argv)
{
    if (argc != 5) bench_die("usage: bench-replay URL FILE IN_FLIGHT SECONDS");
    int recorded, in_flight = (int)strtol(argv[3], NULL, 10);
    bench_pair *pairs = bench_recording_load(argv[2], &recorded);
    if (in_flight < 1 || in_flight > recorded) bench_die("IN_FLIGHT is 1 to %d", recorded);
    replay r = {0};
    prepare(&r, argv[1], pairs, in_flight);

    bench_wait_for_go();
    int64_t begun = bench_now_ns(), cpu = bench_cpu_ns();
    int64_t until = begun + (int64_t)(strtod(argv[4], NULL) * 1e9);
    for (int i = 0; i < in_flight; i++) start(&r, &pairs[i]);
    while (r.outstanding) {
        send_queued(&r);
        receive(&r, bench_now_ns() < until);
    }
    double seconds = (double)(bench_now_ns() - begun) / 1e9;
    printf("{\"driver\": \"replay\", \"workload\": \"replay\", \"seconds\": %.3f, "
           "\"acquired\": %llu, \"total\": %llu, \"commands\": %llu, \"client_cpu_us\": %lld}\n",
           seconds, (unsigned long long)r.pairs_done, (unsigned long long)r.pairs_done,
           (unsigned long long)r.requests_done, (long long)(bench_cpu_ns() - cpu) / 1000);
    bench_wait_for_end();
    return 0;
}
