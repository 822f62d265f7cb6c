/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "serve.h"

#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 50

static size_t number_of(struct evkeyvalq *words, const char *name, size_t fallback, size_t most)
{
    const char *text = evhttp_find_header(words, name);
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || digits > 9 || text[digits]) return fallback;
    size_t number = strtoul(text, NULL, 10);
    return number < most ? number : most;
}

static void text_of(struct evkeyvalq *words, const char *name, char ret_text[SERVE_TYPED_MAX])
{
    const char *text = evhttp_find_header(words, name);
    snprintf(ret_text, SERVE_TYPED_MAX, "%s", text ? text : "");
}

static serve_sort sort_of(struct evkeyvalq *words)
{
    static const char *const names[] = {"waiting", "age", "held", "left", "name"};
    const char *text = evhttp_find_header(words, "sort");
    for (size_t i = 0; text && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) return (serve_sort)i;
    return SERVE_BY_WAITING;
}

void serve_view_parse(const char *query, serve_view *ret_view)
{
    struct evkeyvalq words;
    *ret_view = (serve_view){.limit = LIMIT_DEFAULT};
    if (!query || evhttp_parse_query_str(query, &words) != 0) return;
    text_of(&words, "prefix", ret_view->prefix);
    text_of(&words, "search", ret_view->search);
    ret_view->sort = sort_of(&words);
    ret_view->offset = number_of(&words, "offset", 0, SIZE_MAX);
    ret_view->limit = number_of(&words, "limit", LIMIT_DEFAULT, SERVE_ROWS_MAX);
    evhttp_clear_headers(&words);
}

static bool name_of_hex(const char *digits, char ret_name[PAWL_NAME_MAX + 1], size_t *ret_len)
{
    size_t len = strlen(digits);
    if (len % 2 || len / 2 > PAWL_NAME_MAX || strspn(digits, "0123456789abcdef") != len)
        return false;
    for (size_t i = 0; i < len / 2; i++) {
        char pair[3] = {digits[2 * i], digits[2 * i + 1], '\0'};
        ret_name[i] = (char)strtoul(pair, NULL, 16);
    }
    *ret_len = len / 2;
    return true;
}

bool serve_name_of(const char *text, const char *hex, char ret_name[PAWL_NAME_MAX + 1],
                   size_t *ret_len)
{
    if (hex && !name_of_hex(hex, ret_name, ret_len)) return false;
    if (!hex) {
        *ret_len = text ? strlen(text) : 0;
        if (*ret_len > PAWL_NAME_MAX) return false;
        memcpy(ret_name, text ? text : "", *ret_len);
    }
    ret_name[*ret_len] = '\0';
    return *ret_len > 0 && !memchr(ret_name, 0, *ret_len);
}

bool serve_query_name(const char *query, char ret_name[PAWL_NAME_MAX + 1], size_t *ret_len)
{
    struct evkeyvalq words;
    if (!query || evhttp_parse_query_str(query, &words) != 0) return false;
    bool has_name = serve_name_of(evhttp_find_header(&words, "key"),
                                  evhttp_find_header(&words, "key_hex"), ret_name, ret_len);
    evhttp_clear_headers(&words);
    return has_name;
}
