/* SPDX-License-Identifier: MIT */
/* A server with a certificate of its own authority: whom pawl believes, and whom the server does.
 */
#define _GNU_SOURCE
#include "../../ports/free_port.h"
#include "../redis/certs.h"
#include "rig.h"

#include "../support/temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char *dir; /* of the certificates */
static int port;

static const char *path_of(const char *name)
{
    return temp_dir_file(dir, name);
}

/* Over TCP; ca NULL: no word of TLS. */
static store_address secure(const char *host, const char *user, const char *ca)
{
    store_address address = rig_address(rig_database());
    address.host = host;
    address.port = port;
    address.user = user;
    address.option_count = 0;
    if (ca) address.options[address.option_count++] = (pawl_url_option){"ssl_ca", path_of(ca)};
    return address;
}

/* ---- The server's certificate -------------------------------------------------------------- */

/* Both connections have it: of a client that hears. */
static void a_server_is_verified_by_its_name(void **state)
{
    (void)state;
    store_address address = secure("localhost", "secret", "ca.pem");
    client *c = client_up(rig_loop(), &address, "a");
    assert_true(client_caps(c)->push);
    rig_lock_and_unlock(c);
    client_close(c);
}

static void a_stranger_is_refused(void **state)
{
    (void)state;
    store_address address = secure("localhost", "secret", "other.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "certificate");
    address = secure("127.0.0.1", "secret", "ca.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "certificate");
    address = secure("localhost", "secret", "nowhere.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "");
}

/* ssl=on encrypts, and looks at no certificate. */
static void a_stranger_is_believed_if_that_is_asked_for(void **state)
{
    (void)state;
    store_address address = secure("127.0.0.1", "secret", NULL);
    address.options[address.option_count++] = (pawl_url_option){"ssl", "on"};
    client *c = client_up(rig_loop(), &address, "a");
    rig_lock_and_unlock(c);
    client_close(c);
}

/* The server wants TLS of this user. */
static void who_says_nothing_of_tls_has_none(void **state)
{
    (void)state;
    store_address address = secure("127.0.0.1", "secret", NULL);
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_AUTH, "secret");
}

/* ---- The client's certificate -------------------------------------------------------------- */

static void a_client_shows_its_certificate(void **state)
{
    (void)state;
    store_address address = secure("localhost", "certified", "ca.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_AUTH, "certified");
    address.options[address.option_count++] =
        (pawl_url_option){"ssl_cert", path_of("certified.pem")};
    address.options[address.option_count++] =
        (pawl_url_option){"ssl_key", path_of("certified.key")};
    client *c = client_up(rig_loop(), &address, "a");
    rig_lock_and_unlock(c);
    client_close(c);
}

/* ---- The server ---------------------------------------------------------------------------- */

static void write_certificates(void)
{
    authority *ca = authority_new(dir, "ca"), *other = authority_new(dir, "other");
    cert_write(ca, dir, "server", "DNS:localhost", -DAY, DAY);
    cert_write(ca, dir, "certified", "DNS:certified", -DAY, DAY);
    authority_free(ca);
    authority_free(other);
    CHECK(chmod(dir, 0755) == 0);
    mariadb_server_give(path_of("server.key"));
}

static void make_user(const char *name, const char *demand)
{
    rig_sql("CREATE USER %s@'127.0.0.1' REQUIRE %s", name, demand);
    rig_sql("GRANT ALL ON *.* TO %s@'127.0.0.1'", name);
}

static int begin(void **state)
{
    static char settings[4][320];
    (void)state;
    dir = temp_dir_new("pawl-mariadb-tls");
    write_certificates();
    port = free_port();
    snprintf(settings[0], sizeof settings[0], "--port=%d", port);
    snprintf(settings[1], sizeof settings[1], "--ssl-cert=%s", path_of("server.pem"));
    snprintf(settings[2], sizeof settings[2], "--ssl-key=%s", path_of("server.key"));
    snprintf(settings[3], sizeof settings[3], "--ssl-ca=%s", path_of("ca.pem"));
    static const char *const all[] = {"--skip-networking=0",
                                      "--bind-address=127.0.0.1",
                                      settings[0],
                                      settings[1],
                                      settings[2],
                                      settings[3],
                                      NULL};
    rig_begin_with(all);
    make_user("secret", "SSL");
    make_user("certified", "SUBJECT '/CN=certified'");
    return 0;
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
        cmocka_unit_test(a_server_is_verified_by_its_name),
        cmocka_unit_test(a_stranger_is_refused),
        cmocka_unit_test(a_stranger_is_believed_if_that_is_asked_for),
        cmocka_unit_test(who_says_nothing_of_tls_has_none),
        cmocka_unit_test(a_client_shows_its_certificate),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, end);
}
