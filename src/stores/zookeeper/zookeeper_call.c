/* SPDX-License-Identifier: MIT */
/* Questions to the server, their answers, and what these tell of the leader's clock. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include "../../base/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pawl__zk_turn_soon(pawl_store *store)
{
    event_active(&store->turn, EV_TIMEOUT, 0);
}

void pawl__zk_break(pawl_store *store, pawl_err err, const char *what)
{
    pawl__zk_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    /* It is ours, and it passes: nothing that waits may be given up for it. */
    link->err = err == PAWL_ERR_NO_MEMORY ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(link->message, sizeof link->message, "%s:%d: %s", store->config.servers[0].host,
             store->config.servers[0].port, what);
    pawl__line_mend(link->message);
    pawl__zk_turn_soon(store);
}

bool pawl__zk_is_up(const pawl_store *store)
{
    return store->link.phase == PAWL__ZK_UP && !store->link.broken;
}

/* ---- The leader's clock --------------------------------------------------------------------- */

static int64_t epoch_of(int64_t zxid)
{
    return zxid >> 32;
}

static void note_time(pawl_store *store, int64_t ms, int64_t zxid)
{
    pawl__zk_leader *leader = &store->leader;
    int64_t now = store->host->now();
    if (!leader->is_known || leader->epoch != epoch_of(zxid)) leader->since = now;
    leader->is_known = true;
    leader->is_past = false;
    leader->epoch = epoch_of(zxid);
    leader->ms = ms;
    leader->at = now;
}

/* What we read shows who ruled when it was written. */
static void note_reign(pawl_store *store, const struct Stat *stat)
{
    pawl__zk_leader *leader = &store->leader;
    if (leader->is_known && epoch_of(stat->mzxid) > leader->epoch) leader->is_past = true;
}

int64_t pawl__zk_time_ms(const pawl_store *store)
{
    const pawl__zk_leader *leader = &store->leader;
    if (!leader->is_known) return pawl__zk_wall_us() / 1000;
    return leader->ms + (store->host->now() - leader->at) / PAWL__NS_PER_MS;
}

/* Negative: since when it is over. */
static int64_t rest_ms(const pawl_store *store, const pawl__zk_node *node)
{
    const pawl__zk_leader *leader = &store->leader;
    int64_t by_clock = node->changed_ms + node->life_ms - pawl__zk_time_ms(store);
    if (leader->is_known && epoch_of(node->changed) == leader->epoch) return by_clock;
    /* That we have known another one for long says nothing of what was written after its reign. */
    if (leader->is_known && epoch_of(node->changed) > leader->epoch) return node->life_ms;
    int64_t known_ms = (store->host->now() - leader->since) / PAWL__NS_PER_MS;
    int64_t by_reign = leader->is_known ? node->life_ms - known_ms : node->life_ms;
    int64_t by_skew = by_clock + PAWL__ZK_SKEW_MS;
    return by_reign < by_skew ? by_reign : by_skew;
}

int64_t pawl__zk_left_ms(const pawl_store *store, const pawl__zk_node *node)
{
    int64_t rest = node->ours ? rest_ms(store, node) : -1;
    return node->ours && rest < 0 ? 0 : rest;
}

bool pawl__zk_is_gone(const pawl_store *store, const pawl__zk_node *node)
{
    return node->ours && rest_ms(store, node) <= -PAWL__ZK_LINGER_MS;
}

void pawl__zk_read_stat(pawl__zk_node *node, const struct Stat *stat)
{
    node->created = stat->czxid;
    node->changed = stat->mzxid;
    node->changed_ms = stat->mtime;
    node->session = stat->ephemeralOwner;
    node->version = stat->version;
}

/* ---- Errors --------------------------------------------------------------------------------- */

/* The connection or the session is gone: what was asked may be done. */
static bool is_loss(int rc)
{
    switch (rc) {
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZINVALIDSTATE:
    case ZCLOSING:
    case ZAUTHFAILED:
    case ZSYSTEMERROR:
    case ZMARSHALLINGERROR:
    case ZRUNTIMEINCONSISTENCY:
    case ZDATAINCONSISTENCY:
        return true;
    default:
        return false;
    }
}

pawl_err pawl__zk_err_of(int rc)
{
    switch (rc) {
    case ZNOAUTH:
    case ZINVALIDACL:
        return PAWL_ERR_PERMISSION;
    case ZAUTHFAILED:
    case ZSESSIONCLOSEDREQUIRESASLAUTH:
        return PAWL_ERR_AUTH;
    case ZNOTREADONLY:
        return PAWL_ERR_READONLY;
    case ZTHROTTLEDOP:
        return PAWL_ERR_STORE_BUSY;
    case ZUNIMPLEMENTED:
    case ZEPHEMERALONLOCALSESSION:
        return PAWL_ERR_UNSUPPORTED;
    case ZNOCHILDRENFOREPHEMERALS:
        return PAWL_ERR_WRONG_TYPE;
    default:
        return is_loss(rc) ? PAWL_ERR_UNAVAILABLE : PAWL_ERR_PROTOCOL;
    }
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* Loss is not answered: the link breaks, and all that are asked end with it. Nor is anything else
 * then, because what belongs to it was perhaps not even asked. */
static void end(const void *data, const pawl__zk_answer *answer)
{
    pawl__zk_call *call = (void *)(uintptr_t)data;
    pawl_store *store = call->store;
    if (answer->rc == ZOK && answer->stat && call->kind == PAWL__ZK_CREATE)
        note_time(store, answer->stat->ctime, answer->stat->czxid);
    else if (answer->rc == ZOK && answer->stat && call->kind == PAWL__ZK_SET)
        note_time(store, answer->stat->mtime, answer->stat->mzxid);
    else if (answer->rc == ZOK && answer->stat)
        note_reign(store, answer->stat);
    bool lost = is_loss(answer->rc);
    if (lost && !store->is_closed)
        pawl__zk_break(store, pawl__zk_err_of(answer->rc), zerror(answer->rc));
    if (call->asker) {
        pawl__list_remove(&call->in_asker);
        call->asker->count--;
        if (!store->link.broken && call->answered) call->answered(call, answer);
    }
    free(call);
}

static void on_create(int rc, const char *path, const struct Stat *stat, const void *data)
{
    end(data, &(pawl__zk_answer){.rc = rc, .path = path, .stat = stat});
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    end(data, &(pawl__zk_answer){.rc = rc, .stat = stat});
}

static void on_void(int rc, const void *data)
{
    end(data, &(pawl__zk_answer){.rc = rc});
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data)
{
    end(data, &(pawl__zk_answer){.rc = rc,
                                 .data = len > 0 ? value : NULL,
                                 .data_len = len > 0 ? (size_t)len : 0,
                                 .stat = stat});
}

static void on_names(int rc, const struct String_vector *names, const void *data)
{
    end(data, &(pawl__zk_answer){.rc = rc, .names = names});
}

static void on_synced(int rc, const char *path, const void *data)
{
    (void)path;
    end(data, &(pawl__zk_answer){.rc = rc});
}

/* ---- Questions ------------------------------------------------------------------------------ */

void pawl__zk_asker_init(pawl__zk_asker *asker)
{
    pawl__list_init(&asker->calls);
    asker->count = 0;
}

void pawl__zk_asker_end(pawl__zk_asker *asker)
{
    while (!pawl__list_empty(&asker->calls)) {
        pawl__zk_call *call = pawl__container(asker->calls.next, pawl__zk_call, in_asker);
        pawl__list_remove(&call->in_asker);
        call->asker = NULL;
    }
    asker->count = 0;
}

/* Nodes of who has a login are for that login alone. */
static const struct ACL_vector *rights_of(const pawl_store *store)
{
    return store->config.login[0] ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE;
}

static int set_if(zhandle_t *zh, const pawl__zk_question *q, pawl__zk_call *call)
{
    zoo_op_t ops[2];
    zoo_check_op_init(&ops[0], q->provided, -1);
    zoo_set_op_init(&ops[1], q->path, q->data, (int)q->data_len, q->version, NULL);
    return zoo_amulti(zh, 2, ops, call->results, on_void, call);
}

static int begin(pawl_store *store, const pawl__zk_question *q, pawl__zk_call *call)
{
    zhandle_t *zh = store->handle.zh;
    switch (q->kind) {
    case PAWL__ZK_CREATE:
        return zoo_acreate2(zh, q->path, q->data, (int)q->data_len, rights_of(store), q->mode,
                            on_create, call);
    case PAWL__ZK_SET:
        return zoo_aset(zh, q->path, q->data, (int)q->data_len, q->version, on_stat, call);
    case PAWL__ZK_DELETE:
        return zoo_adelete(zh, q->path, q->version, on_void, call);
    case PAWL__ZK_GET:
        return zoo_aget(zh, q->path, 0, on_data, call);
    case PAWL__ZK_CHILDREN:
        return zoo_aget_children(zh, q->path, 0, on_names, call);
    case PAWL__ZK_WATCH:
        return zoo_awget_children(zh, q->path, pawl__zk_watched, &store->handle, on_names, call);
    case PAWL__ZK_WATCH_DATA:
        return zoo_awget(zh, q->path, pawl__zk_watched, &store->handle, on_data, call);
    case PAWL__ZK_WATCH_NODE:
        return zoo_awexists(zh, q->path, pawl__zk_watched, &store->handle, on_stat, call);
    case PAWL__ZK_SYNC:
        return zoo_async(zh, q->path, on_synced, call);
    case PAWL__ZK_SET_IF:
        return set_if(zh, q, call);
    }
    return ZBADARGUMENTS;
}

void pawl__zk_ask(pawl_store *store, pawl__zk_asker *asker, const pawl__zk_question *question,
                  int what, void (*answered)(pawl__zk_call *call, const pawl__zk_answer *answer))
{
    pawl__zk_call *call = NULL;
    if (store->link.broken || !pawl__zk_is_connected(&store->handle)) {
        pawl__zk_break(store, PAWL_ERR_UNAVAILABLE, "the connection is lost");
        return;
    }
    call = calloc(1, sizeof *call);
    int rc = ZSYSTEMERROR;
    if (call) {
        *call =
            (pawl__zk_call){.store = store, .asker = asker, .kind = question->kind, .what = what};
        call->answered = answered;
        rc = begin(store, question, call);
    }
    if (rc != ZOK) {
        free(call);
        pawl__zk_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return;
    }
    pawl__list_append(&asker->calls, &call->in_asker);
    asker->count++;
}

void pawl__zk_delete(pawl_store *store, const char *parent, const char *child, int32_t version)
{
    char path[PAWL__ZK_FULL_MAX + 1];
    pawl__zk_path_join(path, parent, child);
    if (!pawl__zk_is_up(store)) return;
    pawl__zk_ask(store, &store->errands,
                 &(pawl__zk_question){.kind = PAWL__ZK_DELETE, .path = path, .version = version}, 0,
                 NULL);
}

/* Only a write shows the clock. Its node is apart from those of the locks, which Curator counts. */
void pawl__zk_look_at_clock(pawl_store *store, pawl__zk_asker *asker, int what,
                            void (*answered)(pawl__zk_call *call, const pawl__zk_answer *answer))
{
    const pawl__zk_leader *leader = &store->leader;
    char path[PAWL__ZK_FULL_MAX + 1];
    bool fresh = leader->is_known && !leader->is_past &&
                 store->host->now() - leader->at < pawl__ms_to_ns(PAWL__ZK_CLOCK_MS);
    if (fresh) return;
    snprintf(path, sizeof path, "%s/" PAWL__ZK_OWN_NODES "clock-%s", store->config.prefix,
             store->host->client_id);
    pawl__zk_ask(
        store, asker,
        &(pawl__zk_question){.kind = store->has_clock_node ? PAWL__ZK_SET : PAWL__ZK_CREATE,
                             .path = path,
                             .data = "",
                             .mode = ZOO_EPHEMERAL,
                             .version = -1},
        what, answered);
    store->has_clock_node = true;
}
