/* SPDX-License-Identifier: MIT */
/*
 * The link: one connection, for commands and for the inbox.
 *
 *   HELLO 3 [AUTH] SETNAME  [SELECT]  SUBSCRIBE  probe.lua  guard.lua  [CLUSTER INFO]
 *
 * All of that leaves at once, but for the last: only a node of a cluster is asked. In RESP3 answers
 * and pushes come in one order, and a push is known for one. A subscription that succeeds is
 * confirmed by a push, one that fails is answered in order; so SUBSCRIBE is under way like any
 * command, and ended by whichever of both comes.
 *
 * The probe asks whether every command is permitted and sends a word to our own inbox. The link
 * is up when the word has arrived: so pushes work. It is up as well for a user who may not lock,
 * but run what INSPECT runs: then every other request is refused, and the refusal names the rules
 * that are missing.
 */
#include "redis_link.h"
#include "redis_scripts.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/mutant.h"
#include "../../base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

static void arm(pawl_store *store, int64_t delay_ms)
{
    store->wire->set_timer(store, PAWL__REDIS_TIMER_LINK, delay_ms * 1000);
}

/* ---- Loss ------------------------------------------------------------------------------- */

static void wait_for_next_attempt(pawl_store *store, bool was_up)
{
    pawl__redis_linkage *link = &store->link;
    if (was_up) pawl__retry_lost(&link->retry, store->host->now() - link->up_since);
    arm(store, pawl__retry_pause(&link->retry, link->err, &link->random));
    if (pawl__retry_is_news(&link->retry, was_up, link->err, link->message))
        store->host->link(store->host, false, link->err, link->message);
}

static void try_address(pawl_store *store);

static void note_refusal(pawl__redis_linkage *link)
{
    if (link->refused_err || !pawl__retry_is_refusal(link->err)) return;
    link->refused_err = link->err;
    memcpy(link->refused_message, link->message, sizeof link->refused_message);
}

/* A refusal of one address says more than another address at which nobody listens. */
static void recall_refusal(pawl__redis_linkage *link)
{
    if (!link->refused_err) return;
    link->err = link->refused_err;
    memcpy(link->message, link->refused_message, sizeof link->message);
}

/* Another address of the same name may lead to the right server. */
static bool has_more_addresses(const pawl__redis_linkage *link)
{
    return link->address_at + 1 < link->address_count;
}

static void tear_down(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    bool was_up = link->state == PAWL__REDIS_LINK_UP;
    uint64_t written = PAWL_MUTANT(left_is_failed) ? 0 : store->wire->written(store);
    link->state = PAWL__REDIS_LINK_WAITING;
    store->wire->close(store);
    pawl__redis_abandon(store, written);
    link->broken = false;
    link->login.refused = PAWL_OK;

    if (!was_up) {
        note_refusal(link);
        if (has_more_addresses(link)) {
            link->address_at++;
            try_address(store);
            return;
        }
        recall_refusal(link);
    }
    wait_for_next_attempt(store, was_up);
}

void pawl__redis_turn(pawl_store *store)
{
    pawl__redis_give_refusals(store); /* before the host hears of it */
    if (store->link.broken) tear_down(store);
    pawl__redis_give_refusals(store);
}

/* ---- Greeting ------------------------------------------------------------------------------ */

typedef struct greeting {
    pawl__redis_pending pending;
    const char *command;
} greeting;

static void greeting_lost(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                          pawl_err err, const char *message)
{
    (void)store, (void)maybe_done, (void)err, (void)message; /* the link tells it */
    free(pawl__container(pending, greeting, pending));
}

static void greeting_drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, greeting, pending));
}

/* An old server and a proxy without RESP3 use different words, but the advice is the same. */
static void refuse_hello(pawl_store *store, const char *said)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message,
             "%.200s: no RESP3 (HELLO 3) here; pawl needs Redis 6.0 or newer, and no proxy that "
             "lacks it (it says \"%.90s\")",
             store->space.where, said);
    pawl__redis_link_break(store, PAWL_ERR_UNSUPPORTED, message);
}

/* Locking is refused with this message from now on; the probe finds out whether looking is. */
static void only_look(pawl_store *store, const char *message)
{
    pawl__redis_linkage *link = &store->link;
    link->looks_only = true;
    snprintf(link->lacks, sizeof link->lacks, "%s", message);
    pawl__line_mend(link->lacks); /* it may quote the server */
}

void pawl__redis_refuse_locking(pawl_store *store, uint64_t id)
{
    pawl__redis_linkage *link = &store->link;
    int64_t span = store->host->now() - link->up_since;
    pawl__redis_refuse(store, id, PAWL_ERR_PERMISSION);
    if (span < PAWL__RETRY_MAX_MS * PAWL__NS_PER_MS) return;
    if (store->under_way_count > 0) return; /* it would cut off an INSPECT: tried again later */
    pawl__redis_link_break(store, PAWL_ERR_PERMISSION, link->lacks);
}

static void ask_who_it_is(pawl_store *store, const char *message);

static void refused(pawl_store *store, const char *command, pawl__redis_bytes error)
{
    char message[PAWL_MESSAGE_MAX], room[PAWL_MESSAGE_MAX];
    bool is_hello = strcmp(command, "HELLO") == 0;
    pawl__redis_trouble trouble =
        pawl__redis_explain(&store->space, command, NULL, NULL, error, message);
    if (is_hello) { /* the text decides the error, and is shown without the password */
        error = pawl__redis_login_censor(store, error, room);
        (void)pawl__redis_explain(&store->space, command, NULL, NULL, error, message);
    }
    if (trouble.err == PAWL_ERR_UNSUPPORTED && is_hello)
        refuse_hello(store, error.data);
    else if (trouble.err == PAWL_ERR_AUTH && is_hello)
        ask_who_it_is(store, message);
    else if (trouble.err == PAWL_ERR_PERMISSION && strcmp(command, "SUBSCRIBE") == 0)
        only_look(store, message);
    else
        pawl__redis_link_break(store, trouble.err, message);
}

static void not_resp3(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message,
             "%.300s: the answers are not in RESP3, although the server agreed to it; is something "
             "between pawl and Redis that changes them?",
             store->space.where);
    pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
}

static void no_memory(pawl_store *store)
{
    pawl__redis_link_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void look_at_the_role(pawl_store *store, const pawl__redis_value *hello);

/* The answer to the next command of the greeting. */
static void greeted(pawl_store *store, pawl__redis_pending *pending, const pawl__redis_value *value)
{
    greeting *g = pawl__container(pending, greeting, pending);
    const char *command = g->command;
    free(g);
    if (store->link.login.refused) return;
    if (value->type == PAWL__REDIS_ERROR)
        refused(store, command, value->text);
    else if (strcmp(command, "HELLO") == 0)
        look_at_the_role(store, value);
    else if (strcmp(command, "SUBSCRIBE") == 0) /* its success is no answer */
        not_resp3(store);
}

static void greet(pawl_store *store, const pawl__redis_bytes *argv, size_t argc,
                  void (*answered)(pawl_store *, pawl__redis_pending *, const pawl__redis_value *))
{
    greeting *g = malloc(sizeof *g);
    if (g) {
        *g = (greeting){.pending = {.answer_by = PAWL__NEVER,
                                    .answered = answered,
                                    .unanswered = greeting_lost,
                                    .drop = greeting_drop},
                        .command = argv[0].data};
        if (pawl__redis_send(store, argv, argc, &g->pending)) return;
        free(g);
    }
    no_memory(store);
}

static void maybe_up(pawl_store *store);

static void told_of_the_cluster(pawl_store *store, pawl__redis_pending *pending,
                                const pawl__redis_value *value)
{
    char message[PAWL_MESSAGE_MAX];
    free(pawl__container(pending, greeting, pending));
    pawl_err err = pawl__redis_login_look_at_cluster(store, value, message);
    if (err)
        pawl__redis_link_break(store, err, message);
    else
        maybe_up(store);
}

static void look_at_the_role(pawl_store *store, const pawl__redis_value *hello)
{
    const pawl__redis_bytes words[] = {text("CLUSTER"), text("INFO")};
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = pawl__redis_login_look(store, hello, message);
    pawl__redis_watch_begin(store, pawl__redis_login_told(hello, "version"));
    if (err)
        pawl__redis_link_break(store, err, message);
    else if (store->link.login.cluster == PAWL__REDIS_CLUSTER_ASKED)
        greet(store, words, 2, told_of_the_cluster);
}

/* HELLO without login has its answer. */
static void told_who_it_is(pawl_store *store, pawl__redis_pending *pending,
                           const pawl__redis_value *value)
{
    char message[PAWL_MESSAGE_MAX] = "";
    free(pawl__container(pending, greeting, pending));
    pawl_err err = pawl__redis_login_look(store, value, message);
    if (err == PAWL_ERR_UNSUPPORTED) store->link.login.refused = PAWL_OK; /* this error says more */
    pawl__redis_link_break(store, err, message);
}

/* Without RESP3 a connection that has subscribed takes no other command. */
static void ask_who_it_is(pawl_store *store, const char *message)
{
    const pawl__redis_bytes unsubscribe[] = {text("UNSUBSCRIBE")};
    const pawl__redis_bytes hello[] = {text("HELLO"), text("3")};
    if (pawl__redis_login_refused(store, PAWL_ERR_AUTH, message)) {
        greet(store, unsubscribe, 1, greeted);
        greet(store, hello, 2, told_who_it_is);
    } else {
        pawl__redis_link_break(store, PAWL_ERR_AUTH, message);
    }
}

static void probe(pawl_store *store, bool by_hash);

static void begin_greeting(pawl_store *store)
{
    char db[16];
    snprintf(db, sizeof db, "%d", store->config.db);
    pawl__redis_bytes select[] = {text("SELECT"), text(db)};
    pawl__redis_bytes subscribe[] = {text("SUBSCRIBE"),
                                     {store->space.inbox, store->space.inbox_len}};
    pawl__redis_hello hello;
    pawl__redis_login_begin(store);
    pawl__redis_login_encode(store, &hello);
    greet(store, hello.argv, hello.argc, greeted);
    if (store->config.db != 0) greet(store, select, 2, greeted);
    greet(store, subscribe, 2, greeted);
    probe(store, true);
    if (!pawl__redis_guard_is_off(store)) pawl__redis_ask_guard(store, true, 0);
    store->wire->flush(store);
}

/* ---- The probe ------------------------------------------------------------------------------- */

/* Warns once for each client: whoever is between it and the server can change everything. */
static void warn_of_no_verification(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    if (!store->config.tls_unverified || store->link.warned) return;
    store->link.warned = true;
    snprintf(message, sizeof message,
             "%.300s: tls_verify=none: the server's certificate is not verified; name its "
             "authority with tls_ca= instead",
             store->space.where);
    store->host->warn(store->host, message);
}

static void maybe_up(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (link->broken || !link->permitted || !link->heard || !store->guard.known) return;
    if (link->login.cluster == PAWL__REDIS_CLUSTER_ASKED) return;
    link->state = PAWL__REDIS_LINK_UP;
    link->up_since = store->host->now();
    pawl__retry_up(&link->retry);
    store->wire->set_timer(store, PAWL__REDIS_TIMER_LINK, PAWL__REDIS_NO_TIMER);
    warn_of_no_verification(store);
    pawl__redis_login_up(store);
    pawl__redis_guard_up(store);
    store->host->link(store->host, true, PAWL_OK, "");
}

static void greeted_more(pawl_store *store)
{
    if (store->link.state == PAWL__REDIS_LINK_GREETING) maybe_up(store);
}

/* What inspect.lua runs. */
static bool is_for_looking(const char *command)
{
    static const char *const such[] = {"get", "pttl", "time", "zcard", "zrange", "hmget"};
    for (size_t i = 0; i < sizeof such / sizeof such[0]; i++)
        if (strcmp(command, such[i]) == 0) return true;
    return false;
}

/* Whether nothing that the probe missed is needed for INSPECT. */
static bool may_look(const pawl__redis_value *value)
{
    for (size_t i = 1; i < value->count; i++) {
        if (value->items[i].type != PAWL__REDIS_STRING) return false;
        const char *command = value->items[i].text.data;
        if (command[0] == '?' || is_for_looking(command)) return false;
    }
    return true;
}

/* Two commands with other keys need one rule. */
static bool is_named_before(const pawl__redis_value *value, size_t i)
{
    for (size_t k = 1; k < i; k++)
        if (value->items[k].type == PAWL__REDIS_STRING &&
            strcmp(value->items[k].text.data, value->items[i].text.data) == 0)
            return true;
    return false;
}

static void name_what_is_missing(pawl_store *store, const pawl__redis_value *value)
{
    char rules[PAWL_MESSAGE_MAX / 2] = "", message[PAWL_MESSAGE_MAX];
    bool unknown = false;
    size_t n = 0;
    for (size_t i = 1; i < value->count && n < sizeof rules; i++) {
        const pawl__redis_bytes command = value->items[i].text;
        if (value->items[i].type != PAWL__REDIS_STRING || is_named_before(value, i)) continue;
        bool lacks = command.data[0] == '?';
        if (i > 1 && lacks != unknown) continue; /* one kind of error is enough */
        unknown = lacks;
        n += (size_t)snprintf(rules + n, sizeof rules - n, " %s%s", lacks ? "" : "+",
                              command.data + lacks);
    }
    if (store->link.looks_only && n < sizeof rules) /* the inbox was refused before */
        snprintf(rules + n, sizeof rules - n, " +subscribe &%s%s*", store->space.prefix,
                 PAWL__REDIS_INBOX_WORD);
    snprintf(message, sizeof message, "%.120s: %s%s", store->space.where,
             unknown ? "the server lacks commands, or they were renamed:"
                     : "the user lacks permissions; add the ACL rules",
             rules);
    if (may_look(value))
        only_look(store, message);
    else
        pawl__redis_link_break(store, unknown ? PAWL_ERR_UNSUPPORTED : PAWL_ERR_PERMISSION,
                               message);
}

static void hears_nothing(pawl_store *store, pawl_err err)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message,
             "%.200s: a message to our own inbox did not arrive: is something between pawl and "
             "Redis that sends commands to several servers, or keeps pushes back?",
             store->space.where);
    pawl__redis_link_break(store, err, message);
}

static void probed(pawl_store *store, pawl__redis_pending *pending, const pawl__redis_value *value)
{
    char message[PAWL_MESSAGE_MAX];
    const char *script = pawl__redis_scripts[PAWL__REDIS_PROBE].body;
    free(pawl__container(pending, greeting, pending));
    if (store->link.login.refused) return;
    if (value->type == PAWL__REDIS_ERROR) {
        pawl__redis_trouble trouble =
            pawl__redis_explain(&store->space, "EVAL", NULL, script, value->text, message);
        if (trouble.no_script)
            probe(store, false);
        else
            refused(store, "EVAL", value->text);
        return;
    }
    if (value->type != PAWL__REDIS_ARRAY || value->count == 0 ||
        value->items[0].type != PAWL__REDIS_INTEGER) {
        snprintf(message, sizeof message, "%.300s: the answer to a script is not what it returns",
                 store->space.where);
        pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
        return;
    }
    if (value->count > 1) name_what_is_missing(store, value);
    if (store->link.broken) return;
    if (store->link.looks_only) {
        store->link.heard = true; /* a client that only looks gets no messages */
    } else if (value->items[0].integer == 0) {
        hears_nothing(store, PAWL_ERR_PROTOCOL);
        return;
    }
    store->link.permitted = true;
    maybe_up(store);
}

static void probe(pawl_store *store, bool by_hash)
{
    const pawl__redis_script_text *script = &pawl__redis_scripts[PAWL__REDIS_PROBE];
    pawl__redis_probe words;
    pawl__redis_probe_encode(&store->space, by_hash ? script->sha1 : script->body, by_hash,
                             store->link.word, &words);
    greet(store, words.argv, words.argc, probed);
}

/* ---- Pushes ------------------------------------------------------------------------------- */

static void subscribed(pawl_store *store)
{
    const pawl__redis_pending *due = pawl__redis_next_due(store);
    bool expected = due && due->answered == greeted &&
                    strcmp(pawl__container(due, greeting, pending)->command, "SUBSCRIBE") == 0;
    if (expected)
        pawl__redis_strike_next(store);
    else
        not_resp3(store);
}

/* {"message", channel, payload}; what else a server may push is not for us. */
static void pushed(pawl_store *store, const pawl__redis_value *value)
{
    pawl__redis_linkage *link = &store->link;
    if (value->count == 0 || value->items[0].type != PAWL__REDIS_STRING) return;
    if (strcmp(value->items[0].text.data, "invalidate") == 0) pawl__redis_watch_heard(store, value);
    if (strcmp(value->items[0].text.data, "subscribe") == 0) subscribed(store);
    if (value->count != 3 || strcmp(value->items[0].text.data, "message") != 0) return;
    const pawl__redis_value *payload = &value->items[2];
    if (payload->type != PAWL__REDIS_STRING) return;
    if (link->state == PAWL__REDIS_LINK_UP) {
        pawl__redis_hear(store, payload->text);
    } else if (strcmp(payload->text.data, link->word) == 0) {
        link->heard = true;
        maybe_up(store);
    }
}

bool pawl__redis_heard(pawl_store *store, const pawl__redis_value *value)
{
    if (value->type != PAWL__REDIS_PUSH) return pawl__redis_answer(store, value);
    pushed(store, value);
    return !store->link.broken;
}

/* A retry with the script's body, the next step of a list. */
void pawl__redis_batch_ended(pawl_store *store)
{
    if (!store->link.broken) pawl__redis_flush(store);
}

/* ---- Attempts --------------------------------------------------------------------- */

static void cannot_connect(pawl_store *store, int error)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = PAWL_ERR_UNAVAILABLE;
    if (error == EACCES || error == EPERM) err = PAWL_ERR_PERMISSION;
    if (error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOBUFS)
        err = PAWL_ERR_UNAVAILABLE; /* ours, and it passes: held leases must not be dropped */
    snprintf(message, sizeof message, "%.300s: cannot connect: %s", store->space.where,
             strerror(error));
    pawl__redis_link_break(store, err, message);
}

static void try_address(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    link->state = PAWL__REDIS_LINK_GREETING;
    link->permitted = link->heard = link->looks_only = false;
    pawl__redis_guard_begin(store);
    snprintf(link->word, sizeof link->word, "h %016" PRIx64, pawl__random_next(&link->random));

    int64_t time_ms = store->config.connect_timeout_ms / (int64_t)link->address_count;
    if (link->address_count > 1 && time_ms < PAWL__REDIS_ADDRESS_TIME_MS)
        time_ms = PAWL__REDIS_ADDRESS_TIME_MS;
    arm(store, time_ms);

    int error = store->wire->connect(store, link->address_at);
    if (error)
        cannot_connect(store, error);
    else
        begin_greeting(store);
}

void pawl__redis_found(pawl_store *store, size_t count, const char *trouble)
{
    if (store->link.broken) return; /* it came late: the next turn ends this attempt */
    if (trouble) {
        char message[PAWL_MESSAGE_MAX];
        snprintf(message, sizeof message, "%.300s: cannot find the host: %s", store->space.where,
                 trouble);
        pawl__redis_link_break(store, PAWL_ERR_UNAVAILABLE, message);
        return;
    }
    store->link.address_count = count;
    try_address(store);
}

static void attempt(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    link->address_at = 0;
    link->address_count = 0;
    link->refused_err = PAWL_OK;
    link->state = PAWL__REDIS_LINK_RESOLVING;
    arm(store, store->config.connect_timeout_ms);
    int error = store->wire->resolve(store);
    if (error) cannot_connect(store, error);
}

static const char *why_late(pawl__redis_stage stage)
{
    switch (stage) {
    case PAWL__REDIS_CONNECTING:
        break;
    case PAWL__REDIS_REACHED:
        return "the server accepted the connection, and the TLS handshake did not end in time; "
               "does a server without TLS listen there (redis://)?";
    case PAWL__REDIS_CONNECTED:
        return "the server accepted the connection and did not answer in time";
    }
    return "the server did not accept the connection in time";
}

static void on_timer(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    char message[PAWL_MESSAGE_MAX];
    const char *why = "";
    switch (link->state) {
    case PAWL__REDIS_LINK_WAITING:
        attempt(store);
        return;
    case PAWL__REDIS_LINK_RESOLVING:
        why = "the name service did not answer in time";
        break;
    case PAWL__REDIS_LINK_GREETING:
        /* Late, or held back: we cannot know which. */
        if (link->permitted && !link->heard) {
            hears_nothing(store, PAWL_ERR_UNAVAILABLE);
            return;
        }
        why = why_late(store->wire->stage(store));
        break;
    case PAWL__REDIS_LINK_UP:
        if (!store->guard.active) return;
        pawl__redis_ask_guard(store, false, 0);
        store->wire->flush(store);
        return;
    }
    snprintf(message, sizeof message, "%.300s: %s", store->space.where, why);
    pawl__redis_link_break(store, PAWL_ERR_UNAVAILABLE, message);
}

void pawl__redis_timer_due(pawl_store *store, pawl__redis_timer timer)
{
    if (timer == PAWL__REDIS_TIMER_LINK)
        on_timer(store);
    else
        pawl__redis_answers_due(store);
}

/* ---- The beginning ---------------------------------------------------------------- */

void pawl__redis_link_init(pawl_store *store, uint64_t seed)
{
    pawl__redis_linkage *link = &store->link;
    pawl__retry_init(&link->retry);
    link->greeted_more = greeted_more;
    link->random = seed;
    link->err = PAWL_ERR_UNAVAILABLE;
    snprintf(link->message, sizeof link->message, "%.300s: not connected yet", store->space.where);
    arm(store, 0);
}
