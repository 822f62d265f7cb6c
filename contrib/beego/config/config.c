/* SPDX-License-Identifier: MIT */
/* include/pawl/config.h: which store an app.conf means. */
#define _GNU_SOURCE /* strcasecmp by string.h */
#include "pawl/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "cache_json.h"
#include "find.h"
#include "ini.h"
#include "text.h"

struct pawl_config {
    pawl__ini *ini;
    char *path;
    char *run_mode;
    char *run_mode_section; /* lowercase */
};

/* The file's words about its store. */
typedef struct choice {
    const pawl__ini_entry *cache;
    const pawl__ini_entry *adapter;
    const pawl__ini_entry *conn;
    const pawl__ini_entry *dbnum;
    const pawl__ini_entry *password;
    const pawl__ini_entry *key;
} choice;

static int fail_memory(char *message)
{
    snprintf(message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
    return PAWL_ERR_NO_MEMORY;
}

static int fail_at(const pawl__ini_entry *entry, const char *text, char *message)
{
    snprintf(message, PAWL_MESSAGE_MAX, "%.200s: %.300s", entry->where, text);
    pawl__text_mend(message);
    return PAWL_ERR_OPTION;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* runmode as a program in that mode sees it; NULL if there is none. */
static const char *run_mode_in(const pawl__ini *ini, const char *mode)
{
    pawl__span span = {mode, strlen(mode)};
    char *section = pawl__span_lower(span);
    const pawl__ini_entry *entry = section ? pawl__ini_find(ini, section, "runmode") : NULL;
    free(section);
    if (!entry || !entry->value[0]) entry = pawl__ini_find(ini, PAWL__INI_DEFAULT, "runmode");
    return entry && entry->value[0] ? entry->value : NULL;
}

/* Like Beego: it starts in mode prod, and looks again in the mode that it finds. */
static const char *choose_run_mode(const pawl__ini *ini)
{
    const char *mode = getenv("BEEGO_RUNMODE");
    if (mode && *mode) return mode;
    mode = run_mode_in(ini, "prod");
    const char *again = run_mode_in(ini, mode ? mode : "prod");
    if (again) return again;
    return mode ? mode : "prod";
}

static int load(pawl_config *config, const char *path, char *message)
{
    int err = pawl__config_find(path, &config->path, message);
    if (err) return err;
    err = pawl__ini_load(config->path, &config->ini, message);
    if (err) return err;
    config->run_mode = strdup(choose_run_mode(config->ini));
    if (!config->run_mode) return fail_memory(message);
    pawl__span mode = {config->run_mode, strlen(config->run_mode)};
    config->run_mode_section = pawl__span_lower(mode);
    return config->run_mode_section ? PAWL_OK : fail_memory(message);
}

int pawl_config_find(const char *path, char **ret_path, char *reterr_message)
{
    char message[PAWL_MESSAGE_MAX] = "";
    if (!ret_path) return PAWL_ERR_ARGUMENT;
    int err = pawl__config_find(path, ret_path, message);
    if (err && reterr_message) memcpy(reterr_message, message, sizeof message);
    return err;
}

int pawl_config_load(const char *path, pawl_config **ret_config, char *reterr_message)
{
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_config *config = ret_config ? calloc(1, sizeof *config) : NULL;
    int err = config ? load(config, path, message) : fail_memory(message);
    if (!ret_config) {
        err = PAWL_ERR_ARGUMENT;
        snprintf(message, sizeof message, "pawl_config_load: ret_config is NULL");
    }
    if (err) {
        pawl_config_free(config);
        if (reterr_message) memcpy(reterr_message, message, sizeof message);
        return err;
    }
    *ret_config = config;
    return PAWL_OK;
}

pawl_config *pawl_config_free(pawl_config *config)
{
    if (!config) return NULL;
    pawl__ini_free(config->ini);
    free(config->path);
    free(config->run_mode);
    free(config->run_mode_section);
    free(config);
    return NULL;
}

/* ---- Lookups ------------------------------------------------------------------------------- */

/* Beego's order: the run mode's section, if it has the key, then the lines before all sections. */
static const pawl__ini_entry *find_plain(const pawl_config *config, const char *key)
{
    const pawl__ini_entry *entry = pawl__ini_find(config->ini, config->run_mode_section, key);
    if (entry && entry->value[0]) return entry;
    return pawl__ini_find(config->ini, PAWL__INI_DEFAULT, key);
}

static const pawl__ini_entry *find(const pawl_config *config, const char *name)
{
    char *lower = name ? pawl__span_lower((pawl__span){name, strlen(name)}) : NULL;
    if (!lower) return NULL;
    char *colons = strstr(lower, "::");
    const pawl__ini_entry *entry;
    if (colons) {
        *colons = '\0';
        entry = pawl__ini_find(config->ini, lower, colons + 2);
    } else {
        entry = find_plain(config, lower);
    }
    free(lower);
    return entry;
}

const char *pawl_config_get(const pawl_config *config, const char *key)
{
    const pawl__ini_entry *entry = config ? find(config, key) : NULL;
    return entry ? entry->value : NULL;
}

const char *pawl_config_where(const pawl_config *config, const char *key)
{
    const pawl__ini_entry *entry = config ? find(config, key) : NULL;
    return entry ? entry->where : NULL;
}

const char *pawl_config_run_mode(const pawl_config *config)
{
    return config ? config->run_mode : NULL;
}

/* A key of the store's: also in [cache]. NULL if it is absent or empty. */
static const pawl__ini_entry *find_store_key(const pawl_config *config, const char *key)
{
    const pawl__ini_entry *entry = find_plain(config, key);
    if (!entry || !entry->value[0]) entry = pawl__ini_find(config->ini, "cache", key);
    return entry && entry->value[0] ? entry : NULL;
}

const char *pawl_config_owner(const pawl_config *config)
{
    const pawl__ini_entry *entry = config ? find_store_key(config, "pawlowner") : NULL;
    return entry ? entry->value : NULL;
}

/* ---- The store ------------------------------------------------------------------------------- */

static bool is_one_of(const char *value, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(value, *words) == 0) return true;
    return false;
}

static bool is_json(const pawl__ini_entry *entry)
{
    return entry && entry->value[0] == '{';
}

static pawl__setting setting_of(const pawl__ini_entry *entry)
{
    if (!entry) return (pawl__setting){NULL, NULL};
    return (pawl__setting){entry->value, entry->where};
}

static choice choose(const pawl_config *config)
{
    choice c = {
        .cache = find_store_key(config, "cache"),
        .adapter = find_store_key(config, "adapter"),
        .conn = find_store_key(config, "conn"),
        .dbnum = find_store_key(config, "dbnum"),
        .password = find_store_key(config, "password"),
        /* too common a word to be taken from anywhere else */
        .key = pawl__ini_find(config->ini, "cache", "key"),
    };
    return c;
}

/* What `cache` says: a boolean ("on" tells nothing), the adapter's name, or JSON. */
static int apply_cache(choice *c, const pawl__ini_entry **ret_json, char *message)
{
    static const char *const on[] = {"true", "on", "yes", "1", "t", "y", NULL};
    static const char *const off[] = {"false", "off", "no", "0", "f", "n", NULL};
    if (!c->cache || is_one_of(c->cache->value, on)) return PAWL_OK;
    if (is_one_of(c->cache->value, off))
        return fail_at(c->cache,
                       "the cache is off, and with it the store of the locks: expected "
                       "pawlstore = URL, or a cache",
                       message);
    if (is_json(c->cache)) {
        *ret_json = c->cache;
        return PAWL_OK;
    }
    if (c->adapter && strcmp(c->adapter->value, c->cache->value) != 0) {
        char line[PAWL_MESSAGE_MAX];
        snprintf(line, sizeof line, "cache names another adapter than %.300s", c->adapter->where);
        return fail_at(c->cache, line, message);
    }
    c->adapter = c->cache;
    return PAWL_OK;
}

static int url_of_json(const pawl__setting *adapter, const char *where, const char *text,
                       char **ret_url, char *message)
{
    pawl__cache_json *json = NULL;
    pawl__adapter_settings settings = {.adapter = *adapter};
    /* an unknown adapter is told first, whatever its JSON */
    static const char *const known[] = {"redis", "file",     "memory",     "memcache",
                                        "mysql", "postgres", "postgresql", NULL};
    if (!is_one_of(adapter->value, known)) return pawl__adapter_url(&settings, ret_url, message);
    int err = pawl__cache_json_read(adapter->value, where, text, &json, message);
    if (err) return err;
    pawl__cache_json_settings(json, &settings);
    err = pawl__adapter_url(&settings, ret_url, message);
    pawl__cache_json_free(json);
    return err;
}

static int check_beside_json(const choice *c, const pawl__ini_entry *json, char *message)
{
    const pawl__ini_entry *others[] = {c->conn, c->dbnum, c->password, c->key};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!others[i] || others[i] == json) continue;
        char line[PAWL_MESSAGE_MAX];
        snprintf(line, sizeof line, "expected no %s here: the JSON at %.300s describes the store",
                 others[i]->key, json->where);
        return fail_at(others[i], line, message);
    }
    return PAWL_OK;
}

static int url_of_choice(const pawl_config *config, choice *c, char **ret_url, char *message)
{
    const pawl__ini_entry *json = is_json(c->conn) ? c->conn : NULL;
    int err = apply_cache(c, &json, message);
    if (err) return err;
    if (!json && !c->adapter && !c->conn) {
        snprintf(message, PAWL_MESSAGE_MAX,
                 "%.300s: chooses no store: expected pawlstore = URL, or adapter = redis and "
                 "conn = host:port",
                 config->path);
        return PAWL_ERR_OPTION;
    }
    pawl__setting adapter = {"redis", ""}; /* an address without an adapter is a Redis server */
    if (c->adapter) adapter = setting_of(c->adapter);
    if (json) {
        err = check_beside_json(c, json, message);
        return err ? err : url_of_json(&adapter, json->where, json->value, ret_url, message);
    }
    pawl__adapter_settings settings = {
        .adapter = adapter,
        .conn = setting_of(c->conn),
        .dbnum = setting_of(c->dbnum),
        .password = setting_of(c->password),
        .key = setting_of(c->key),
    };
    return pawl__adapter_url(&settings, ret_url, message);
}

/*
 * A key of the store whose variable is not set. For Beego it is absent; then another key of the
 * file, or the default, would decide where the locks are.
 */
static const pawl__ini_entry *find_unset(const pawl_config *config, const char *key)
{
    const char *const sections[] = {config->run_mode_section, PAWL__INI_DEFAULT, "cache"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const pawl__ini_entry *entry = pawl__ini_find(config->ini, sections[i], key);
        if (entry && entry->value[0]) return NULL;
        if (entry && entry->unset) return entry;
    }
    return NULL;
}

static int check_set(const pawl_config *config, const char *key, char *message)
{
    const pawl__ini_entry *entry = find_unset(config, key);
    char line[PAWL_MESSAGE_MAX];
    if (!entry) return PAWL_OK;
    snprintf(line, sizeof line,
             "%s: the variable in ${ } is not set in the environment: set it, or give a default as "
             "in ${VAR||127.0.0.1:6379}",
             key);
    return fail_at(entry, line, message);
}

/* Beego knows comments at the start of a line only: behind a value they are part of it. */
static int check_comment(const pawl_config *config, const char *key, char *message)
{
    const pawl__ini_entry *entry = find_store_key(config, key);
    const char *mark = entry && !is_json(entry) ? strpbrk(entry->value, "#;") : NULL;
    while (mark && (mark == entry->value || (mark[-1] != ' ' && mark[-1] != '\t')))
        mark = strpbrk(mark + 1, "#;");
    if (!mark) return PAWL_OK;
    char line[PAWL_MESSAGE_MAX];
    snprintf(line, sizeof line,
             "%s: a %c behind the value is part of it: a comment stands on a line of its own", key,
             *mark);
    return fail_at(entry, line, message);
}

static int check_keys(const pawl_config *config, char *message)
{
    static const char *const keys[] = {"pawlstore", "adapter", "cache", "conn", "dbnum"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int err = check_comment(config, keys[i], message);
        if (!err && strcmp(keys[i], "dbnum") != 0) err = check_set(config, keys[i], message);
        if (err) return err;
        if (i == 0 && find_store_key(config, keys[0])) break; /* the store key alone decides */
    }
    return PAWL_OK;
}

static int store_url(const pawl_config *config, char **ret_url, char *message)
{
    int err = check_keys(config, message);
    if (err) return err;
    const pawl__ini_entry *own = find_store_key(config, "pawlstore");
    if (own) {
        char *url = strdup(own->value);
        if (!url) return fail_memory(message);
        *ret_url = url;
        return PAWL_OK;
    }
    choice c = choose(config);
    return url_of_choice(config, &c, ret_url, message);
}

int pawl_config_store_url(const pawl_config *config, char **ret_url, char *reterr_message)
{
    char message[PAWL_MESSAGE_MAX] = "";
    if (!config || !ret_url) return PAWL_ERR_ARGUMENT;
    int err = store_url(config, ret_url, message);
    if (err && reterr_message) memcpy(reterr_message, message, sizeof message);
    return err;
}

const char *pawl_config_store_where(const pawl_config *config)
{
    if (!config) return NULL;
    const pawl__ini_entry *own = find_store_key(config, "pawlstore");
    choice c = choose(config);
    const pawl__ini_entry *tellers[] = {own, is_json(c.cache) ? c.cache : c.conn, c.adapter,
                                        c.cache};
    for (size_t i = 0; i < sizeof tellers / sizeof tellers[0]; i++)
        if (tellers[i]) return tellers[i]->where;
    return NULL;
}

int pawl_cache_store_url(const char *adapter, const char *json, char **ret_url,
                         char *reterr_message)
{
    char message[PAWL_MESSAGE_MAX] = "";
    if (!adapter || !ret_url) return PAWL_ERR_ARGUMENT;
    pawl__setting setting = {adapter, ""};
    int err = url_of_json(&setting, "", json && *json ? json : "{}", ret_url, message);
    if (err && reterr_message) memcpy(reterr_message, message, sizeof message);
    return err;
}

static int open_configured(const pawl_config *config, const pawl_open_opts *opts,
                           pawl_client **ret_client, char *message)
{
    char *url = NULL;
    int err = store_url(config, &url, message);
    if (err) return err;
    pawl_open_opts own;
    pawl_open_opts_init(&own);
    if (!opts || opts->size == sizeof own) { /* of another size: pawl_client_open judges it */
        if (opts) own = *opts;
        if (!own.owner) own.owner = pawl_config_owner(config);
        opts = &own;
    }
    char why[PAWL_MESSAGE_MAX] = "";
    err = pawl_client_open(url, opts, ret_client, why);
    const pawl__ini_entry *label = find_store_key(config, "pawlowner");
    if (err == PAWL_ERR_OWNER && label && opts->owner == label->value) {
        fail_at(label, pawl_err_text(err), message);
    } else if (err) {
        snprintf(message, PAWL_MESSAGE_MAX, "%.150s: %.340s", pawl_config_store_where(config), why);
    }
    free(url);
    return err;
}

int pawl_open_config(const char *path, const pawl_open_opts *opts, pawl_client **ret_client,
                     char *reterr_message)
{
    pawl_config *config = NULL;
    if (!ret_client) return PAWL_ERR_ARGUMENT;
    int err = pawl_config_load(path, &config, reterr_message);
    if (err) return err;
    char message[PAWL_MESSAGE_MAX] = "";
    err = open_configured(config, opts, ret_client, message);
    if (err && reterr_message) memcpy(reterr_message, message, sizeof message);
    pawl_config_free(config);
    return err;
}
