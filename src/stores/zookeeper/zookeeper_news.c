/* SPDX-License-Identifier: MIT */
/*
 * Who hears of values. A watch of ZooKeeper says once that something has become of a node. So the
 * node is watched again at each word, and the answer tells by which change it is as it is: what
 * came meanwhile is not missed, and the end of a value is no news.
 */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <stdlib.h>
#include <string.h>

typedef struct news {
    pawl__link in_news;
    pawl__zk_asker asker;
    int64_t until; /* READ asked for news until then */
    bool is_known; /* by which change the node is as it is: that zxid; 0: it is not there */
    int64_t changed;
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
    char path[PAWL__ZK_FULL_MAX + 1];
} news;

static news *news_of(pawl__link *link)
{
    return pawl__container(link, news, in_news);
}

static void drop(pawl_store *store, news *n)
{
    pawl__zk_asker_end(&n->asker);
    pawl__list_remove(&n->in_news);
    store->news_count--;
    free(n);
}

static void on_watched(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl_store *store = call->store;
    news *n = pawl__container(call->asker, news, asker);
    pawl_push push = {.kind = PAWL_PUSH_NEWS, .name = n->name, .name_len = n->name_len};
    int64_t changed = answer->rc == ZOK ? answer->stat->mzxid : 0;
    bool is_news = n->is_known && changed > n->changed && answer->stat->dataLength > 0;
    if (answer->rc != ZOK && answer->rc != ZNONODE) return; /* who reads again asks again */
    n->is_known = true;
    n->changed = changed;
    if (is_news) store->host->push(store->host, &push);
}

static void watch(pawl_store *store, news *n)
{
    if (!pawl__zk_is_up(store)) return;
    pawl__zk_ask(store, &n->asker,
                 &(pawl__zk_question){.kind = PAWL__ZK_WATCH_NODE, .path = n->path}, 0, on_watched);
}

static bool is_over(const pawl_store *store, const news *n)
{
    return n->until <= store->host->now();
}

static news *find(pawl_store *store, const char *path)
{
    for (pawl__link *l = store->news.next; l != &store->news; l = l->next)
        if (strcmp(news_of(l)->path, path) == 0) return news_of(l);
    return NULL;
}

static void drop_those_over(pawl_store *store)
{
    pawl__link *next;
    for (pawl__link *l = store->news.next; l != &store->news; l = next) {
        next = l->next;
        if (is_over(store, news_of(l))) drop(store, news_of(l));
    }
}

pawl_err pawl__zk_news_watch(pawl_store *store, const pawl__zk_op *op)
{
    char path[PAWL__ZK_FULL_MAX + 1];
    pawl__zk_value_path_make(path, store->config.prefix, op->name, op->name_len);
    drop_those_over(store);
    news *n = find(store, path);
    if (!n && store->news_count >= PAWL__ZK_NEWS_MAX) return PAWL_ERR_STORE_FULL;
    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n) return PAWL_ERR_NO_MEMORY;
        pawl__zk_asker_init(&n->asker);
        n->name_len = op->name_len;
        memcpy(n->name, op->name, sizeof n->name);
        memcpy(n->path, path, sizeof n->path);
        pawl__list_append(&store->news, &n->in_news);
        store->news_count++;
        watch(store, n);
    }
    n->until = pawl__instant_add(store->host->now(), pawl__ms_to_ns(op->ttl_ms));
    return PAWL_OK;
}

void pawl__zk_news_heard(pawl_store *store, const char *path)
{
    news *n = find(store, path);
    if (n && is_over(store, n))
        drop(store, n);
    else if (n)
        watch(store, n);
}

void pawl__zk_news_down(pawl_store *store)
{
    for (pawl__link *l = store->news.next; l != &store->news; l = l->next)
        pawl__zk_asker_end(&news_of(l)->asker);
}

void pawl__zk_news_up(pawl_store *store)
{
    drop_those_over(store);
    for (pawl__link *l = store->news.next; l != &store->news; l = l->next) watch(store, news_of(l));
}

void pawl__zk_news_init(pawl_store *store)
{
    pawl__list_init(&store->news);
}

void pawl__zk_news_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->news)) drop(store, news_of(store->news.next));
}
