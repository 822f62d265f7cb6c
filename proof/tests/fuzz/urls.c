/* SPDX-License-Identifier: MIT */
/*
 * The address of a store, as somebody typed it: parsed, then read by each store. No
 * password may come out anywhere but in its own field.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "runtime/url.h"
#include "stores/redis/redis_url.h"
#include "stores/sqlite/sqlite_path.h"

/* Long enough to be nothing else by chance, and not a part of the URL outside the password. */
#define SECRET "s3cr3t-W0rd"

static void check_hidden(const char *text, const char *message)
{
    if (strstr(text, SECRET)) CHECK(!strstr(message, SECRET));
}

/* Whether the secret stands where a password stands, and nowhere else. */
static bool is_password_only(const char *text)
{
    const char *found = strstr(text, SECRET);
    if (!found || strstr(found + 1, SECRET)) return false;
    const char *start = strstr(text, "://"), *at = strrchr(text, '@');
    if (!start || start != strchr(text, ':') || start > found || !at || at < found) return false;
    return memchr(start + 3, ':', (size_t)(found - start - 3)) != NULL;
}

static void check_parts(const pawl_url *url)
{
    CHECK(url->scheme && url->scheme[0] && url->path && url->redacted);
    CHECK(url->port == -1 || (url->port > 0 && url->port <= 65535));
    CHECK(url->option_count <= PAWL_URL_OPTIONS_MAX);
    for (size_t i = 0; i < url->option_count; i++)
        CHECK(url->options[i].key[0] && url->options[i].value);
}

static void read_by_redis(const pawl_url *url, const char *text, bool secret)
{
    pawl__redis_config config;
    char message[PAWL_MESSAGE_MAX];
    int err = pawl__redis_config_init(&config, url, 5000, message);
    if (err) {
        fuzz_check_line(message, sizeof message);
        if (secret) check_hidden(text, message);
        return;
    }
    CHECK((config.host != NULL) != (config.unix_path != NULL));
    CHECK(config.where && config.port >= 0 && config.port <= 65535);
    if (secret) check_hidden(text, config.where);
    pawl__redis_config_done(&config);
}

static void read_by_sqlite(const pawl_url *url, const char *text, bool secret)
{
    char path[PATH_MAX], message[PAWL_MESSAGE_MAX];
    if (pawl__sqlite_path_of_url(url, path, message) == 0) {
        CHECK(path[0] == '\0' || path[0] == '/');
        CHECK(strlen(path) < PAWL__SQLITE_PATH_MAX);
        return;
    }
    fuzz_check_line(message, sizeof message);
    if (secret) check_hidden(text, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[PAWL_MESSAGE_MAX];
    pawl__address *address;
    char *text = fuzz_text((fuzz_input){data, size});
    bool secret = is_password_only(text);
    if (pawl__address_parse(text, &address, message)) {
        fuzz_check_line(message, sizeof message);
        if (secret) check_hidden(text, message);
        free(text);
        return 0;
    }
    const pawl_url *url = pawl__address_url(address);
    check_parts(url);
    if (secret) check_hidden(text, url->redacted);
    if (pawl__address_check_options(address, "redis", pawl__redis_options, message))
        fuzz_check_line(message, sizeof message);
    read_by_redis(url, text, secret);
    read_by_sqlite(url, text, secret);
    pawl__address_free(address);
    free(text);
    return 0;
}
