/* SPDX-License-Identifier: MIT */
/*
 * What Beego's cache.NewCache takes, as JSON or as the settings of an app.conf, made into a
 * store's URL. Every URL that comes out must be one that pawl reads, with the same parts.
 *
 *   input: adapter, how (2 bytes); then the JSON, or texts that end with a NUL each
 */
#include "fuzz.h"

#include "beego/config/adapter.h"
#include "beego/config/cache_json.h"
#include "pawl/types.h"
#include "runtime/url.h"

static const char *const adapters[] = {"redis", "file", "memory", "memcache", "nonsense"};

static const char *option_of(const pawl_url *url, const char *key)
{
    for (size_t i = 0; i < url->option_count; i++)
        if (strcmp(url->options[i].key, key) == 0) return url->options[i].value;
    return NULL;
}

/* conn may be a URL of the user's own, which is passed on as it is, mistakes and all. */
static bool is_own_url(const pawl__adapter_settings *settings)
{
    const char *conn = settings->conn.value;
    return conn && strstr(conn, "://") && strncmp(conn, "redis://", 8) != 0;
}

static void check_url(const pawl__adapter_settings *settings, const char *text)
{
    pawl__address *address;
    char message[PAWL_MESSAGE_MAX];
    int err = pawl__address_parse(text, &address, message);
    if (err && (is_own_url(settings) || strlen(text) > 4096)) return;
    if (err) FAIL_TEST("%s: %s", text, message);
    const pawl_url *url = pawl__address_url(address);
    const char *password = settings->password.value, *key = settings->key.value;
    if (strcmp(settings->adapter.value, "redis") == 0 && !is_own_url(settings)) {
        if (password && *password) CHECK(url->password && strcmp(url->password, password) == 0);
        const char *prefix = option_of(url, "prefix");
        if (key && *key) CHECK(prefix && strncmp(prefix, key, strlen(key)) == 0);
    }
    pawl__address_free(address);
}

static void make_url(const pawl__adapter_settings *settings)
{
    char *url = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    if (pawl__adapter_url(settings, &url, message)) {
        fuzz_check_line(message, sizeof message);
        return;
    }
    check_url(settings, url);
    free(url);
}

static void read_json(const char *adapter, fuzz_input in)
{
    pawl__cache_json *json;
    char message[PAWL_MESSAGE_MAX];
    pawl__adapter_settings settings = {.adapter = {adapter, ""}};
    char *text = fuzz_text(in);
    if (pawl__cache_json_read(adapter, "cache", text, &json, message)) {
        fuzz_check_line(message, sizeof message);
    } else {
        pawl__cache_json_settings(json, &settings);
        make_url(&settings);
        pawl__cache_json_free(json);
    }
    free(text);
}

static const char *next_text(char **rest, const char *end, unsigned given)
{
    if (!given || *rest >= end) return NULL;
    const char *text = *rest;
    *rest += strlen(text) + 1;
    return text;
}

static void read_settings(const char *adapter, unsigned given, fuzz_input in)
{
    char *texts = fuzz_text(in), *rest = texts;
    const char *end = texts + in.left;
    pawl__adapter_settings settings = {.adapter = {adapter, "app.conf:1"}};
    settings.conn = (pawl__setting){next_text(&rest, end, given & 1), "app.conf:2"};
    settings.dbnum = (pawl__setting){next_text(&rest, end, given & 2), "app.conf:3"};
    settings.password = (pawl__setting){next_text(&rest, end, given & 4), "app.conf:4"};
    settings.key = (pawl__setting){next_text(&rest, end, given & 8), "app.conf:5"};
    settings.dir = next_text(&rest, end, given & 16);
    settings.skip_empty_prefix = given & 32;
    make_url(&settings);
    free(texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    const char *adapter = adapters[fuzz_below(&in, sizeof adapters / sizeof adapters[0])];
    unsigned given = fuzz_byte(&in);
    if (given & 128)
        read_settings(adapter, given, in);
    else
        read_json(adapter, in);
    return 0;
}
