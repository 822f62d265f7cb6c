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
#include "redis_scripts.h"
#include "redis_store.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define CLIENT_NAME_MAX 80 /* bytes: what fits into a line of CLIENT LIST */

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

static bool arm_first(pawl_store *store, int64_t delay_ms)
{
    struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    return event_add(&store->link.timer, &delay) == 0;
}

static void arm(pawl_store *store, int64_t delay_ms)
{
    (void)arm_first(store, delay_ms); /* it is in the heap: this cannot fail */
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
    event_active(&store->turn, EV_TIMEOUT, 0);
}

static void close_connections(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    pawl__redis_lookup_cancel(link->lookup);
    pawl__redis_conn_close(link->commands);
    pawl__redis_conn_close(link->inbox);
    link->lookup = NULL;
    link->commands = link->inbox = NULL;
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

void pawl__redis_link_turn(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (!link->broken) return;
    bool was_up = link->state == PAWL__REDIS_LINK_UP;
    uint64_t written = link->commands ? link->commands->written : 0;
    link->state = PAWL__REDIS_LINK_WAITING;
    close_connections(store);
    pawl__redis_abandon(store, written);
    link->broken = false;

    if (was_up) {
        int64_t span = store->host->now() - link->up_since;
        if (span >= PAWL__REDIS_BACKOFF_MAX_MS * PAWL__NS_PER_MS)
            link->backoff_ms = PAWL__REDIS_BACKOFF_MIN_MS;
    } else if (link->address_at + 1 < link->addresses.count && !is_refusal(link->err)) {
        link->address_at++;
        try_address(store);
        return;
    }
    wait_for_next_attempt(store);
    tell_down(store);
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
    store->link.inbox_due++;
    if (!pawl__redis_conn_append(store->link.inbox, argv, argc)) no_memory(store);
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
    pawl__redis_conn_flush(store->link.commands);
    pawl__redis_conn_flush(store->link.inbox);
}

/* ---- The probe ------------------------------------------------------------------------------- */

static void maybe_up(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    if (link->broken || !link->permitted || !link->heard) return;
    link->state = PAWL__REDIS_LINK_UP;
    link->up_since = store->host->now();
    link->told = false;
    arm(store, PAWL__REDIS_REST_MS);
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

static void two_servers(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message,
             "%.200s: a message to our own inbox did not arrive: do two connections to this "
             "address reach two servers?",
             store->space.where);
    pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
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
        two_servers(store);
        return;
    }
    store->link.permitted = true;
    maybe_up(store);
}

static void probe(pawl_store *store, bool by_hash)
{
    const pawl__redis_script_text *script = &pawl__redis_scripts[PAWL__REDIS_PROBE];
    char key[PAWL__REDIS_INBOX_MAX + 8];
    snprintf(key, sizeof key, "%sprobe", store->space.inbox);
    pawl__redis_bytes argv[] = {text(by_hash ? "EVALSHA" : "EVAL"),
                                text(by_hash ? script->sha1 : script->body),
                                text("1"),
                                text(key),
                                {store->space.inbox, store->space.inbox_len},
                                text(store->link.word)};
    greeting *g = malloc(sizeof *g);
    if (g) {
        *g = (greeting){.pending = {.answer_by = PAWL__NEVER,
                                    .answered = probed,
                                    .unanswered = greeting_lost,
                                    .drop = greeting_drop}};
        if (pawl__redis_send(store, argv, 6, &g->pending)) {
            pawl__redis_conn_flush(store->link.commands);
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

static bool commands_value(pawl__redis_conn *conn, const pawl__redis_value *value, void *ctx)
{
    (void)conn;
    return pawl__redis_answer(ctx, value);
}

/* Before the subscription: +OK or an error for each greeting. */
static void inbox_greeted(pawl_store *store, const pawl__redis_value *value)
{
    static const char *const commands[] = {"", "SUBSCRIBE", "CLIENT", "AUTH"}; /* still due */
    pawl__redis_linkage *link = &store->link;
    if (value->type == PAWL__REDIS_ERROR && refused(store, commands[link->inbox_due], value->text))
        return;
    if (link->inbox_due > 1) link->inbox_due--;
}

static bool inbox_value(pawl__redis_conn *conn, const pawl__redis_value *value, void *ctx)
{
    pawl_store *store = ctx;
    pawl__redis_linkage *link = &store->link;
    (void)conn;
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

/* What the replies caused (a retry with the script's body, the next step of a list) leaves now. */
static void settled(pawl__redis_conn *conn, void *ctx)
{
    pawl_store *store = ctx;
    (void)conn;
    if (store->link.commands && !store->link.broken) pawl__redis_conn_flush(store->link.commands);
}

static void failed(pawl__redis_conn *conn, pawl_err err, const char *message, void *ctx)
{
    (void)conn;
    pawl__redis_link_break(ctx, err, message);
}

static const pawl__redis_conn_ops commands_ops = {commands_value, settled, failed};
static const pawl__redis_conn_ops inbox_ops = {inbox_value, settled, failed};

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
    const pawl__redis_address *to = &link->addresses.list[link->address_at];
    const struct sockaddr *address = (const struct sockaddr *)&to->address;
    link->state = PAWL__REDIS_LINK_GREETING;
    link->commands_due = link->inbox_due = 0;
    link->inbox_ready = link->permitted = link->heard = false;
    snprintf(link->word, sizeof link->word, "h %016" PRIx64, pawl__random_next(&link->random));

    int64_t time_ms = store->config.connect_timeout_ms / (int64_t)link->addresses.count;
    if (link->addresses.count > 1 && time_ms < PAWL__REDIS_ADDRESS_TIME_MS)
        time_ms = PAWL__REDIS_ADDRESS_TIME_MS;
    arm(store, time_ms);

    const char *where = store->space.where;
    link->commands =
        pawl__redis_conn_open(store->host->base, address, to->len, &commands_ops, store, where);
    if (link->commands)
        link->inbox =
            pawl__redis_conn_open(store->host->base, address, to->len, &inbox_ops, store, where);
    if (!link->inbox) {
        cannot_connect(store, errno);
        return;
    }
    say_hello(store);
}

static void looked_up(const pawl__redis_addresses *found, const char *trouble, void *ctx)
{
    pawl_store *store = ctx;
    store->link.lookup = NULL;
    if (trouble) {
        char message[PAWL_MESSAGE_MAX];
        snprintf(message, sizeof message, "%.300s: cannot find the host: %s", store->space.where,
                 trouble);
        pawl__redis_link_break(store, PAWL_ERR_UNAVAILABLE, message);
        return;
    }
    store->link.addresses = *found;
    try_address(store);
}

static void unix_address(const char *path, pawl__redis_addresses *ret_found)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* the URL's length has been checked */
    memcpy(&ret_found->list[0].address, &address, sizeof address);
    ret_found->list[0].len = sizeof address;
    ret_found->count = 1;
}

static void attempt(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    const pawl__redis_config *config = &store->config;
    link->address_at = 0;
    link->addresses.count = 0;
    if (config->unix_path) unix_address(config->unix_path, &link->addresses);
    if (config->unix_path ||
        pawl__redis_parse_address(config->host, config->port, &link->addresses)) {
        try_address(store);
        return;
    }
    link->state = PAWL__REDIS_LINK_RESOLVING;
    arm(store, config->connect_timeout_ms);
    link->lookup =
        pawl__redis_lookup_start(store->host->base, config->host, config->port, looked_up, store);
    if (!link->lookup) cannot_connect(store, errno);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__redis_linkage *link = &store->link;
    char message[PAWL_MESSAGE_MAX];
    const char *why = "";
    (void)fd, (void)what;
    switch (link->state) {
    case PAWL__REDIS_LINK_WAITING:
        attempt(store);
        return;
    case PAWL__REDIS_LINK_RESOLVING:
        why = "the name service did not answer in time";
        break;
    case PAWL__REDIS_LINK_GREETING:
        if (link->permitted) { /* somebody else hears all inboxes of the other server */
            two_servers(store);
            return;
        }
        why = link->commands && link->commands->connected
                  ? "the server accepted the connection and did not answer in time"
                  : "the server did not accept the connection in time";
        break;
    case PAWL__REDIS_LINK_UP:
        return;
    }
    snprintf(message, sizeof message, "%.300s: %s", store->space.where, why);
    pawl__redis_link_break(store, PAWL_ERR_UNAVAILABLE, message);
}

/* ---- Life ------------------------------------------------------------------------- */

bool pawl__redis_link_init(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    link->backoff_ms = PAWL__REDIS_BACKOFF_MIN_MS;
    link->random = (uint64_t)store->host->now() ^ (uint64_t)(uintptr_t)store;
    for (const char *c = store->host->client_id; *c; c++)
        link->random = link->random * 31 + (unsigned char)*c;
    link->err = PAWL_ERR_UNAVAILABLE;
    snprintf(link->message, sizeof link->message, "%.300s: not connected yet", store->space.where);
    event_assign(&link->timer, store->host->base, -1, EV_PERSIST, on_timer, store);
    return arm_first(store, 0);
}

void pawl__redis_link_done(pawl_store *store)
{
    evtimer_del(&store->link.timer);
    close_connections(store);
}

void pawl__redis_link_forget(pawl_store *store)
{
    pawl__redis_lookup_forget(store->link.lookup);
    pawl__redis_conn_forget(store->link.commands);
    pawl__redis_conn_forget(store->link.inbox);
}
