/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "link_words.h"

#include <string.h>

const seen_reply *expect(client *c, pawl_request request, pawl_outcome outcome)
{
    const seen_reply *a = client_ask(c, &request);
    if (a->reply.outcome != outcome)
        fail_msg("verb %d: outcome %d (%s), expected %d", (int)request.verb, (int)a->reply.outcome,
                 a->text, (int)outcome);
    return a;
}

void lock_and_unlock(client *c)
{
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    expect(c, ask_release("x", token), PAWL_RELEASED);
}

typedef struct link_wish {
    client *client;
    pawl_err err;
} link_wish;

static bool is_down_for(void *arg)
{
    link_wish *w = arg;
    size_t n = client_link_count(w->client);
    return n > 0 && !client_link(w->client, n - 1)->up &&
           client_link(w->client, n - 1)->err == w->err;
}

const char *await_down(client *c, pawl_err err)
{
    link_wish wish = {.client = c, .err = err};
    test_loop_until(client_loop(c), is_down_for, &wish, pawl_err_name(err));
    return client_link(c, client_link_count(c) - 1)->text;
}

void says(const char *text, const char *word)
{
    if (!strstr(text, word)) fail_msg("\"%s\" does not say \"%s\"", text, word);
}

void add_option(store_address *address, const char *key, const char *value)
{
    address->options[address->option_count++] = (pawl_url_option){.key = key, .value = value};
}
