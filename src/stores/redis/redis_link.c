/* SPDX-License-Identifier: MIT */
/*
 * The link: a connection for commands and one for the inbox, at the same address,
 * made together and closed together.
 *
 *   commands:  [AUTH] [SELECT] ROLE CLIENT SETNAME  then, both ready,  probe.lua
 *   inbox:     [AUTH] CLIENT SETNAME SUBSCRIBE
 *
 * The probe asks whether every command is permitted and sends a word to our own
 * inbox. The link is up when the word has arrived: pushes work, and both
 * connections have reached the same server.
 */
#include "redis_link.h"
#include "redis_scripts.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_NAME_MAX 80 /* bytes: what fits into a line of CLIENT LIST */

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

static void arm(pawl_store *store, int64_t delay_ms)
{
    store->wire->set_timer(store, PAWL__REDIS_TIMER_LINK, delay_ms * 1000);
}

/* ---- Loss ------------------------------------------------------------------------------- */

void pawl__redis_link_break(pawl_store *store, pawl_err err, const char *message)
{
    pawl__redis_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    link->err = err;
    snprintf(link->message, sizeof link->message, "%s", message);
    pawl__line_mend(link->message); /* it may quote the server */
    store->wire->turn_soon(store);
}

static void tell_down(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (link->told && link->told_err == link->err && strcmp(link->told_message, link->message) == 0)
        return;
    link->told = true;
    link->told_err = link->err;
    memcpy(link->told_message, link->message, sizeof link->told_message);
    store->host->link(store->host, false, link->told_err, link->told_message);
}

/* What only a person can change is asked for slowly. */
static bool is_refusal(pawl_err err)
{
    pawl_err_class cls = pawl_err_class_of(err);
    return cls == PAWL_CLASS_DENIED || cls == PAWL_CLASS_USAGE;
}

static void wait_for_next_attempt(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (is_refusal(link->err)) link->backoff_ms = PAWL__REDIS_BACKOFF_MAX_MS;
    arm(store, pawl__random_jitter(&link->random, link->backoff_ms));
    link->backoff_ms *= 2;
    if (link->backoff_ms > PAWL__REDIS_BACKOFF_MAX_MS)
        link->backoff_ms = PAWL__REDIS_BACKOFF_MAX_MS;
}

static void try_address(pawl_store *store);

static void tear_down(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    bool was_up = link->state == PAWL__REDIS_LINK_UP;
    uint64_t written = store->wire->written(store, PAWL__REDIS_COMMANDS);
    link->state = PAWL__REDIS_LINK_WAITING;
    store->wire->close(store);
    pawl__redis_abandon(store, written);
    link->broken = false;

    if (was_up) {
        int64_t span = store->host->now() - link->up_since;
        if (span >= PAWL__REDIS_BACKOFF_MAX_MS * PAWL__NS_PER_MS)
            link->backoff_ms = PAWL__REDIS_BACKOFF_MIN_MS;
    } else if (link->address_at + 1 < link->address_count && !is_refusal(link->err)) {
        link->address_at++;
        try_address(store);
        return;
    }
    wait_for_next_attempt(store);
    tell_down(store);
}

void pawl__redis_turn(pawl_store *store)
{
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
    (void)store, (void)maybe_done, (void)err, (void)message; /* the link has failed: that says it */
    free(pawl__container(pending, greeting, pending));
}

static void greeting_drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, greeting, pending));
}

/* The name is for people who look at CLIENT LIST; a replica that refuses writes shows itself to
 * the probe as well. Neither is worth a permission. */
static bool is_dispensable(const char *command)
{
    return strcmp(command, "CLIENT") == 0 || strcmp(command, "ROLE") == 0;
}

/* False: the refusal does not matter. */
static bool refused(pawl_store *store, const char *command, pawl__redis_bytes error)
{
    char message[PAWL_MESSAGE_MAX];
    pawl__redis_trouble trouble =
        pawl__redis_explain(&store->space, command, NULL, NULL, error, message);
    if (is_dispensable(command) &&
        (trouble.err == PAWL_ERR_PERMISSION || trouble.err == PAWL_ERR_UNSUPPORTED))
        return false;
    pawl__redis_link_break(store, trouble.err, message);
    return true;
}

static void no_memory(pawl_store *store)
{
    pawl__redis_link_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

/*
 * What a replica takes is gone when it next hears from its primary, also where it accepts
 * writes. After a failover behind one address the old primary answers as a replica.
 */
static bool is_replica(const pawl__redis_value *role)
{
    static const char *const roles[] = {"slave", "replica"};
    if (role->type != PAWL__REDIS_ARRAY || role->count == 0) return false;
    if (role->items[0].type != PAWL__REDIS_STRING) return false;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(role->items[0].text.data, roles[i]) == 0) return true;
    return false;
}

static void refuse_replica(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%.300s: the server is a replica; connect to the primary",
             store->space.where);
    pawl__redis_link_break(store, PAWL_ERR_READONLY, message);
}

static void maybe_probe(pawl_store *store);

static void greeted(pawl_store *store, pawl__redis_pending *pending, const pawl__redis_value *value)
{
    greeting *g = pawl__container(pending, greeting, pending);
    const char *command = g->command;
    free(g);
    if (value->type == PAWL__REDIS_ERROR && refused(store, command, value->text)) return;
    if (strcmp(command, "ROLE") == 0 && is_replica(value)) {
        refuse_replica(store);
        return;
    }
    store->link.commands_due--;
    maybe_probe(store);
}

static void greet(pawl_store *store, const pawl__redis_bytes *argv, size_t argc)
{
    greeting *g = malloc(sizeof *g);
    if (g) {
        *g = (greeting){.pending = {.answer_by = PAWL__NEVER,
                                    .answered = greeted,
                                    .unanswered = greeting_lost,
                                    .drop = greeting_drop},
                        .command = argv[0].data};
        store->link.commands_due++;
        if (pawl__redis_send(store, argv, argc, &g->pending)) return;
        free(g);
    }
    no_memory(store);
}

static void say_to_inbox(pawl_store *store, const pawl__redis_bytes *argv, size_t argc)
{
    uint64_t end;
    store->link.inbox_due++;
    if (!store->wire->append(store, PAWL__REDIS_INBOX, argv, argc, &end)) no_memory(store);
}

/* "pawl:" and the owner's label, in the characters that CLIENT SETNAME takes. */
static void client_name(const pawl_store *store, char ret_name[CLIENT_NAME_MAX + 1])
{
    snprintf(ret_name, CLIENT_NAME_MAX + 1, "pawl:%s", store->host->owner);
    for (char *c = ret_name; *c; c++)
        if (*c <= ' ' || *c > '~') *c = '-';
}

static size_t auth_command(const pawl_store *store, pawl__redis_bytes argv[3])
{
    size_t n = 0;
    if (!store->config.password) return 0;
    argv[n++] = text("AUTH");
    if (store->config.user) argv[n++] = text(store->config.user);
    argv[n++] = text(store->config.password);
    return n;
}

static void say_hello(pawl_store *store)
{
    pawl__redis_bytes auth[3];
    size_t auth_words = auth_command(store, auth);
    char name[CLIENT_NAME_MAX + 1], db[16];
    client_name(store, name);
    snprintf(db, sizeof db, "%d", store->config.db);
    pawl__redis_bytes set_name[] = {text("CLIENT"), text("SETNAME"), text(name)};
    pawl__redis_bytes select[] = {text("SELECT"), text(db)};
    pawl__redis_bytes role[] = {text("ROLE")};
    pawl__redis_bytes subscribe[] = {text("SUBSCRIBE"),
                                     {store->space.inbox, store->space.inbox_len}};

    if (auth_words) greet(store, auth, auth_words);
    if (store->config.db != 0) greet(store, select, 2);
    greet(store, role, 1);
    greet(store, set_name, 3);
    if (auth_words) say_to_inbox(store, auth, auth_words);
    say_to_inbox(store, set_name, 3);
    say_to_inbox(store, subscribe, 2);
    store->wire->flush(store, PAWL__REDIS_COMMANDS);
    store->wire->flush(store, PAWL__REDIS_INBOX);
}

/* ---- The probe ------------------------------------------------------------------------------- */

static void maybe_up(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (link->broken || !link->permitted || !link->heard) return;
    link->state = PAWL__REDIS_LINK_UP;
    link->unheard = false;
    link->up_since = store->host->now();
    link->told = false;
    store->wire->set_timer(store, PAWL__REDIS_TIMER_LINK, PAWL__REDIS_NO_TIMER);
    store->host->link(store->host, true, PAWL_OK, "");
}

static void name_what_is_missing(pawl_store *store, const pawl__redis_value *value)
{
    char rules[PAWL_MESSAGE_MAX / 2] = "", message[PAWL_MESSAGE_MAX];
    bool unknown = false;
    size_t n = 0;
    for (size_t i = 1; i < value->count && n < sizeof rules; i++) {
        const pawl__redis_bytes command = value->items[i].text;
        if (value->items[i].type != PAWL__REDIS_STRING) continue;
        bool lacks = command.data[0] == '?';
        if (i > 1 && lacks != unknown) continue; /* one kind of trouble at a time */
        unknown = lacks;
        n += (size_t)snprintf(rules + n, sizeof rules - n, " %s%s", lacks ? "" : "+",
                              command.data + lacks);
    }
    snprintf(message, sizeof message, "%.120s: %s%s", store->space.where,
             unknown ? "the server lacks commands, or they were renamed:"
                     : "the user lacks permissions; add the ACL rules",
             rules);
    pawl__redis_link_break(store, unknown ? PAWL_ERR_UNSUPPORTED : PAWL_ERR_PERMISSION, message);
}

static void two_servers(pawl_store *store, pawl_err err)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message,
             "%.200s: a message to our own inbox did not arrive: do two connections to this "
             "address reach two servers?",
             store->space.where);
    pawl__redis_link_break(store, err, message);
}

static void probe(pawl_store *store, bool by_hash);

static void probed(pawl_store *store, pawl__redis_pending *pending, const pawl__redis_value *value)
{
    char message[PAWL_MESSAGE_MAX];
    const char *script = pawl__redis_scripts[PAWL__REDIS_PROBE].body;
    free(pawl__container(pending, greeting, pending));
    if (value->type == PAWL__REDIS_ERROR) {
        pawl__redis_trouble trouble =
            pawl__redis_explain(&store->space, "EVAL", NULL, script, value->text, message);
        if (trouble.no_script)
            probe(store, false);
        else
            (void)refused(store, "EVAL", value->text);
        return;
    }
    if (value->type != PAWL__REDIS_ARRAY || value->count == 0 ||
        value->items[0].type != PAWL__REDIS_INTEGER) {
        snprintf(message, sizeof message, "%.300s: the answer to a script is not what it returns",
                 store->space.where);
        pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
        return;
    }
    if (value->count > 1) {
        name_what_is_missing(store, value);
        return;
    }
    if (value->items[0].integer == 0) {
        /* Once it may be chance: a failover ended the inbox's connection a moment ago. */
        two_servers(store, store->link.unheard ? PAWL_ERR_PROTOCOL : PAWL_ERR_UNAVAILABLE);
        store->link.unheard = true;
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
    greeting *g = malloc(sizeof *g);
    if (g) {
        *g = (greeting){.pending = {.answer_by = PAWL__NEVER,
                                    .answered = probed,
                                    .unanswered = greeting_lost,
                                    .drop = greeting_drop}};
        if (pawl__redis_send(store, words.argv, words.argc, &g->pending)) {
            store->wire->flush(store, PAWL__REDIS_COMMANDS);
            return;
        }
        free(g);
    }
    no_memory(store);
}

static void maybe_probe(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (link->broken || link->commands_due > 0 || !link->inbox_ready) return;
    probe(store, true);
}

/* ---- Replies of the two connections ----------------------------------------------- */

/* Before the subscription: +OK or an error for each greeting. */
static void inbox_greeted(pawl_store *store, const pawl__redis_value *value)
{
    static const char *const commands[] = {"", "SUBSCRIBE", "CLIENT", "AUTH"}; /* still due */
    pawl__redis_linkage *link = &store->link;
    if (value->type == PAWL__REDIS_ERROR && refused(store, commands[link->inbox_due], value->text))
        return;
    if (link->inbox_due > 1) link->inbox_due--;
}

static bool inbox_value(pawl_store *store, const pawl__redis_value *value)
{
    pawl__redis_linkage *link = &store->link;
    if (value->type == PAWL__REDIS_STATUS || value->type == PAWL__REDIS_ERROR) {
        inbox_greeted(store, value);
        return !link->broken;
    }
    if (value->type != PAWL__REDIS_ARRAY || value->count != 3 ||
        value->items[0].type != PAWL__REDIS_STRING) {
        char message[PAWL_MESSAGE_MAX];
        snprintf(message, sizeof message, "%.300s: the inbox received what is no message",
                 store->space.where);
        pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
        return false;
    }
    if (strcmp(value->items[0].text.data, "subscribe") == 0) {
        link->inbox_due = 0;
        link->inbox_ready = true;
        maybe_probe(store);
        return !link->broken;
    }
    const pawl__redis_value *payload = &value->items[2];
    if (payload->type != PAWL__REDIS_STRING) return true;
    if (link->state == PAWL__REDIS_LINK_UP) {
        pawl__redis_hear(store, payload->text);
    } else if (strcmp(payload->text.data, link->word) == 0) {
        link->heard = true;
        maybe_up(store);
    }
    return !link->broken;
}

bool pawl__redis_heard(pawl_store *store, pawl__redis_side side, const pawl__redis_value *value)
{
    if (side == PAWL__REDIS_COMMANDS) return pawl__redis_answer(store, value);
    return inbox_value(store, value);
}

/* A retry with the script's body, the next step of a list. */
void pawl__redis_settled(pawl_store *store)
{
    if (!store->link.broken) store->wire->flush(store, PAWL__REDIS_COMMANDS);
}

/* ---- Attempts --------------------------------------------------------------------- */

static void cannot_connect(pawl_store *store, int error)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = PAWL_ERR_UNAVAILABLE;
    if (error == EACCES || error == EPERM) err = PAWL_ERR_PERMISSION;
    if (error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOBUFS)
        err =
            PAWL_ERR_UNAVAILABLE; /* ours, but it passes: held leases must not be dropped for it */
    snprintf(message, sizeof message, "%.300s: cannot connect: %s", store->space.where,
             strerror(error));
    pawl__redis_link_break(store, err, message);
}

static void try_address(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    link->state = PAWL__REDIS_LINK_GREETING;
    link->commands_due = link->inbox_due = 0;
    link->inbox_ready = link->permitted = link->heard = false;
    snprintf(link->word, sizeof link->word, "h %016" PRIx64, pawl__random_next(&link->random));

    int64_t time_ms = store->config.connect_timeout_ms / (int64_t)link->address_count;
    if (link->address_count > 1 && time_ms < PAWL__REDIS_ADDRESS_TIME_MS)
        time_ms = PAWL__REDIS_ADDRESS_TIME_MS;
    arm(store, time_ms);

    int error = store->wire->connect(store, link->address_at, PAWL__REDIS_COMMANDS);
    if (!error) error = store->wire->connect(store, link->address_at, PAWL__REDIS_INBOX);
    if (error) {
        cannot_connect(store, error);
        return;
    }
    say_hello(store);
}

void pawl__redis_found(pawl_store *store, size_t count, const char *trouble)
{
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
    link->state = PAWL__REDIS_LINK_RESOLVING;
    arm(store, store->config.connect_timeout_ms);
    int error = store->wire->resolve(store);
    if (error) cannot_connect(store, error);
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
        if (link->permitted) { /* it is late, or somebody else heard it at another server: unknown
                                */
            two_servers(store, PAWL_ERR_UNAVAILABLE);
            return;
        }
        why = store->wire->is_connected(store, PAWL__REDIS_COMMANDS)
                  ? "the server accepted the connection and did not answer in time"
                  : "the server did not accept the connection in time";
        break;
    case PAWL__REDIS_LINK_UP:
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
    link->backoff_ms = PAWL__REDIS_BACKOFF_MIN_MS;
    link->random = seed;
    link->err = PAWL_ERR_UNAVAILABLE;
    snprintf(link->message, sizeof link->message, "%.300s: not connected yet", store->space.where);
    arm(store, 0);
}
