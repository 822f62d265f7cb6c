/* SPDX-License-Identifier: MIT */
/*
 * URLs by libevent's parser, with what it does not say: where a URL is wrong.
 * Everything that a message shows is redacted first.
 */
#define _GNU_SOURCE
#include "url.h"

#include "../base/line.h"

#include <event2/http.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096 /* bytes; longer is a mistake, not an address (law 8) */

struct pawl__address {
    pawl_url url;
    char *owned[8 + 2 * PAWL_URL_OPTIONS_MAX];
    size_t owned_count;
};

const pawl_url *pawl__address_url(const pawl__address *address)
{
    return &address->url;
}

void pawl__address_free(pawl__address *address)
{
    if (!address) return;
    for (size_t i = 0; i < address->owned_count; i++) free(address->owned[i]);
    free(address);
}

/* Keeps a malloc'ed string until the address is freed. */
static const char *keep(pawl__address *address, char *text)
{
    if (text) address->owned[address->owned_count++] = text;
    return text;
}

/* ---- Redaction ------------------------------------------------------------------------------ */

static bool is_secret_option(const char *text)
{
    return strncmp(text, "password=", 9) == 0 || strncmp(text, "pass=", 5) == 0;
}

/* Copies text with [from, to) replaced by ***. */
static char *hide(const char *text, size_t from, size_t to)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 4);
    if (!copy) return NULL;
    memcpy(copy, text, from);
    memcpy(copy + from, "***", 3);
    memcpy(copy + from + 3, text + to, len - to + 1);
    return copy;
}

/* Also works on what is no valid URL: whatever stands between the first : and the last @. */
static char *redact_authority(const char *text)
{
    const char *start = strstr(text, "://");
    if (!start) return strdup(text);
    start += 3;
    const char *at = strrchr(start, '@');
    if (!at) return strdup(text);
    const char *colon = memchr(start, ':', (size_t)(at - start));
    if (!colon) return strdup(text);
    return hide(text, (size_t)(colon + 1 - text), (size_t)(at - text));
}

static char *redact(const char *text)
{
    char *result = redact_authority(text);
    size_t at = result ? strcspn(result, "?") : 0;
    while (result && result[at]) {
        size_t start = at + 1, end = start + strcspn(result + start, "&#");
        at = end;
        if (!is_secret_option(result + start)) continue;
        size_t value = start + strcspn(result + start, "=") + 1;
        char *hidden = hide(result, value, end);
        free(result);
        result = hidden;
        at = value + 3; /* behind the *** */
    }
    return result;
}

/* ---- Errors --------------------------------------------------------------------------------- */

static int fail(char *message, int err, const char *redacted, const char *what)
{
    snprintf(message, PAWL_MESSAGE_MAX, "%s, in \"%.300s\"", what, redacted);
    return err;
}

static int fail_at(char *message, const char *redacted, const char *what, size_t position)
{
    char line[200];
    snprintf(line, sizeof line, "%s at character %zu", what, position + 1);
    return fail(message, PAWL_ERR_URL, redacted, line);
}

/* The characters of RFC 3986, and %XX with what it may stand for. */
static int check_characters(const char *text, const char *redacted, char *message)
{
    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '%') {
            if (!isxdigit((unsigned char)text[i + 1]) || !isxdigit((unsigned char)text[i + 2]))
                return fail_at(message, redacted, "% without two hex digits", i);
            if (text[i + 1] == '0' && text[i + 2] == '0')
                return fail_at(message, redacted, "%00 (a NUL) is not allowed", i);
            continue;
        }
        if (c == ' ') return fail_at(message, redacted, "a space, which must be written %20,", i);
        if (c == '#')
            return fail_at(message, redacted, "a #, which must be written %23 (no fragments here),",
                           i);
        if (isalnum(c) || strchr("-._~:/?[]@!$&'()*+,;=", c)) continue;
        char what[80];
        snprintf(what, sizeof what, "a byte 0x%02X, which must be written %%%02X,", c, c);
        return fail_at(message, redacted, what, i);
    }
    return PAWL_OK;
}

/*
 * A password with a bare / or ? in it: what follows would be taken for a path or for options,
 * and be quoted as such.
 */
static int check_authority(const char *text, const char *redacted, char *message)
{
    const char *start = strstr(text, "://");
    if (!start) return PAWL_OK;
    start += 3;
    const char *end = start + strcspn(start, "/?"), *at = strrchr(start, '@');
    if (!at || at < end || !memchr(start, ':', (size_t)(at - start))) return PAWL_OK;
    return fail(message, PAWL_ERR_URL, redacted,
                "an @ behind the host: it is written %40, in a password / is %2F and ? is %3F");
}

static int check_scheme(const char *text, const char *redacted, char *message)
{
    const char *colon = strchr(text, ':');
    size_t len = strcspn(text, ":/?");
    if (!colon || len == 0 || text + len != colon)
        return fail(message, PAWL_ERR_URL, redacted,
                    "a store's URL begins with its scheme, as in redis://localhost");
    if (!isalpha((unsigned char)text[0]))
        return fail_at(message, redacted, "a scheme begins with a letter; wrong", 0);
    for (size_t i = 1; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("+-.", text[i]))
            return fail_at(message, redacted, "a character that a scheme cannot have", i);
    return PAWL_OK;
}

/* Says why the parser refused what has good characters and a good scheme. */
static int explain_refusal(const char *text, const char *redacted, char *message)
{
    const char *start = strstr(text, "://");
    if (!start) return fail(message, PAWL_ERR_URL, redacted, "a malformed path");
    start += 3;
    size_t len = strcspn(start, "/?");
    const char *host = start;
    size_t at_signs = 0;
    for (size_t i = 0; i < len; i++) {
        if (start[i] != '@') continue;
        host = start + i + 1;
        at_signs++;
    }
    if (at_signs > 1)
        return fail(message, PAWL_ERR_URL, redacted,
                    "more than one @ (in a user or password it is written %40)");
    size_t host_len = len - (size_t)(host - start);
    const char *bracket = memchr(host, ']', host_len);
    if (memchr(host, '[', host_len) && !bracket)
        return fail(message, PAWL_ERR_URL, redacted, "an IPv6 address whose ] is missing");
    const char *port = bracket ? bracket + 1 : memchr(host, ':', host_len);
    if (port && port < host + host_len && *port == ':') {
        const char *end = host + host_len;
        if (!bracket && memchr(port + 1, ':', (size_t)(end - port - 1)))
            return fail(message, PAWL_ERR_URL, redacted,
                        "more than one : after the host (an IPv6 address stands in [ ])");
        for (const char *p = port + 1; p < end; p++)
            if (!isdigit((unsigned char)*p))
                return fail_at(message, redacted, "a port that is no number", (size_t)(p - text));
        return fail(message, PAWL_ERR_URL, redacted, "a port that is not between 1 and 65535");
    }
    return fail(message, PAWL_ERR_URL, redacted, "a malformed host");
}

/* ---- Parts ---------------------------------------------------------------------------------- */

/* %XX decoded; a plus stays a plus. text has been checked. */
static char *decode(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    if (!out) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            out[n++] = text[i];
            continue;
        }
        char hex[3] = {text[i + 1], text[i + 2], '\0'};
        out[n++] = (char)strtol(hex, NULL, 16);
        i += 2;
    }
    out[n] = '\0';
    return out;
}

/* false: out of memory. */
static bool take(pawl__address *address, const char *text, size_t len, const char **ret_part)
{
    const char *part = keep(address, decode(text, len));
    if (!part) return false;
    *ret_part = part;
    return true;
}

static bool take_userinfo(pawl__address *address, const char *userinfo)
{
    if (!userinfo) return true;
    size_t user_len = strcspn(userinfo, ":");
    if (user_len > 0 && !take(address, userinfo, user_len, &address->url.user)) return false;
    if (userinfo[user_len] != ':') return true;
    const char *password = userinfo + user_len + 1;
    return take(address, password, strlen(password), &address->url.password);
}

static bool take_host(pawl__address *address, const char *host)
{
    if (!host || !*host) return true;
    size_t len = strlen(host);
    if (host[0] == '[') return take(address, host + 1, len - 2, &address->url.host);
    return take(address, host, len, &address->url.host);
}

static int take_option(pawl__address *address, const char *text, size_t len, char *message)
{
    pawl_url *url = &address->url;
    const char *equals = memchr(text, '=', len);
    char line[200];
    if (!equals || equals == text) {
        snprintf(line, sizeof line, "an option that is not key=value: \"%.*s\"",
                 (int)(len < 60 ? len : 60), text);
        return fail(message, PAWL_ERR_OPTION, url->redacted, line);
    }
    if (url->option_count == PAWL_URL_OPTIONS_MAX) {
        snprintf(line, sizeof line, "more than %d options", PAWL_URL_OPTIONS_MAX);
        return fail(message, PAWL_ERR_OPTION, url->redacted, line);
    }
    pawl_url_option *option = &url->options[url->option_count];
    size_t key_len = (size_t)(equals - text);
    if (!take(address, text, key_len, &option->key) ||
        !take(address, equals + 1, len - key_len - 1, &option->value))
        return fail(message, PAWL_ERR_NO_MEMORY, url->redacted, "out of memory");
    for (size_t i = 0; i < url->option_count; i++) {
        if (strcmp(url->options[i].key, option->key) != 0) continue;
        snprintf(line, sizeof line, "the option \"%.60s\" stands there twice", option->key);
        return fail(message, PAWL_ERR_OPTION, url->redacted, line);
    }
    url->option_count++;
    return PAWL_OK;
}

static int take_options(pawl__address *address, const char *query, char *message)
{
    while (query && *query) {
        size_t len = strcspn(query, "&");
        int err = take_option(address, query, len, message);
        if (err) return err;
        query += len;
        if (*query == '&') query++;
    }
    return PAWL_OK;
}

/* A scheme is written small, whatever the user typed. */
static bool take_scheme(pawl__address *address, const char *scheme)
{
    char *copy = strdup(scheme);
    if (!copy) return false;
    for (char *p = copy; *p; p++) *p = (char)tolower((unsigned char)*p);
    address->url.scheme = keep(address, copy);
    return true;
}

static int take_apart(pawl__address *address, const struct evhttp_uri *uri, char *message)
{
    pawl_url *url = &address->url;
    const char *path = evhttp_uri_get_path(uri);
    if (!path) path = "";
    if (!take_scheme(address, evhttp_uri_get_scheme(uri)) ||
        !take_userinfo(address, evhttp_uri_get_userinfo(uri)) ||
        !take_host(address, evhttp_uri_get_host(uri)) ||
        !take(address, path, strlen(path), &url->path))
        return fail(message, PAWL_ERR_NO_MEMORY, url->redacted, "out of memory");
    url->port = evhttp_uri_get_port(uri);
    if (url->port == 0 || url->port > 65535)
        return fail(message, PAWL_ERR_URL, url->redacted, "a port that is not between 1 and 65535");
    return take_options(address, evhttp_uri_get_query(uri), message);
}

static int parse(pawl__address *address, const char *text, char *message)
{
    const char *redacted = address->url.redacted;
    int err = check_scheme(text, redacted, message);
    if (err) return err;
    err = check_characters(text, redacted, message);
    if (!err) err = check_authority(text, redacted, message);
    if (err) return err;
    struct evhttp_uri *uri = evhttp_uri_parse(text);
    if (!uri) return explain_refusal(text, redacted, message);
    err = take_apart(address, uri, message);
    evhttp_uri_free(uri);
    return err;
}

int pawl__address_parse(const char *text, pawl__address **ret_address, char *reterr_message)
{
    if (strlen(text) > URL_MAX) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "a URL of more than %d bytes", URL_MAX);
        return PAWL_ERR_URL;
    }
    pawl__address *address = calloc(1, sizeof *address);
    if (address) address->url.redacted = keep(address, redact(text));
    if (!address || !address->url.redacted) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        pawl__address_free(address);
        return PAWL_ERR_NO_MEMORY;
    }
    int err = parse(address, text, reterr_message);
    if (err) {
        pawl__line_mend(reterr_message); /* it quotes what may be no URL at all */
        pawl__address_free(address);
        return err;
    }
    *ret_address = address;
    return PAWL_OK;
}

/* ---- Options of a store --------------------------------------------------------------------- */

static bool is_known(const char *const *known, const char *key)
{
    for (; known && *known; known++)
        if (strcmp(*known, key) == 0) return true;
    return false;
}

static void list_known(const char *const *known, char *ret_list, size_t size)
{
    size_t used = 0;
    ret_list[0] = '\0';
    for (size_t i = 0; known && known[i] && used < size; i++)
        used += (size_t)snprintf(ret_list + used, size - used, "%s%s", i ? ", " : "", known[i]);
}

int pawl__address_check_options(const pawl__address *address, const char *store,
                                const char *const *known, char *reterr_message)
{
    const pawl_url *url = &address->url;
    for (size_t i = 0; i < url->option_count; i++) {
        if (is_known(known, url->options[i].key)) continue;
        char list[300];
        list_known(known, list, sizeof list);
        snprintf(reterr_message, PAWL_MESSAGE_MAX,
                 "the store %s has no option \"%.60s\"; it has: %s", store, url->options[i].key,
                 list[0] ? list : "none");
        pawl__line_mend(reterr_message);
        return PAWL_ERR_OPTION;
    }
    return PAWL_OK;
}
