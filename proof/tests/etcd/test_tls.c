/* SPDX-License-Identifier: MIT */
/* A server with a certificate of its own authority: whom pawl believes, and whom the server does.
 */
#define _GNU_SOURCE
#include "../redis/certs.h"
#include "rig.h"

#include "../support/temp_dir.h"

#include <stdio.h>
#include <string.h>

static char *dir; /* of the certificates */

static const char *path_of(const char *name)
{
    return temp_dir_file(dir, name);
}

static store_address secure(const char *host, const char *ca)
{
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "etcds",
                           .host = host,
                           .port = etcd_server_tls_port(rig_server(), 0),
                           .path = "",
                           .options = {{"cacert", path_of(ca)}},
                           .option_count = 1};
}

static store_address certified(const char *host, const char *ca, const char *pem, const char *key)
{
    store_address address = secure(host, ca);
    address.options[1] = (pawl_url_option){"cert", path_of(pem)};
    address.options[2] = (pawl_url_option){"key", path_of(key)};
    address.option_count = 3;
    return address;
}

static void expect_refusal(store_address address, pawl_err err, const char *words)
{
    rig_expect_refusal(rig_loop(), &address, err, words);
}

/* Two clients, so that a watch and its news go over TLS as well. */
static void locks_are_held_and_handed_on(void **state)
{
    store_address address = certified("localhost", "ca.pem", "client.pem", "client.key");
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    const char *name = rig_name(), *held = fresh_token(), *waiter = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waiter);
    rig_expect(b, ask_release(name, waiter), PAWL_RELEASED);
    client_close(a);
    client_close(b);
}

static void a_server_of_another_name_is_refused(void **state)
{
    (void)state;
    expect_refusal(certified("127.0.0.1", "ca.pem", "client.pem", "client.key"), PAWL_ERR_TLS,
                   "127.0.0.1");
}

static void an_unknown_authority_is_refused(void **state)
{
    (void)state;
    expect_refusal(certified("localhost", "other.pem", "client.pem", "client.key"), PAWL_ERR_TLS,
                   "certificate");
    expect_refusal(certified("localhost", "nowhere.pem", "client.pem", "client.key"), PAWL_ERR_TLS,
                   "nowhere.pem");
}

static void a_client_shows_a_certificate_that_the_server_believes(void **state)
{
    (void)state;
    expect_refusal(secure("localhost", "ca.pem"), PAWL_ERR_TLS, "certificate");
    expect_refusal(certified("localhost", "ca.pem", "stranger.pem", "stranger.key"), PAWL_ERR_TLS,
                   "certificate");
    expect_refusal(certified("localhost", "ca.pem", "client.pem", "nowhere.key"), PAWL_ERR_TLS,
                   "nowhere.key");
}

/* The other port of the same server. */
static void a_server_without_tls_is_refused(void **state)
{
    store_address address = secure("localhost", "ca.pem");
    (void)state;
    address.port = etcd_server_port(rig_server(), 0);
    expect_refusal(address, PAWL_ERR_TLS, "localhost");
}

static int begin(void **state)
{
    static const char *arguments[8];
    (void)state;
    dir = temp_dir_new("pawl-etcd-tls");
    authority *ca = authority_new(dir, "ca"), *other = authority_new(dir, "other");
    cert_write(ca, dir, "server", "DNS:localhost", -DAY, DAY);
    cert_write(ca, dir, "client", "DNS:client", -DAY, DAY);
    cert_write(other, dir, "stranger", "DNS:stranger", -DAY, DAY);
    authority_free(ca);
    authority_free(other);
    static char files[3][300];
    snprintf(files[0], sizeof files[0], "%s", path_of("server.pem"));
    snprintf(files[1], sizeof files[1], "%s", path_of("server.key"));
    snprintf(files[2], sizeof files[2], "%s", path_of("ca.pem"));
    const char *all[] = {"--cert-file",       files[0], "--key-file",        files[1],
                         "--trusted-ca-file", files[2], "--client-cert-auth"};
    memcpy(arguments, all, sizeof all);
    return rig_begin_one(arguments, true);
}

static int end(void **state)
{
    int err = rig_end(state);
    temp_dir_free(dir);
    return err;
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(locks_are_held_and_handed_on),
        cmocka_unit_test(a_server_of_another_name_is_refused),
        cmocka_unit_test(an_unknown_authority_is_refused),
        cmocka_unit_test(a_client_shows_a_certificate_that_the_server_believes),
        cmocka_unit_test(a_server_without_tls_is_refused),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, end);
}
