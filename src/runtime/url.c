/* SPDX-License-Identifier: MIT */
/*
 * URLs as in RFC 3986, without fragments. Errors are reported with their place, which existing
 * parsers do not tell. Everything that a message shows is redacted first.
 */
#define _GNU_SOURCE
#include "url.h"

#include "../base/line.h"
#include "redact.h"

#include <arpa/inet.h>
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
    for (size_t i = 0; i < address->owned_count; i++) {
        explicit_bzero(address->owned[i], strlen(address->owned[i])); /* one is the password */
        free(address->owned[i]);
    }
    free(address);
}

/* Keeps a malloc'ed string until the address is freed. */
static const char *keep(pawl__address *address, char *text)
{
    if (text) address->owned[address->owned_count++] = text;
    return text;
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

/* Allows the characters of RFC 3986, and %XX for the bytes that it may encode. */
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
 * Refuses a password with a plain / or ? in it, and an address without its //: what follows would
 * look like a path or options, and would be quoted in messages.
 */
static int check_authority(const char *text, const char *redacted, char *message)
{
    const char *start = strstr(text, "://"), *at = strrchr(text, '@');
    if (!at || pawl__redact_is_path(text)) return PAWL_OK;
    if (!start)
        return fail(message, PAWL_ERR_URL, redacted,
                    "an @ without // before it: expected scheme://user:password@host");
    const char *end = start + 3 + strcspn(start + 3, "/?");
    if (at < end) return PAWL_OK;
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

/* ---- Split (RFC 3986, appendix B) ----------------------------------------------------------- */

typedef struct piece {
    const char *at; /* NULL: absent */
    size_t len;
} piece;

typedef struct place {
    piece host, port;
} place;

typedef struct pieces {
    piece scheme, authority, userinfo, hosts, path, query;
    place only; /* empty: there are several hosts, or none */
} pieces;

static piece piece_of(const char *from, const char *to)
{
    return (piece){from, (size_t)(to - from)};
}

static const char *find(piece where, char c)
{
    return where.len ? memchr(where.at, c, where.len) : NULL;
}

static place split_place(piece where)
{
    const char *start = where.at, *end = start + where.len;
    const char *bracket = find(where, ']');
    const char *after = bracket && *start == '[' ? bracket + 1 : start;
    const char *colon = find(piece_of(after, end), ':');
    if (!colon) return (place){.host = where};
    return (place){piece_of(start, colon), piece_of(colon + 1, end)};
}

/* The next of several hosts; false: there is none. `rest` has at NULL after the last. */
static bool next_place(piece *rest, place *ret_place)
{
    if (!rest->at) return false;
    const char *comma = find(*rest, ','), *end = rest->at + rest->len;
    *ret_place = split_place(piece_of(rest->at, comma ? comma : end));
    *rest = comma ? piece_of(comma + 1, end) : (piece){NULL, 0};
    return true;
}

static void split_authority(pieces *p)
{
    const char *start = p->authority.at, *end = start + p->authority.len;
    const char *at = find(p->authority, '@');
    if (at) {
        p->userinfo = piece_of(start, at);
        start = at + 1;
    }
    p->hosts = piece_of(start, end);
    if (!find(p->hosts, ',')) p->only = split_place(p->hosts);
}

/* The scheme has been checked. */
static pieces split(const char *text)
{
    pieces p = {.scheme = {text, strcspn(text, ":")}};
    const char *rest = text + p.scheme.len + 1;
    if (strncmp(rest, "//", 2) == 0) {
        p.authority = (piece){rest + 2, strcspn(rest + 2, "/?")};
        split_authority(&p);
        rest = p.authority.at + p.authority.len;
    }
    p.path = (piece){rest, strcspn(rest, "?")};
    rest += p.path.len;
    if (*rest == '?') p.query = (piece){rest + 1, strlen(rest + 1)};
    return p;
}

static bool is_ipv6(piece host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (host.len < 2 || host.at[host.len - 1] != ']' || host.len - 2 >= sizeof text) return false;
    memcpy(text, host.at + 1, host.len - 2);
    text[host.len - 2] = '\0';
    return inet_pton(AF_INET6, text, address) == 1;
}

static int check_host(piece host, const char *redacted, char *message)
{
    if (find(host, '[') && !find(host, ']'))
        return fail(message, PAWL_ERR_URL, redacted, "an IPv6 address whose ] is missing");
    if (host.len && *host.at == '[' && !is_ipv6(host))
        return fail(message, PAWL_ERR_URL, redacted, "what stands in [ ] is no IPv6 address");
    return PAWL_OK;
}

/* Digits only. */
static int port_number(piece port)
{
    if (port.len == 0) return -1;
    int number = 0;
    for (size_t i = 0; i < port.len && number <= 65535; i++)
        number = number * 10 + port.at[i] - '0';
    return number;
}

static int check_port(const char *text, piece port, const char *redacted, char *message)
{
    if (find(port, ':'))
        return fail(message, PAWL_ERR_URL, redacted,
                    "more than one : after the host (an IPv6 address stands in [ ])");
    for (size_t i = 0; i < port.len; i++)
        if (!isdigit((unsigned char)port.at[i]))
            return fail_at(message, redacted, "a port that is no number",
                           (size_t)(port.at + i - text));
    int number = port_number(port);
    if (number == 0 || number > 65535)
        return fail(message, PAWL_ERR_URL, redacted, "a port that is not between 1 and 65535");
    return PAWL_OK;
}

/* Brackets are allowed only around an IPv6 address. */
static bool is_bracket_of_host(const pieces *p, const char *c)
{
    piece rest = p->hosts;
    place one;
    while (next_place(&rest, &one)) {
        if (!one.host.len || *one.host.at != '[') continue;
        if (c == one.host.at || c == one.host.at + one.host.len - 1) return true;
    }
    return false;
}

static int check_brackets(const char *text, const pieces *p, const char *redacted, char *message)
{
    for (size_t i = 0; text[i]; i++) {
        if (text[i] != '[' && text[i] != ']') continue;
        if (is_bracket_of_host(p, text + i)) continue;
        return fail_at(message, redacted, "a [ or ], which must be written %5B or %5D,", i);
    }
    return PAWL_OK;
}

static int check_pieces(const char *text, const pieces *p, const char *redacted, char *message)
{
    piece rest = p->hosts;
    place one;
    if (find(p->hosts, '@'))
        return fail(message, PAWL_ERR_URL, redacted,
                    "more than one @ (in a user or password it is written %40)");
    while (next_place(&rest, &one)) {
        int err = check_host(one.host, redacted, message);
        if (!err) err = check_port(text, one.port, redacted, message);
        if (err) return err;
    }
    return check_brackets(text, p, redacted, message);
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

static bool take_userinfo(pawl__address *address, piece userinfo)
{
    if (!userinfo.at) return true;
    const char *colon = find(userinfo, ':'), *end = userinfo.at + userinfo.len;
    size_t user_len = (size_t)((colon ? colon : end) - userinfo.at);
    if (user_len > 0 && !take(address, userinfo.at, user_len, &address->url.user)) return false;
    if (!colon) return true;
    return take(address, colon + 1, (size_t)(end - colon - 1), &address->url.password);
}

/* Several hosts stay together as they are written: their store parses the ports.
 */
static bool take_hosts(pawl__address *address, const pieces *p)
{
    piece host = p->only.host.at ? p->only.host : p->hosts;
    address->url.port = port_number(p->only.port);
    if (host.len == 0) return true;
    if (p->only.host.at && host.at[0] == '[')
        return take(address, host.at + 1, host.len - 2, &address->url.host);
    return take(address, host.at, host.len, &address->url.host);
}

static int take_option(pawl__address *address, const char *text, size_t len, char *message)
{
    pawl_url *url = &address->url;
    const char *equals = memchr(text, '=', len);
    char line[200];
    if (!equals || equals == text) {
        snprintf(line, sizeof line, "option %zu is not key=value", url->option_count + 1);
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

/* A scheme becomes lowercase, whatever the user typed. */
static bool take_scheme(pawl__address *address, piece scheme)
{
    char *copy = strndup(scheme.at, scheme.len);
    if (!copy) return false;
    for (char *p = copy; *p; p++) *p = (char)tolower((unsigned char)*p);
    address->url.scheme = keep(address, copy);
    return true;
}

static int take_pieces(pawl__address *address, const pieces *p, char *message)
{
    pawl_url *url = &address->url;
    if (!take_scheme(address, p->scheme) || !take_userinfo(address, p->userinfo) ||
        !take_hosts(address, p) || !take(address, p->path.at, p->path.len, &url->path))
        return fail(message, PAWL_ERR_NO_MEMORY, url->redacted, "out of memory");
    return take_options(address, p->query.at, message);
}

static int parse(pawl__address *address, const char *text, char *message)
{
    const char *redacted = address->url.redacted;
    int err = check_scheme(text, redacted, message);
    if (err) return err;
    err = check_characters(text, redacted, message);
    if (!err) err = check_authority(text, redacted, message);
    if (err) return err;
    pieces p = split(text);
    err = check_pieces(text, &p, redacted, message);
    return err ? err : take_pieces(address, &p, message);
}

int pawl__address_parse(const char *text, pawl__address **ret_address, char *reterr_message)
{
    if (strlen(text) > URL_MAX) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "a URL of more than %d bytes", URL_MAX);
        return PAWL_ERR_URL;
    }
    pawl__address *address = calloc(1, sizeof *address);
    if (address) address->url.redacted = keep(address, pawl__redact(text));
    if (!address || !address->url.redacted) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        pawl__address_free(address);
        return PAWL_ERR_NO_MEMORY;
    }
    int err = parse(address, text, reterr_message);
    if (err) {
        pawl__line_mend(reterr_message); /* it quotes text that may not be a URL */
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

#define AND_MORE ", ..."

/* Whole words, as many as fit. */
static void list_known(const char *const *known, char *ret_list, size_t size)
{
    size_t used = 0;
    ret_list[0] = '\0';
    for (size_t i = 0; known && known[i]; i++) {
        size_t needed = strlen(known[i]) + (i ? strlen(", ") : 0);
        bool is_last = !known[i + 1];
        if (used + needed + (is_last ? 0 : strlen(AND_MORE)) >= size) {
            snprintf(ret_list + used, size - used, AND_MORE);
            return;
        }
        used += (size_t)snprintf(ret_list + used, size - used, "%s%s", i ? ", " : "", known[i]);
    }
}

int pawl__address_check_options(const pawl__address *address, const char *store,
                                const char *const *known, char *reterr_message)
{
    const pawl_url *url = &address->url;
    for (size_t i = 0; i < url->option_count; i++) {
        if (is_known(known, url->options[i].key)) continue;
        char list[360];
        list_known(known, list, sizeof list);
        snprintf(reterr_message, PAWL_MESSAGE_MAX,
                 "the store %s has no option \"%.60s\"; it has: %s", store, url->options[i].key,
                 list[0] ? list : "none");
        pawl__line_mend(reterr_message);
        return PAWL_ERR_OPTION;
    }
    return PAWL_OK;
}
