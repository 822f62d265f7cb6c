/* SPDX-License-Identifier: MIT */
/*
 * Sends recorded commands to a server as fast as it takes them, over one
 * connection with many in flight: what that server can do with those scripts,
 * no client in the way.
 *
 *     bench-replay URL FILE IN_FLIGHT SECONDS
 *
 * FILE holds the commands of whole pairs, end to end, as they went over the
 * wire; the first line says how many commands and how many pairs. They are sent
 * round and round. Otherwise as a driver: "ready", a line, one line of JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <hiredis/read.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "redis.h"

typedef struct recording {
    int commands, pairs;
    char *bytes;
    size_t *ends; /* of each command in bytes */
} recording;

/* The length of the RESP array of strings at p. */
static size_t command_length(const char *p)
{
    char *at;
    long words = strtol(p + 1, &at, 10);
    at += 2;
    while (words-- > 0) {
        long length = strtol(at + 1, &at, 10);
        at += 2 + length + 2;
    }
    return (size_t)(at - p);
}

static void load(const char *path, recording *ret_recording)
{
    recording r = {0};
    FILE *file = fopen(path, "rb");
    if (!file || fscanf(file, "%d %d", &r.commands, &r.pairs) != 2 || fgetc(file) != '\n' ||
        r.commands < 1 || r.pairs < 1) {
        bench_die("%s is not a recording", path);
    }
    long start = ftell(file);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)(ftell(file) - start);
    fseek(file, start, SEEK_SET);
    r.bytes = calloc(1, size + 1);
    r.ends = calloc((size_t)r.commands, sizeof *r.ends);
    if (!r.bytes || !r.ends || fread(r.bytes, 1, size, file) != size) bench_die("%s: short", path);
    fclose(file);
    size_t at = 0;
    for (int i = 0; i < r.commands; i++) r.ends[i] = at += command_length(r.bytes + at);
    if (at != size) bench_die("%s: not whole commands", path);
    *ret_recording = r;
}

/* Writes `count` commands from number `from` on, in as few calls as their bytes allow. */
static void send_commands(int fd, const recording *r, int from, int count)
{
    while (count > 0) {
        int until = from + count < r->commands ? from + count : r->commands;
        size_t at = from ? r->ends[from - 1] : 0;
        while (at < r->ends[until - 1]) {
            ssize_t sent = write(fd, r->bytes + at, r->ends[until - 1] - at);
            if (sent <= 0) bench_die("write: %s", strerror(errno));
            at += (size_t)sent;
        }
        count -= until - from;
        from = until % r->commands;
    }
}

/* Reads what has come, at least one reply; returns how many. */
static int receive(int fd, redisReader *reader)
{
    char buffer[65536];
    int replies = 0;
    while (!replies) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got <= 0) bench_die("read: %s", got ? strerror(errno) : "the server hung up");
        if (redisReaderFeed(reader, buffer, (size_t)got)) bench_die("out of memory");
        void *reply; /* its type only: the reader has no functions that make objects */
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
            if ((intptr_t)reply == REDIS_REPLY_ERROR) bench_die("the server refused a command");
            replies++;
        }
        if (reader->err) bench_die("%s", reader->errstr);
    }
    return replies;
}

int main(int argc, char **argv)
{
    if (argc != 5) bench_die("usage: bench-replay URL FILE IN_FLIGHT SECONDS");
    recording r;
    load(argv[2], &r);
    int in_flight_max = (int)strtol(argv[3], NULL, 10);
    int fd = bench_redis_connect(argv[1])->fd;
    redisReader *reader = redisReaderCreateWithFunctions(NULL);
    if (!reader || in_flight_max < 1) bench_die("IN_FLIGHT is positive");

    bench_wait_for_go();
    int64_t start = bench_now_ns(), cpu = bench_cpu_ns();
    int64_t until = start + (int64_t)(strtod(argv[4], NULL) * 1e9);
    int next = 0, in_flight = 0;
    uint64_t answered = 0;
    for (;;) {
        /* Half a window at a time: fewer writes, and the server never runs dry. */
        if (in_flight <= in_flight_max / 2 && bench_now_ns() < until) {
            int count = in_flight_max - in_flight;
            send_commands(fd, &r, next, count);
            next = (next + count) % r.commands;
            in_flight += count;
        }
        if (!in_flight) break;
        int got = receive(fd, reader);
        in_flight -= got;
        answered += (uint64_t)got;
    }
    double seconds = (double)(bench_now_ns() - start) / 1e9;
    double pairs = (double)answered * r.pairs / r.commands;
    printf("{\"driver\": \"replay\", \"workload\": \"replay\", \"seconds\": %.3f, "
           "\"acquired\": %.0f, \"total\": %.0f, \"commands\": %llu, \"client_cpu_us\": %lld}\n",
           seconds, pairs, pairs, (unsigned long long)answered,
           (long long)(bench_cpu_ns() - cpu) / 1000);
    bench_wait_for_end();
    return 0;
}
