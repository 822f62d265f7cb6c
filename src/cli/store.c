/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "duration.h"
#include "exit_codes.h"
#include "message.h"
#include "pawl/config.h"
#include "store_absolute.h"
#include "store_descriptor.h"

static int make_absolute(cli_store *store, const char *base)
{
    char absolute[CLI_URL_MAX];
    if (!cli_store_absolute(store->url, base, absolute, sizeof absolute)) {
        cli_error("%sthe store's URL is longer than %d bytes", store->where, CLI_URL_MAX - 1);
        return CLI_EXIT_CONFIG;
    }
    memcpy(store->url, absolute, sizeof absolute);
    return 0;
}

/* The first line of a file, without the blanks around it; a relative path in it counts from there.
 */
static int read_url(const char *path, cli_store *ret_store)
{
    char *url = ret_store->url;
    if (strstr(path, "://")) { /* it may contain a password, so it is not quoted */
        cli_error("after the @ of a store stands the name of a file that has the URL: "
                  "to give the URL itself, leave the @ out");
        return CLI_EXIT_USAGE;
    }
    FILE *file = fopen(path, "re");
    char *line = file ? fgets(url, CLI_URL_MAX, file) : NULL;
    int why = errno;
    bool broken = !file || ferror(file);
    if (file) fclose(file);
    if (broken) {
        cli_error("store @%s: %s", path, strerror(why));
        return CLI_EXIT_NO_INPUT;
    }
    size_t len = line ? strcspn(line, "\r\n") : 0;
    while (len > 0 && (url[len - 1] == ' ' || url[len - 1] == '\t')) len--;
    if (len == 0 || len == CLI_URL_MAX - 1) {
        cli_error("store @%s: its first line should be the store's URL", path);
        return CLI_EXIT_CONFIG;
    }
    url[len] = '\0';
    cli_store_descriptor_refill(path, url);
    snprintf(ret_store->where, sizeof ret_store->where, "store @%s: ", path);
    return make_absolute(ret_store, path);
}

/* What an app.conf chooses. */
static int read_config(const char *path, cli_store *ret_store)
{
    pawl_config *config = NULL;
    char *url = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    int err = pawl_config_load(path, &config, message);
    if (!err) err = pawl_config_store_url(config, &url, message);
    if (!err && strlen(url) >= CLI_URL_MAX) {
        err = PAWL_ERR_URL;
        snprintf(message, sizeof message, "%.300s: a URL of more than %d bytes", path,
                 CLI_URL_MAX - 1);
    }
    if (err) {
        cli_error("%s [%s]", message, pawl_err_name(err));
    } else {
        const char *owner = pawl_config_owner(config);
        snprintf(ret_store->url, sizeof ret_store->url, "%s", url);
        const char *where = pawl_config_store_where(config);
        snprintf(ret_store->owner, sizeof ret_store->owner, "%s", owner ? owner : "");
        snprintf(ret_store->where, sizeof ret_store->where, "%s: ", where ? where : path);
        ret_store->given = ret_store->url;
        ret_store->config = path;
        if (!cli_path_absolute(path, ret_store->absolute, CLI_URL_MAX))
            snprintf(ret_store->absolute, CLI_URL_MAX, "%s", path);
    }
    free(url);
    pawl_config_free(config);
    if (err == PAWL_ERR_SYSTEM) return CLI_EXIT_NO_INPUT;
    return err ? CLI_EXIT_CONFIG : make_absolute(ret_store, NULL);
}

static const char *unless_empty(const char *value)
{
    return value && *value ? value : NULL;
}

bool cli_store_is_named(const cli_common *common)
{
    return common->store || common->config || unless_empty(getenv("PAWL_STORE")) ||
           unless_empty(getenv("PAWL_CONFIG"));
}

/* A run puts this into the environment instead of a password; a real one can be written %2A. */
#define STARS "***"

static int take_given(const char *given, cli_store *ret_store)
{
    if (strstr(given, STARS)) {
        cli_error("the store's URL has " STARS " where a password was: passwords are not passed on "
                  "in the environment; put the URL into a file of your own and use -S @FILE, "
                  "or the password into one and write password_file= (postgres: passfile=), where "
                  "the store has it: both are passed on [%s]",
                  pawl_err_name(PAWL_ERR_URL));
        return CLI_EXIT_CONFIG;
    }
    if (!cli_store_absolute(given, NULL, ret_store->absolute, CLI_URL_MAX)) {
        cli_error("the store's URL is longer than %d bytes", CLI_URL_MAX - 1);
        return CLI_EXIT_CONFIG;
    }
    ret_store->given = ret_store->absolute;
    if (given[0] == '@') return read_url(ret_store->absolute + 1, ret_store);
    memcpy(ret_store->url, ret_store->absolute, strlen(ret_store->absolute) + 1);
    return 0;
}

int cli_store_choose(const cli_common *common, cli_store *ret_store)
{
    const char *given = common->store;
    const char *config = common->config;
    ret_store->config = NULL;
    ret_store->on_guard = NULL;
    ret_store->owner[0] = ret_store->where[0] = '\0';
    if (given && config) {
        cli_error("-S and --config both name a store: expected one of them");
        return CLI_EXIT_USAGE;
    }
    if (given && !*given) { /* an unset variable must not turn the fleet's lock into a local one */
        cli_error("-S is empty: expected a URL (leave it out for $PAWL_STORE, else sqlite:)");
        return CLI_EXIT_USAGE;
    }
    if (!given && !config) given = unless_empty(getenv("PAWL_STORE"));
    if (!given && !config) config = unless_empty(getenv("PAWL_CONFIG"));
    if (config) return read_config(config, ret_store);
    return take_given(given ? given : "sqlite:", ret_store);
}

/* Whether the library shows the URL as it is. */
static bool is_open(const cli_store *store, const pawl_client *client)
{
    return strcmp(pawl_client_url(client), store->url) == 0;
}

const char *cli_store_for_children(const cli_store *store, const pawl_client *client)
{
    if (store->given[0] == '@' || is_open(store, client)) return store->given;
    return store->config ? NULL : pawl_client_url(client);
}

const char *cli_store_config_for_children(const cli_store *store, const pawl_client *client)
{
    return store->config && !is_open(store, client) ? store->absolute : NULL;
}

static void log_line(pawl_client *client, pawl_severity severity, const char *line, void *userdata)
{
    (void)client;
    (void)userdata;
    if (severity == PAWL_SEVERITY_ERROR) {
        cli_warn("%s", line);
    } else {
        cli_info("%s", line);
    }
}

/* A command that must wait for its release has done so; a place in a queue is given up here. */
#define CLOSE_TIMEOUT_MS 200

static int refuse_label(const cli_common *common, const cli_store *store, int err)
{
    bool by_file = !common->owner && store->config;
    cli_error("%s%s: %s [%s]", by_file ? store->config : "--owner", by_file ? ": pawlowner" : "",
              pawl_err_text(err), pawl_err_name(err));
    return cli_exit_of_err(err);
}

int cli_store_refuse_memory(const cli_store *store)
{
    if (strncasecmp(store->url, "memory:", 7) != 0) return 0;
    cli_error("%sthe store is the memory of this process alone, a lock in it keeps nobody out: "
              "use sqlite: for one machine, redis://host for several [%s]",
              store->where, pawl_err_name(PAWL_ERR_SCHEME));
    return cli_exit_of_err(PAWL_ERR_SCHEME);
}

int cli_client_open(const cli_common *common, const cli_store *store, pawl_callbacks callbacks,
                    pawl_client **ret_client)
{
    bool forever = common->store_timeout_ms == PAWL_WAIT_FOREVER;
    if (common->store_timeout_ms < 1 && !forever) {
        cli_error("--store-timeout: expected at least 1ms");
        return CLI_EXIT_USAGE;
    }
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.owner = common->owner;
    if (!opts.owner && store->owner[0]) opts.owner = store->owner;
    opts.store_timeout_ms = common->store_timeout_ms;
    opts.close_timeout_ms = CLOSE_TIMEOUT_MS;
    opts.callbacks = callbacks;
    opts.log = log_line;
    opts.trace = store->on_guard;
    opts.trace_userdata = store->guard_userdata;
    opts.trace_kinds = PAWL_TRACE_BIT(PAWL_TRACE_GUARD);
    opts.metrics = common->metrics;

    int err = pawl_client_open(store->url, &opts, ret_client, message);
    if (!err) return 0;
    if (err == PAWL_ERR_OWNER) return refuse_label(common, store, err);
    const char *text = message[0] ? message : pawl_err_text(err);
    cli_error("%s%s [%s]", store->where, text, pawl_err_name(err));
    return cli_exit_of_err(err);
}

int cli_client_open_simple(const cli_common *common, pawl_client **ret_client)
{
    cli_store store;
    int code = cli_store_choose(common, &store);
    if (!code) code = cli_store_refuse_memory(&store);
    return code ? code : cli_client_open(common, &store, PAWL_CALLBACKS_WAIT, ret_client);
}

int cli_fail(const pawl_client *client, const char *what, const char *key, int err)
{
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(client, err, reason);
    char *safe_key = cli_escape(key ? key : "", key ? strlen(key) : 0);
    cli_error("%s%s%s: %s [%s]", what, key ? " " : "", safe_key, reason, pawl_err_name(err));
    free(safe_key);
    return cli_exit_of_err(err);
}

int cli_key_check(const char *verb, const char *key)
{
    size_t len = strlen(key);
    if (len >= 1 && len <= PAWL_NAME_MAX) return 0;
    cli_error("%s: a key has 1 to %d bytes, this one has %zu [%s]", verb, PAWL_NAME_MAX, len,
              pawl_err_name(PAWL_ERR_NAME));
    return cli_exit_of_err(PAWL_ERR_NAME);
}

int cli_ttl_check(const char *verb, int64_t ttl_ms)
{
    if (ttl_ms >= PAWL_TTL_MIN_MS && ttl_ms <= PAWL_TTL_MAX_MS) return 0;
    char given[CLI_DURATION_TEXT], least[CLI_DURATION_TEXT], most[CLI_DURATION_TEXT];
    cli_error("%s: --ttl %s: a ttl lies between %s and %s [%s]", verb,
              cli_duration_exact(ttl_ms, given), cli_duration_exact(PAWL_TTL_MIN_MS, least),
              cli_duration_exact(PAWL_TTL_MAX_MS, most), pawl_err_name(PAWL_ERR_TTL));
    return cli_exit_of_err(PAWL_ERR_TTL);
}
