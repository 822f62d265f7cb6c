/* SPDX-License-Identifier: MIT */
/*
 * rediss:// against what no server does on demand: alerts in the midst of a handshake, a goodbye
 * instead of an answer, a wish to negotiate anew. And what OpenSSL has once for a process stays
 * as it was.
 */
#define _GNU_SOURCE
#include "certs.h"

#include "../support/check.h"
#include "../support/temp_dir.h"
#include "../support/test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const pawl_store_ops pawl_store_entry;

/* ---- What listens there --------------------------------------------------------------------- */

typedef struct listener {
    int fd, port;
    pthread_t thread;
    const char *dir;   /* NULL: it says `words`, else it speaks TLS with DIR/good.pem */
    const char *words; /* of words_len bytes, to each hello */
    size_t words_len;
    atomic_int refused; /* wishes to negotiate anew that the client refused */
} listener;

static void say_words(const listener *l, int fd)
{
    char hello[4096];
    if (recv(fd, hello, sizeof(hello), 0) <= 0) return;
    (void)!send(fd, l->words, l->words_len, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, hello, sizeof(hello), 0) > 0) continue;
}

/* TLS 1.2, in which a server may ask for another handshake. */
static void negotiate_anew(listener *l, int fd)
{
    char cert[512], key[512];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    snprintf(cert, sizeof(cert), "%s/good.pem", l->dir);
    snprintf(key, sizeof(key), "%s/good.key", l->dir);
    CHECK(SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION));
    CHECK(SSL_CTX_use_certificate_file(context, cert, SSL_FILETYPE_PEM));
    CHECK(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM));
    SSL *ssl = SSL_new(context);
    char byte;
    CHECK(ssl && SSL_set_fd(ssl, fd));
    if (SSL_accept(ssl) == 1 && SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) == 1) {
        while (SSL_read(ssl, &byte, 1) == 1) continue; /* the greeting, and then its refusal */
        if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_NO_RENEGOTIATION)
            atomic_fetch_add(&l->refused, 1);
    }
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
}

static void *listen_on(void *arg)
{
    listener *l = arg;
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) return NULL; /* it was shut down */
        if (l->dir)
            negotiate_anew(l, fd);
        else
            say_words(l, fd);
        close(fd);
    }
}

static void listener_start(listener *l)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(l->fd, (struct sockaddr *)&address, len) == 0 && listen(l->fd, 8) == 0);
    CHECK(getsockname(l->fd, (struct sockaddr *)&address, &len) == 0);
    l->port = ntohs(address.sin_port);
    CHECK(pthread_create(&l->thread, NULL, listen_on, l) == 0);
}

static void listener_end(listener *l)
{
    (void)shutdown(l->fd, SHUT_RDWR);
    pthread_join(l->thread, NULL);
    close(l->fd);
}

/* ---- A client of it ------------------------------------------------------------------------- */

static store_address address_of(const listener *l)
{
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "rediss",
                           .path = "",
                           .host = "localhost",
                           .port = l->port};
}

static bool was_told(void *arg)
{
    return client_link_count(arg) > 0;
}

static void expect_down(const store_address *address, pawl_err err, const char *word)
{
    test_loop *loop = test_loop_new();
    client *c = client_open(loop, address, "a");
    test_loop_until(loop, was_told, c, word);
    const seen_link *link = client_link(c, 0);
    if (!strstr(link->text, word)) fail_msg("\"%s\" does not say \"%s\"", link->text, word);
    assert_int_equal(link->err, err);
    assert_int_equal(ERR_peek_error(), 0); /* the queue is the thread's, not ours */
    client_close(c);
    test_loop_free(loop);
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static void an_alert_that_passes_is_not_final(void **state)
{
    static const struct {
        char record[7];
        pawl_err err;
        const char *words;
    } alerts[] = {
        {"\x15\x03\x03\x00\x02\x02\x50", PAWL_ERR_UNAVAILABLE, "gave up the TLS handshake"},
        {"\x15\x03\x03\x00\x02\x02\x5a", PAWL_ERR_UNAVAILABLE, "gave up the TLS handshake"},
        {"\x15\x03\x03\x00\x02\x02\x46", PAWL_ERR_TLS, "no version of TLS in common"},
        {"\x15\x03\x03\x00\x02\x02\x2f", PAWL_ERR_TLS, "TLS failed"}};
    (void)state;
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        listener l = {.words = alerts[i].record, .words_len = sizeof(alerts[i].record)};
        listener_start(&l);
        store_address address = address_of(&l);
        expect_down(&address, alerts[i].err, alerts[i].words);
        listener_end(&l);
    }
}

static void a_goodbye_during_the_handshake_has_its_sentence(void **state)
{
    listener l = {.words = "\x15\x03\x03\x00\x02\x01\x00", .words_len = 7};
    (void)state;
    listener_start(&l);
    store_address address = address_of(&l);
    expect_down(&address, PAWL_ERR_UNAVAILABLE, "closed the connection during the TLS handshake");
    listener_end(&l);
}

/* Else the program's next call of OpenSSL would find our error in its queue. */
static void an_end_without_a_word_leaves_no_error_behind(void **state)
{
    listener l = {.words = "", .words_len = 0};
    (void)state;
    listener_start(&l);
    store_address address = address_of(&l);
    expect_down(&address, PAWL_ERR_UNAVAILABLE, "closed the connection during the TLS handshake");
    listener_end(&l);
}

static void a_name_that_tls_cannot_ask_for_is_refused_at_open(void **state)
{
    char name[300], message[PAWL_MESSAGE_MAX];
    listener l = {.port = 1};
    test_loop *loop = test_loop_new();
    store_address address = address_of(&l);
    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[256] = '\0';
    address.options[address.option_count++] = (pawl_url_option){.key = "tls_name", .value = name};
    assert_int_equal(client_open_error(loop, &address, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "1 to 255 bytes"));
    address.option_count = 0;
    address.host = name; /* it is what is asked for without tls_name */
    assert_int_equal(client_open_error(loop, &address, message), PAWL_ERR_URL);
    name[255] = '\0';
    client *c = client_open(loop, &address, "a");
    client_close(c);
    test_loop_free(loop);
}

/* OpenSSL has 127 of them, for everybody in the process. */
static void clients_share_one_kind_of_bio(void **state)
{
    listener l = {.port = 1};
    test_loop *loop = test_loop_new();
    store_address address = address_of(&l);
    (void)state;
    /* The system's certificates take longer to read than all of this test. */
    address.options[address.option_count++] =
        (pawl_url_option){.key = "tls_verify", .value = "none"};
    client_close(client_open(loop, &address, "a"));
    int before = BIO_get_new_index();
    for (int i = 0; i < 150; i++) client_close(client_open(loop, &address, "a"));
    assert_int_equal(BIO_get_new_index(), before + 1);
    test_loop_free(loop);
}

static bool is_refused(void *arg)
{
    listener *l = arg;
    return atomic_load(&l->refused) > 0;
}

static void a_server_that_negotiates_anew_is_refused(void **state)
{
    char ca[512];
    listener l = {.dir = *state};
    test_loop *loop = test_loop_new();
    listener_start(&l);
    store_address address = address_of(&l);
    snprintf(ca, sizeof(ca), "%s/ca.pem", l.dir);
    address.options[address.option_count++] = (pawl_url_option){.key = "tls_ca", .value = ca};
    client *c = client_open(loop, &address, "a");
    test_loop_until(loop, is_refused, &l, "that no second handshake is made");
    client_close(c);
    listener_end(&l);
    test_loop_free(loop);
}

/* A certificate may name what is neither a host nor an address. */
static void all_kinds_of_names_are_met(void **state)
{
    listener l = {.dir = *state};
    char ca[512];
    listener_start(&l);
    store_address address = address_of(&l);
    address.host = "127.0.0.1";
    snprintf(ca, sizeof(ca), "%s/ca.pem", l.dir);
    address.options[address.option_count++] = (pawl_url_option){.key = "tls_ca", .value = ca};
    expect_down(&address, PAWL_ERR_TLS,
                "the server's certificate is for fe80::2, localhost, 10.1.2.3, not for 127.0.0.1");
    listener_end(&l);
}

/* ---- Certificates -----------------------------------------------------------------------------
 */

static int group_begin(void **state)
{
    char *dir = temp_dir_new("pawl-tls-trouble");
    authority *ca = authority_new(dir, "ca");
    cert_write(ca, dir, "good",
               "otherName:1.2.3.4;UTF8:other,RID:1.2.3.4,URI:redis://u,email:a@example.com,"
               "IP:fe80::2,DNS:localhost,IP:10.1.2.3",
               -DAY, DAY);
    authority_free(ca);
    *state = dir;
    return 0;
}

static int group_end(void **state)
{
    temp_dir_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_alert_that_passes_is_not_final),
        cmocka_unit_test(a_goodbye_during_the_handshake_has_its_sentence),
        cmocka_unit_test(an_end_without_a_word_leaves_no_error_behind),
        cmocka_unit_test(a_name_that_tls_cannot_ask_for_is_refused_at_open),
        cmocka_unit_test(clients_share_one_kind_of_bio),
        cmocka_unit_test(a_server_that_negotiates_anew_is_refused),
        cmocka_unit_test(all_kinds_of_names_are_met),
    };
    const char *only = getenv("PAWL_ONLY");
    if (only) cmocka_set_test_filter(only);
    check_cases_run_here();
    return cmocka_run_group_tests_name("trouble with TLS", cases, group_begin, group_end);
}
