/* SPDX-License-Identifier: MIT */
/* A server with a certificate of its own authority: whom pawl believes, and whom the server does.
 */
#define _GNU_SOURCE
#include "../redis/certs.h"
#include "rig.h"

#include "../../ports/free_port.h"
#include "../support/temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *dir; /* of the certificates */
static int port;

static const char *path_of(const char *name)
{
    return temp_dir_file(dir, name);
}

/* Over TCP, with what libpq's options say of TLS. */
static store_address secure(const char *host, const char *sslmode, const char *ca)
{
    store_address address = rig_address(rig_schema());
    address.host = host;
    address.port = port;
    address.options[0] = (pawl_url_option){"sslmode", sslmode};
    address.options[address.option_count++] = (pawl_url_option){"sslrootcert", path_of(ca)};
    return address;
}

/* ---- The server's certificate -------------------------------------------------------------- */

static void a_server_is_verified_by_its_name(void **state)
{
    (void)state;
    store_address address = secure("localhost", "verify-full", "ca.pem");
    client *c = client_up(rig_loop(), &address, "a");
    rig_lock_and_unlock(c);
    rig_expect(c, ask_doctor(), PAWL_REPORTED);
    assert_non_null(strstr(client_found(c), ", over TLS"));
    client_close(c);
}

static void a_stranger_is_refused(void **state)
{
    (void)state;
    store_address address = secure("localhost", "verify-full", "other.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "certificate verify failed");
    address = secure("127.0.0.1", "verify-full", "ca.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS,
                       "does not match host name \"127.0.0.1\"");
    address = secure("localhost", "verify-full", "nowhere.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "nowhere.pem\" does not exist");
}

static void a_server_without_tls_is_refused(void **state)
{
    (void)state;
    rig_sql("ALTER SYSTEM SET ssl = off");
    rig_sql("SELECT pg_reload_conf()");
    rig_until("off", "SHOW ssl");
    store_address address = secure("localhost", "require", "ca.pem");
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "does not support SSL");
    rig_sql("ALTER SYSTEM SET ssl = on");
    rig_sql("SELECT pg_reload_conf()");
    rig_until("on", "SHOW ssl");
}

/* ---- The client's certificate -------------------------------------------------------------- */

static void a_client_shows_its_certificate_in_place_of_a_password(void **state)
{
    (void)state;
    store_address address = secure("localhost", "verify-full", "ca.pem");
    address.user = "certified";
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_AUTH, "28000");
    address.options[1] = (pawl_url_option){"sslcert", path_of("certified.pem")};
    address.options[3] = (pawl_url_option){"sslkey", path_of("certified.key")};
    address.option_count = 4;
    client *c = client_up(rig_loop(), &address, "a");
    rig_lock_and_unlock(c);
    assert_string_equal(rig_sql("SELECT client_dn FROM pg_stat_ssl s JOIN pg_stat_activity a USING "
                                "(pid) WHERE a.usename = 'certified'"),
                        "/CN=certified");
    client_close(c);
    (void)chmod(path_of("certified.key"), 0644);
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_TLS, "has group or world access");
}

/* ---- The server ---------------------------------------------------------------------------- */

static void write_certificates(void)
{
    authority *ca = authority_new(dir, "ca"), *other = authority_new(dir, "other");
    cert_write(ca, dir, "server", "DNS:localhost", -DAY, DAY);
    cert_write(ca, dir, "certified", "DNS:certified", -DAY, DAY);
    authority_free(ca);
    authority_free(other);
    CHECK(chmod(path_of("certified.key"), 0600) == 0);
    CHECK(chmod(dir, 0755) == 0);
    postgres_server_give(path_of("server.key"));
}

static int begin(void **state)
{
    static char number[16], settings[5][320];
    (void)state;
    dir = temp_dir_new("pawl-postgres-tls");
    write_certificates();
    port = free_port();
    snprintf(number, sizeof number, "%d", port);
    CHECK(setenv("PGPORT", number, 1) == 0); /* the socket's name has it, too */
    snprintf(settings[0], sizeof settings[0], "listen_addresses=localhost");
    snprintf(settings[1], sizeof settings[1], "port=%d", port);
    snprintf(settings[2], sizeof settings[2], "ssl_cert_file=%s", path_of("server.pem"));
    snprintf(settings[3], sizeof settings[3], "ssl_key_file=%s", path_of("server.key"));
    snprintf(settings[4], sizeof settings[4], "ssl_ca_file=%s", path_of("ca.pem"));
    const char *const all[] = {settings[0], settings[1], settings[2],
                               settings[3], settings[4], NULL};
    rig_begin_with(all);
    FILE *file = fopen(postgres_server_file(rig_server(), "data/pg_hba.conf"), "we");
    CHECK(file && fputs("local all all trust\nhostssl all certified all cert\n"
                        "host all all all trust\n",
                        file) >= 0);
    CHECK(fclose(file) == 0);
    rig_sql("CREATE ROLE certified LOGIN SUPERUSER");
    rig_sql("ALTER SYSTEM SET ssl = on");
    rig_sql("SELECT pg_reload_conf()");
    rig_until("on", "SHOW ssl");
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
        cmocka_unit_test(a_server_without_tls_is_refused),
        cmocka_unit_test(a_client_shows_its_certificate_in_place_of_a_password),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, end);
}
