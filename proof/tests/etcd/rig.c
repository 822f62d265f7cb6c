/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/etcd/etcd_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static etcd_server *server;
static test_loop *the_loop;

void rig_need_server(void)
{
    rig_need(etcd_server_exists(), "there is no etcd on this machine");
}

int rig_begin_with(int members)
{
    server = etcd_server_start(members);
    the_loop = test_loop_new();
    return 0;
}

int rig_begin_one(const char *const *arguments, bool tls)
{
    server = etcd_server_start_with(1, arguments, tls);
    the_loop = test_loop_new();
    return 0;
}

int rig_begin(void **state)
{
    (void)state;
    return rig_begin_with(1);
}

int rig_end(void **state)
{
    (void)state;
    test_loop_free(the_loop);
    etcd_server_stop(server);
    return 0;
}

etcd_server *rig_server(void)
{
    return server;
}

test_loop *rig_loop(void)
{
    return the_loop;
}

store_address rig_address(void)
{
    const char *hosts = etcd_server_hosts(server);
    bool several = strchr(hosts, ',') != NULL;
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "etcd",
                           .host = several ? hosts : "127.0.0.1",
                           .port = several ? 0 : etcd_server_port(server, 0),
                           .path = ""};
}

/* ---- A stranger ---------------------------------------------------------------------------- */

void rig_command(const char *path, const char *json, const char *expected)
{
    char answer[16384];
    CHECK(etcd_server_ask(server, 0, path, json, NULL, answer, sizeof answer));
    if (!strstr(answer, expected)) FAIL_TEST("%s %s: %s", path, json, answer);
}

#define ROOT "{\"name\":\"root\",\"password\":\"secret\"}"

void rig_demand_login(void)
{
    rig_command("/v3/auth/user/add", ROOT, "\"revision\"");
    rig_command("/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}", "header");
    rig_command("/v3/auth/enable", "{}", "\"revision\"");
}

void rig_command_as_root(const char *path, const char *json)
{
    char answer[4096], token[1024];
    CHECK(etcd_server_ask(server, 0, "/v3/auth/authenticate", ROOT, NULL, answer, sizeof answer));
    const char *at = strstr(answer, "\"token\":\"");
    CHECK(at != NULL);
    at += strlen("\"token\":\"");
    snprintf(token, sizeof token, "%.*s", (int)strcspn(at, "\""), at);
    CHECK(etcd_server_ask(server, 0, path, json, token, answer, sizeof answer));
    if (!strstr(answer, "\"revision\"")) FAIL_TEST("%s: %s", path, answer);
}

/* {"key":..,"range_end":..}: all keys of the name. */
static void add_range(pawl__etcd_text *body, const char *name)
{
    pawl__etcd_bytes start, end;
    pawl__etcd_key_of_name(&start, "pawl/", name, strlen(name));
    pawl__etcd_key_behind(&end, &start);
    pawl__etcd_add(body, "{\"key\":\"");
    pawl__etcd_add_base64(body, start.at, start.len);
    pawl__etcd_add(body, "\",\"range_end\":\"");
    pawl__etcd_add_base64(body, end.at, end.len);
    pawl__etcd_add(body, "\"}");
}

void rig_remove(const char *name)
{
    pawl__etcd_text body = {0};
    add_range(&body, name);
    rig_command("/v3/kv/deleterange", body.at, "\"deleted\":\"1\"");
    pawl__etcd_text_done(&body);
}

void rig_revoke(const char *name)
{
    pawl__etcd_text body = {0};
    char answer[16384], json[64];
    add_range(&body, name);
    CHECK(etcd_server_ask(server, 0, "/v3/kv/range", body.at, NULL, answer, sizeof answer));
    pawl__etcd_text_done(&body);
    const char *lease = strstr(answer, "\"lease\":\"");
    CHECK(lease != NULL);
    int64_t id = strtoll(lease + strlen("\"lease\":\""), NULL, 10);
    snprintf(json, sizeof json, "{\"ID\":\"%" PRId64 "\"}", id);
    rig_command("/v3/lease/revoke", json, "\"revision\"");
}
