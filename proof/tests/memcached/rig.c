/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static memcached_server *server;
static test_loop *the_loop;

void rig_need_server(void)
{
    rig_need(memcached_server_exists(), "there is no memcached on this machine");
}

void rig_begin_with(const char *const *arguments)
{
    server = memcached_server_start(arguments);
    the_loop = test_loop_new();
}

int rig_begin(void **state)
{
    (void)state;
    rig_begin_with(NULL);
    return 0;
}

int rig_end(void **state)
{
    (void)state;
    test_loop_free(the_loop);
    memcached_server_stop(server);
    return 0;
}

memcached_server *rig_server(void)
{
    return server;
}

test_loop *rig_loop(void)
{
    return the_loop;
}

store_address rig_address(const char *socket)
{
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "memcached+unix",
                           .path = socket ? socket : memcached_server_socket(server),
                           .options = {{"guard", "off"}},
                           .option_count = 1};
}

store_address rig_guarded(const char *guard_ms)
{
    store_address address = rig_address(NULL);
    address.options[0] = (pawl_url_option){"guard", "on"};
    address.options[1] = (pawl_url_option){"guard_ms", guard_ms};
    address.option_count = 2;
    return address;
}

const char *rig_key(const char *name)
{
    static char key[256];
    snprintf(key, sizeof key, "pawl:%s", name);
    return key;
}

void rig_command(const char *expected, const char *command, const char *data)
{
    char line[512];
    memcached_server_ask(server, command, data, line, sizeof line);
    if (strncmp(line, expected, strlen(expected)) != 0)
        FAIL_TEST("%s: %s, expected %s", command, line, expected);
}

void rig_put(const char *name, const char *token, uint64_t fence, int seconds)
{
    char command[300], value[300];
    int len = snprintf(value, sizeof value, "pawl1 %c %" PRIu64 " %s %zu 0\n%s", token ? 'h' : 'f',
                       fence, token ? token : "-", strlen(name), name);
    snprintf(command, sizeof command, "ms %s %d T%d", rig_key(name), len, seconds);
    rig_command("HD", command, value);
}

void rig_remove(const char *name)
{
    char command[300];
    snprintf(command, sizeof command, "md %s", rig_key(name));
    rig_command("HD", command, NULL);
}

const pawl_info *rig_inspect(client *c, const char *name, const char *token)
{
    pawl_request request = ask_inspect(name, token);
    uint64_t id = client_submit(c, &request);
    client_flush(c);
    CHECK(client_await(c, id)->reply.outcome == PAWL_REPORTED);
    return client_row(c, id, 0);
}
