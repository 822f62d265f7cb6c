/* SPDX-License-Identifier: MIT */
/*
 * The value beside a name (rule 12): only a holder writes it, with the fence of its lease; it is
 * read as it was written last; an older word never replaces a newer one of the same lease; who
 * watches is told; and a writer is told the truth.
 */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static seen_value *value_of(sim *s, const sim_message *m)
{
    const char *key = m->argv[3].data + strlen(PAWL__REDIS_PREFIX_DEFAULT);
    for (int i = 0; i < s->config.names; i++)
        if (strcmp(key, sim_names[i]) == 0) return &s->seen.names[i].value;
    return NULL;
}

static void copy_arg(char *ret_text, size_t room, const pawl__redis_bytes *arg)
{
    size_t len = arg->len < room - 1 ? arg->len : room - 1;
    memcpy(ret_text, arg->data, len);
    ret_text[len] = '\0';
}

/* Whether it is among the holders; how the model's PUBLISH finds that is its own affair. */
static bool holds(const sim *s, const model_lock *lock, const char *token, uint64_t *ret_fence)
{
    model_hold hold;
    int64_t now_ms = sim_server_now_us(s) / 1000;
    for (size_t at = 0; model_next_hold(lock, now_ms, &at, &hold);) {
        *ret_fence = hold.fence;
        if (strcmp(hold.token, token) == 0) return true;
    }
    return false;
}

/* "TOKEN SERIAL" */
static int64_t serial_of(const char *text)
{
    const char *blank = strchr(text, ' ');
    return blank ? strtoll(blank, NULL, 10) : 0;
}

static void check_watchers(sim *s, const seen_value *value)
{
    int64_t now_ms = sim_server_now_us(s) / 1000;
    for (int i = 0; i < value->watcher_count; i++)
        if (value->watchers[i].till_ms > now_ms && !value->watchers[i].told)
            sim_fail(s, "value", "who watches at %s is not told of a value",
                     value->watchers[i].inbox);
}

/* The store has seen its number, or a larger one: it stays as it is. */
static void came_late(sim *s, const char *text, const seen_token *token, const model_lock *lock,
                      seen_value *value)
{
    SIM_REACHED(s, published_late);
    if (token->counted < serial_of(text)) { /* the store may have forgotten that */
        value->is_known = false;
        return;
    }
    const char *now = lock->value.bytes; /* NULL: it has run out, or was thrown out */
    if (now && strcmp(value->text, text) != 0 && strcmp(now, text) == 0)
        sim_fail(s, "late-value", "\"%s\" came late, and replaces \"%s\"", text, value->text);
}

static void published(sim *s, const sim_message *m, seen_value *value)
{
    const pawl__redis_bytes *args = check_args(m);
    char token[PAWL_TOKEN_LEN + 1], text[SEEN_VALUE_MAX], life[24];
    copy_arg(token, sizeof token, &args[0]);
    copy_arg(life, sizeof life, &args[1]);
    copy_arg(text, sizeof text, &args[2]);
    const model_lock *lock = model_redis_find(&s->server.model, m->argv[3].data, m->argv[3].len);
    uint64_t fence = 0;
    bool held = lock && holds(s, lock, token, &fence);
    bool done = model_reply_says(&m->reply) == PAWL__REDIS_SAYS_CONFIRMED;
    if (held != done)
        sim_fail(s, "value", "token %d %s, and its value is %s", m->token,
                 held ? "holds" : "does not hold", done ? "taken" : "refused");
    if (!done) return;
    seen_token *writer = &s->seen.tokens[m->token];
    if (serial_of(text) <= writer->published) {
        came_late(s, text, writer, lock, value);
        return;
    }
    check_watchers(s, value);
    value->is_set = value->is_known = true;
    value->fence = fence;
    value->till_ms = sim_server_now_us(s) / 1000 + strtoll(life, NULL, 10);
    snprintf(value->text, sizeof value->text, "%s", text);
    writer->published = writer->counted = serial_of(text);
}

static void note_watcher(sim *s, const sim_message *m, seen_value *value)
{
    char inbox[MODEL_INBOX_MAX], span[24];
    copy_arg(inbox, sizeof inbox, &check_args(m)[0]);
    copy_arg(span, sizeof span, &check_args(m)[1]);
    if (!inbox[0]) return;
    int at = 0;
    while (at < value->watcher_count && strcmp(value->watchers[at].inbox, inbox) != 0) at++;
    if (at == SEEN_WATCHERS_MAX) at = 0;
    if (at == value->watcher_count) value->watcher_count++;
    seen_watcher *mine = &value->watchers[at];
    mine->till_ms = sim_server_now_us(s) / 1000 + strtoll(span, NULL, 10);
    snprintf(mine->inbox, sizeof mine->inbox, "%s", inbox);
}

static void was_read(sim *s, const sim_message *m, seen_value *value)
{
    const pawl__redis_value *reply = &m->reply.value;
    if (reply->type != PAWL__REDIS_ARRAY || reply->count < 6) return;
    const char *text = reply->items[5].text.data;
    uint64_t fence = (uint64_t)reply->items[2].integer;
    bool there = value->is_set && value->till_ms > sim_server_now_us(s) / 1000;
    if (value->is_known && strcmp(text, there ? value->text : "") != 0)
        sim_fail(s, "value", "\"%s\" is read, and \"%s\" was published last", text,
                 there ? value->text : "");
    if (value->is_known && fence != (there ? value->fence : 0))
        sim_fail(s, "value", "a value has fence %" PRIu64 ", its writer had %" PRIu64, fence,
                 value->fence);
    note_watcher(s, m, value);
}

void check_value_arrives(sim *s, const sim_message *m)
{
    if (m->verb != PAWL_VERB_PUBLISH || m->argc < 4) return;
    seen_value *value = value_of(s, m);
    for (int i = 0; value && i < value->watcher_count; i++) value->watchers[i].told = false;
}

void check_value_executed(sim *s, const sim_message *m)
{
    if ((m->verb != PAWL_VERB_PUBLISH && m->verb != PAWL_VERB_READ) || m->argc < 4) return;
    seen_value *value = value_of(s, m);
    if (!value || model_reply_says(&m->reply) < 0) return;
    if (m->verb == PAWL_VERB_READ)
        was_read(s, m, value);
    else if (m->token >= 0)
        published(s, m, value);
}

void check_news(sim *s, const char *inbox)
{
    for (int n = 0; n < s->config.names; n++) {
        seen_value *value = &s->seen.names[n].value;
        for (int i = 0; i < value->watcher_count; i++)
            if (strcmp(value->watchers[i].inbox, inbox) == 0) value->watchers[i].told = true;
    }
}

/* Law 4: what is called done was done, and what is called refused was not. */
void check_speech_told(sim *s, const char *text, pawl_outcome outcome, bool doubt)
{
    const seen_token *token = &s->seen.tokens[strtol(text, NULL, 10)];
    bool done = token->published >= serial_of(text);
    if (outcome == PAWL_CONFIRMED && !done)
        sim_fail(s, "value", "\"%s\" is called published, and never was", text);
    if ((outcome == PAWL_NOT_OWNER || outcome == PAWL_FAILED) && done && !doubt)
        sim_fail(s, "value", "\"%s\" is called refused, and was published", text);
}

void check_numbers_lost(sim *s)
{
    for (size_t i = 0; i < s->seen.token_count; i++) s->seen.tokens[i].counted = 0;
}

void check_values_lost(sim *s, int name)
{
    check_numbers_lost(s);
    for (int i = 0; i < s->config.names; i++)
        if (name < 0 || name == i) s->seen.names[i].value = (seen_value){0};
}
