/* SPDX-License-Identifier: MIT */
/*
 * Values whose time is over. No node ends by itself that belongs to no session, and those of a time
 * to live need a setting of the servers. So a client that has published beside a new name looks at
 * some others now and then, and deletes those that are over. Not while somebody holds the name:
 * with the value its node would forget what was published under that lease.
 */
#define _GNU_SOURCE
#include "zookeeper_written.h"

#include "../../base/random.h"

#include <stdlib.h>

#define LOOKS    16 /* in one sweep */
#define EACH_NS  (60000 * PAWL__NS_PER_MS)
#define IS_VALUE 0 /* what is asked of the first LOOKS; of the next ones: */
#define IS_NAME  LOOKS

typedef struct suspect {
    size_t name_len;
    int32_t version;
    char name[PAWL_NAME_MAX + 1];
} suspect;

typedef struct sweep {
    pawl__zk_asker asker;
    suspect suspects[LOOKS];
} sweep;

static sweep *sweep_of(pawl__zk_call *call)
{
    return pawl__container(call->asker, sweep, asker);
}

void pawl__zk_sweep_end(pawl_store *store)
{
    sweep *s = store->sweep;
    store->sweep = NULL;
    if (s) pawl__zk_asker_end(&s->asker);
    free(s);
}

static void end_if_done(pawl_store *store)
{
    if (((sweep *)store->sweep)->asker.count == 0) pawl__zk_sweep_end(store);
}

/* If anybody publishes meanwhile, the version is another one. */
static void on_name(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    char folder[PAWL__ZK_FOLDER_MAX + 1], path[PAWL__ZK_FULL_MAX + 1];
    pawl_store *store = call->store;
    const suspect *it = &sweep_of(call)->suspects[call->what - IS_NAME];
    bool is_free = answer->rc == ZNONODE || (answer->rc == ZOK && answer->stat->numChildren == 0);
    if (is_free) {
        pawl__zk_values_folder(folder, store->config.prefix);
        pawl__zk_path_make(path, folder, it->name, it->name_len);
        pawl__zk_ask(
            store, &store->errands,
            &(pawl__zk_question){.kind = PAWL__ZK_DELETE, .path = path, .version = it->version}, 0,
            NULL);
    }
    end_if_done(store);
}

static void on_value(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    char path[PAWL__ZK_PATH_MAX + 1];
    pawl_store *store = call->store;
    suspect *it = &sweep_of(call)->suspects[call->what - IS_VALUE];
    if (answer->rc == ZOK && pawl__zk_value_is_garbage(store, answer)) {
        it->version = answer->stat->version;
        pawl__zk_path_make(path, store->config.prefix, it->name, it->name_len);
        pawl__zk_ask(store, call->asker, &(pawl__zk_question){.kind = PAWL__ZK_GET, .path = path},
                     IS_NAME + call->what, on_name);
    }
    end_if_done(store);
}

static void on_names(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    char folder[PAWL__ZK_FOLDER_MAX + 1], path[PAWL__ZK_FULL_MAX + 1];
    pawl_store *store = call->store;
    sweep *s = sweep_of(call);
    size_t count = answer->rc == ZOK ? (size_t)answer->names->count : 0;
    size_t from = count ? pawl__random_next(&store->link.random) % count : 0;
    pawl__zk_values_folder(folder, store->config.prefix);
    for (size_t i = 0; i < count && i < LOOKS; i++) {
        suspect *it = &s->suspects[i];
        const char *child = answer->names->data[(from + i) % count];
        if (!pawl__zk_name_read(child, it->name, &it->name_len)) continue;
        pawl__zk_path_make(path, folder, it->name, it->name_len);
        pawl__zk_ask(store, &s->asker, &(pawl__zk_question){.kind = PAWL__ZK_GET, .path = path},
                     IS_VALUE + (int)i, on_value);
    }
    end_if_done(store);
}

static void on_clock(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    (void)answer;
    end_if_done(call->store);
}

void pawl__zk_sweep(pawl_store *store)
{
    char folder[PAWL__ZK_FOLDER_MAX + 1];
    int64_t now = store->host->now();
    if (store->sweep || now < store->sweep_at || !pawl__zk_is_up(store)) return;
    sweep *s = store->sweep = calloc(1, sizeof *s);
    if (!s) return; /* next time */
    pawl__zk_asker_init(&s->asker);
    store->sweep_at = pawl__instant_add(now, EACH_NS);
    pawl__zk_values_folder(folder, store->config.prefix);
    pawl__zk_look_at_clock(store, &s->asker, 0, on_clock);
    pawl__zk_ask(store, &s->asker, &(pawl__zk_question){.kind = PAWL__ZK_CHILDREN, .path = folder},
                 0, on_names);
}
