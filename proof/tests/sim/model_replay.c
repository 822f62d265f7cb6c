/* SPDX-License-Identifier: MIT */
/*
 * The simulator's model of Redis, driven by lines, so that a test can ask the same of a
 * real server:
 *
 *   NOW_US SCRIPT KEY ARG...   a script of src/stores/redis/scripts at that instant
 *   evict KEY SUFFIX           one of the keys of a name is gone: l, f, q or w; or a: the guard's
 *                              record is of another run
 *   process RUN UPTIME_S WAS_REPLICA   what INFO says of the server
 *   hears CHANNEL              the channel has a subscriber from now on
 *   unsubscribe CHANNEL
 *
 * Answers with a line per message published ("! CHANNEL PAYLOAD") and one with the
 * reply's items. An empty argument is written "-", a blank in one as a tab.
 */
#define _POSIX_C_SOURCE 200809L /* strtok_r */
#include "../../sim/model_redis.h"

#include "../../../src/stores/redis/redis_scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX    16
#define CHANNELS_MAX 16

static char heard[CHANNELS_MAX][MODEL_INBOX_MAX];

static char *channel(const char *name)
{
    for (int i = 0; i < CHANNELS_MAX; i++)
        if (strcmp(heard[i], name) == 0) return heard[i];
    return NULL;
}

static void publish(void *ctx, const char *name, const char *payload)
{
    (void)ctx;
    printf("! %s %s\n", name, payload);
}

static int subscribed(void *ctx, const char *name)
{
    (void)ctx;
    return channel(name) != NULL;
}

static int script_of(const char *word)
{
    static const char *const names[PAWL__REDIS_SCRIPTS] = {
        [PAWL__REDIS_ACQUIRE] = "acquire",
        [PAWL__REDIS_RENEW] = "renew",
        [PAWL__REDIS_RELEASE] = "release",
        [PAWL__REDIS_INSPECT] = "inspect",
        [PAWL__REDIS_BREAK] = "break",
        [PAWL__REDIS_ACQUIRE_MANY] = "acquire_many",
        [PAWL__REDIS_CHANGE] = "change",
        [PAWL__REDIS_PUBLISH] = "publish",
        [PAWL__REDIS_READ] = "read",
        [PAWL__REDIS_GUARD] = "guard",
        [PAWL__REDIS_ACQUIRE_GUARDED] = "acquire_guarded",
        [PAWL__REDIS_RENEW_GUARDED] = "renew_guarded",
        [PAWL__REDIS_RELEASE_GUARDED] = "release_guarded",
        [PAWL__REDIS_BREAK_GUARDED] = "break_guarded",
        [PAWL__REDIS_ACQUIRE_MANY_GUARDED] = "acquire_many_guarded",
        [PAWL__REDIS_CHANGE_GUARDED] = "change_guarded"};
    for (int i = 0; i < PAWL__REDIS_SCRIPTS; i++)
        if (names[i] && strcmp(word, names[i]) == 0) return i;
    fprintf(stderr, "no script %s\n", word);
    exit(1);
}

static void run(model_redis *redis, char **words, size_t count)
{
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX] = {{"EVALSHA", 7}};
    model_reply reply;
    size_t argc = 1;
    argv[argc++] = (pawl__redis_bytes){pawl__redis_scripts[script_of(words[1])].sha1, 40};
    argv[argc++] = (pawl__redis_bytes){"4", 1};
    for (int i = 0; i < 4; i++) argv[argc++] = (pawl__redis_bytes){words[2], strlen(words[2])};
    for (size_t i = 3; i < count; i++) {
        for (char *tab = words[i]; (tab = strchr(tab, '\t')) != NULL;) *tab = ' ';
        argv[argc++] = strcmp(words[i], "-") == 0 ? (pawl__redis_bytes){"", 0}
                                                  : (pawl__redis_bytes){words[i], strlen(words[i])};
    }
    model_redis_command(redis, strtoll(words[0], NULL, 10), argv, argc, &reply);
    if (reply.value.type == PAWL__REDIS_INTEGER) {
        printf("%" PRId64 "\n", reply.value.integer);
        return;
    }
    if (reply.value.type != PAWL__REDIS_ARRAY) {
        printf("%s\n", reply.value.text.data);
        return;
    }
    for (size_t i = 0; i < reply.value.count; i++) {
        const pawl__redis_value *item = &reply.value.items[i];
        if (item->type == PAWL__REDIS_INTEGER)
            printf("%s%" PRId64, i ? " " : "", item->integer);
        else
            printf("%s%s", i ? " " : "", item->text.len ? item->text.data : "-");
    }
    printf("\n");
}

/* What INFO says of the server. */
static void be_process(model_redis *redis, char **words)
{
    snprintf(redis->process.run, sizeof redis->process.run, "%s", words[1]);
    redis->process.uptime_s = strtoll(words[2], NULL, 10);
    redis->process.was_replica = strcmp(words[3], "1") == 0;
}

static void evict(model_redis *redis, const char *key, char which)
{
    if (which == 'a') snprintf(redis->guard.run, sizeof redis->guard.run, "another");
    model_lock *lock = model_redis_find(redis, key, strlen(key));
    if (!lock) return;
    if (which == 'l') lock->held = false;
    if (which == 'f') lock->recorded = false;
    if (which == 'q') lock->place_count = 0;
    if (which == 'w') lock->waiter_count = 0;
}

int main(void)
{
    model_redis redis;
    char line[2048], *words[WORDS_MAX], *rest;
    model_redis_init(&redis);
    redis.publish = publish;
    redis.subscribed = subscribed;
    redis.scripts_known = ~0u;
    while (fgets(line, sizeof line, stdin)) {
        size_t count = 0;
        for (char *w = strtok_r(line, " \n", &rest); w && count < WORDS_MAX;
             w = strtok_r(NULL, " \n", &rest))
            words[count++] = w;
        if (count == 2 && strcmp(words[0], "hears") == 0)
            snprintf(channel(""), MODEL_INBOX_MAX, "%s", words[1]);
        else if (count == 2 && channel(words[1]))
            channel(words[1])[0] = '\0';
        else if (count == 3 && strcmp(words[0], "evict") == 0)
            evict(&redis, words[1], words[2][0]);
        else if (count == 4 && strcmp(words[0], "process") == 0)
            be_process(&redis, words);
        else if (count > 2)
            run(&redis, words, count);
        fflush(stdout);
    }
    model_redis_done(&redis);
    return 0;
}
