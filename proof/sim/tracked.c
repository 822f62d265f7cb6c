/* SPDX-License-Identifier: MIT */
/*
 * What the server tells of keys between two commands of a client: CLIENT TRACKING ON OPTIN, CLIENT
 * CACHING YES, GET. As in Redis, each change of a key ends its tracking, whoever made it; and a
 * key that ran out is told when somebody comes upon it.
 */
#include "sim.h"

#include <string.h>

static bool is_word(const pawl__redis_bytes *arg, const char *word)
{
    return arg->len == strlen(word) && memcmp(arg->data, word, arg->len) == 0;
}

static int name_of(const sim *s, const char *key, size_t len)
{
    const size_t prefix = strlen(PAWL__REDIS_PREFIX_DEFAULT);
    for (int i = 0; i < s->config.names; i++)
        if (len == prefix + strlen(sim_names[i]) &&
            memcmp(key + prefix, sim_names[i], len - prefix) == 0)
            return i;
    return -1;
}

/* ---- What a client asks for ----------------------------------------------------------- */

static void say_ok(model_reply *reply)
{
    memcpy(reply->text, "OK", 3);
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_STATUS, .text = {reply->text, 2}};
}

static void client_command(sim *s, sim_message *m)
{
    sim_session *session = sim_session_find(s, m->session);
    say_ok(&m->reply);
    if (!session) return;
    if (is_word(&m->argv[1], "CACHING")) {
        session->next_read_counts = true;
        return;
    }
    session->tracks = true;
    for (size_t i = 2; i < m->argc; i++)
        if (is_word(&m->argv[i], "NOLOOP")) session->no_loop = true;
}

static void read_key(sim *s, sim_message *m)
{
    sim_session *session = sim_session_find(s, m->session);
    int name = name_of(s, m->argv[1].data, m->argv[1].len);
    model_redis_command(&s->server.model, sim_server_now_us(s), m->argv, m->argc, &m->reply);
    if (!session || name < 0) return;
    if (m->reply.value.type == PAWL__REDIS_NIL) SIM_REACHED(s, key_changed_before);
    if (session->tracks && session->next_read_counts) session->tracked |= 1u << name;
    session->next_read_counts = false;
}

bool sim_tracked_command(sim *s, sim_message *m)
{
    if (is_word(&m->argv[0], "CLIENT"))
        client_command(s, m);
    else if (is_word(&m->argv[0], "GET"))
        read_key(s, m);
    else
        return false;
    return true;
}

/* ---- What it is told of ---------------------------------------------------------------- */

static uint64_t add(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15) + (sum >> 31);
}

static uint64_t add_text(uint64_t sum, const char *text)
{
    while (*text) sum = add(sum, (unsigned char)*text++);
    return sum;
}

/* Of the lock key alone: value and expiry; 0: it is not there. */
static uint64_t sum_of(const model_lock *lock)
{
    if (!lock->held) return 0;
    uint64_t sum = add_text(add(1, (uint64_t)lock->held_until), lock->token);
    if (!lock->several) return sum;
    sum = add(add(sum, (uint64_t)lock->group.many), (uint64_t)lock->group.capacity);
    sum = add(add(sum, (uint64_t)lock->group.upgrade), lock->group.slots);
    return add_text(sum, lock->group.updater);
}

static const model_lock *lock_of(const sim *s, int name)
{
    const model_redis *model = &s->server.model;
    for (size_t i = 0; i < model->count; i++)
        if (name_of(s, model->locks[i].key, strlen(model->locks[i].key)) == name)
            return &model->locks[i];
    return NULL;
}

void sim_tracked_before(sim *s)
{
    if (!s->config.watch) return;
    for (int i = 0; i < s->config.names; i++) {
        const model_lock *lock = lock_of(s, i);
        s->server.key_sums[i] = lock ? sum_of(lock) : 0;
    }
}

static void invalidate(sim *s, const sim_session *session, const char *key)
{
    sim_message *m = sim_message_new(s, SIM_WORD_PUSH);
    model_reply *reply = &m->reply;
    size_t len = strlen(key);
    memcpy(reply->text, "invalidate", sizeof "invalidate");
    memcpy(reply->text + 16, key, len + 1);
    reply->items[0] =
        (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {reply->text, strlen(reply->text)}};
    reply->items[1] =
        (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = &reply->items[2], .count = 1};
    reply->items[2] =
        (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {reply->text + 16, len}};
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_PUSH, .items = reply->items, .count = 2};
    SIM_NOTE(s, -1, "tells client %d that \"%s\" has changed", session->conn, key);
    SIM_REACHED(s, key_invalidated);
    sim_send_down(s, session->conn, session->epoch, m);
}

/* by: who changed it; NULL: somebody else. */
static void changed(sim *s, int name, const char *key, const sim_session *by)
{
    for (int i = 0; i < sim_session_count(s); i++) {
        sim_session *session = &s->sessions[i];
        if (!session->alive || !(session->tracked & 1u << name)) continue;
        session->tracked &= ~(1u << name);
        if (session == by && session->no_loop) continue;
        invalidate(s, session, key);
    }
}

void sim_tracked_after(sim *s, const sim_message *m)
{
    if (!s->config.watch) return;
    const sim_session *by = m ? sim_session_find(s, m->session) : NULL;
    for (int i = 0; i < s->config.names; i++) {
        const model_lock *lock = lock_of(s, i);
        if (lock && sum_of(lock) != s->server.key_sums[i]) changed(s, i, lock->key, by);
    }
}

void sim_tracked_delete(sim *s, model_lock *lock, int name)
{
    sim_tracked_before(s);
    model_lock_expire(lock, sim_server_now_us(s) / 1000);
    seen_deleted(s, lock);
    seen_broken(s, name);
    lock->held = false;
    sim_tracked_after(s, NULL);
}
