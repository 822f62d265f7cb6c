/* SPDX-License-Identifier: MIT */
/*
 * rediss:// against a real server: certificates that are right and wrong in each way, servers
 * with and without TLS behind the wrong scheme, and what TLS must not change: nothing that may
 * have been heard is called failed, and what TLS holds back is read.
 */
#define _GNU_SOURCE
#include "certs.h"
#include "link_words.h"

#include "../../ports/free_port.h"
#include "../support/temp_dir.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALL "DNS:localhost,IP:127.0.0.1"

extern const pawl_store_ops pawl_store_entry;

typedef struct scenery {
    rig *rig; /* listens with TLS and without, and on its socket */
    char *dir;
    int tls_port, plain_port;
} scenery;

typedef struct stage {
    rig *rig;
    const scenery *scenery;
    test_loop *loop;
    store_address address;
    char paths[4][512]; /* of the options */
} stage;

static const char *path_of(const scenery *here, const char *name, char ret_path[512])
{
    snprintf(ret_path, 512, "%s/%s", here->dir, name);
    return ret_path;
}

static void add_file(stage *s, const char *key, const char *name)
{
    add_option(&s->address, key, path_of(s->scenery, name, s->paths[s->address.option_count]));
}

/* The server shows this certificate from the next connection on. */
static void show(const stage *s, const char *name)
{
    char cert[512], key[512], file[64];
    snprintf(file, sizeof(file), "%s.pem", name);
    (void)path_of(s->scenery, file, cert);
    snprintf(file, sizeof(file), "%s.key", name);
    (void)path_of(s->scenery, file, key);
    rig_must(s->rig, "CONFIG SET tls-cert-file %s tls-key-file %s", cert, key);
}

static stage begin(void **state)
{
    scenery *here = *state;
    stage s = {.rig = here->rig, .scenery = here, .loop = test_loop_new()};
    rig_must(s.rig, "FLUSHALL");
    rig_must(s.rig, "CONFIG SET tls-auth-clients no");
    show(&s, "good");
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "rediss",
                                .path = "",
                                .host = "localhost",
                                .port = here->tls_port};
    return s;
}

static void end(stage *s)
{
    test_loop_free(s->loop);
}

typedef struct wish {
    const client *client;
    size_t count;
} wish;

static bool was_told(void *arg)
{
    const wish *w = arg;
    return client_link_count(w->client) > w->count;
}

/* The next news of the link: it is down, and why. */
static void expect_down(client *c, size_t news, pawl_err err, const char *word)
{
    wish w = {.client = c, .count = news};
    test_loop_until(client_loop(c), was_told, &w, word);
    const seen_link *link = client_link(c, news);
    says(link->text, word);
    assert_false(link->up);
    assert_int_equal(link->err, err);
}

static void expect_refusal(stage *s, pawl_err err, const char *word)
{
    client *c = client_open(s->loop, &s->address, "a");
    expect_down(c, 0, err, word);
    client_close(c);
}

/* ---- Certificates ------------------------------------------------------------------------- */

static void a_server_is_verified_by_name_and_by_address(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    for (int i = 0; i < 2; i++) {
        stage s = begin(state);
        s.address.host = hosts[i];
        add_file(&s, "tls_ca", i ? "" : "ca.pem"); /* a file, and a directory of them */
        client *c = client_up(s.loop, &s.address, "a");
        lock_and_unlock(c);
        expect(c, ask_doctor(), PAWL_REPORTED);
        says(client_found(c), "tls: Encrypted (TLSv1.");
        says(client_found(c), "the certificate is verified");
        client_close(c);
        end(&s);
    }
}

static void each_bad_certificate_has_its_sentence(void **state)
{
    static const struct {
        const char *shown, *words;
    } bad[] = {{"expired", "has expired"},
               {"early", "is not yet valid"},
               {"other", "is for elsewhere.example, 10.1.2.3, not for localhost"},
               {"stranger", "signed by an authority that is not known here"},
               {"alone", "is signed by itself"}};
    stage s = begin(state);
    add_file(&s, "tls_ca", "ca.pem");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        show(&s, bad[i].shown);
        expect_refusal(&s, PAWL_ERR_TLS, bad[i].words);
    }
    s.address.host = "127.0.0.1"; /* an address is compared as well as a name */
    show(&s, "other");
    expect_refusal(&s, PAWL_ERR_TLS, "not for 127.0.0.1");
    add_option(&s.address, "tls_name", "elsewhere.example");
    client *c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void without_a_ca_only_the_systems_authorities_count(void **state)
{
    stage s = begin(state);
    expect_refusal(&s, PAWL_ERR_TLS, "authority that is not known here");
    end(&s);
}

static void a_certificate_signed_by_itself_can_be_named(void **state)
{
    stage s = begin(state);
    show(&s, "alone");
    add_file(&s, "tls_ca", "alone.pem");
    client *c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void none_works_warns_and_shows_in_doctor(void **state)
{
    size_t warnings;
    stage s = begin(state);
    show(&s, "stranger");
    add_option(&s.address, "tls_verify", "none");
    client *c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    says(client_warning(c, &warnings), "the server's certificate is not verified");
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "the server's certificate is not verified");
    rig_must(s.rig, "CLIENT KILL TYPE pubsub SKIPME yes");
    client_await_link(c, false);
    client_await_link(c, true);
    (void)client_warning(c, &warnings);
    assert_int_equal(warnings, 1); /* not at each reconnect */
    client_close(c);
    end(&s);
}

static void the_doctor_says_how_long_a_certificate_is_good(void **state)
{
    static const struct {
        const char *shown, *words;
        pawl_severity severity;
    } cases[] = {{"soon", "expires in 5 days", PAWL_SEVERITY_WARNING},
                 {"long", "is good for 60 days", PAWL_SEVERITY_OK},
                 {"expired", "has expired: who verifies", PAWL_SEVERITY_ERROR}};
    stage s = begin(state);
    add_option(&s.address, "tls_verify", "none"); /* else nobody gets so far with the last one */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        show(&s, cases[i].shown);
        client *c = client_up(s.loop, &s.address, "a");
        expect(c, ask_doctor(), PAWL_REPORTED);
        says(client_found(c), cases[i].words);
        assert_int_equal(client_severity(c, "certificate"), cases[i].severity);
        client_close(c);
    }
    end(&s);
}

static void a_client_certificate_is_wanted_refused_and_taken(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "CONFIG SET tls-auth-clients yes");
    add_file(&s, "tls_ca", "ca.pem");
    expect_refusal(&s, PAWL_ERR_TLS, "the server wants a client certificate");
    add_file(&s, "tls_cert", "stranger.pem");
    add_file(&s, "tls_key", "stranger.key");
    expect_refusal(&s, PAWL_ERR_TLS, "the server refused our client certificate");
    s.address.option_count = 1;
    add_file(&s, "tls_cert", "good.pem");
    add_file(&s, "tls_key", "good.key");
    client *c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void files_that_are_of_no_use_are_told_at_open(void **state)
{
    static const struct {
        const char *key, *file, *words;
    } wrong[] = {{"tls_ca", "nowhere", "tls_ca="},
                 {"tls_ca", "good.key", "tls_ca="},
                 {"tls_cert", "nowhere", "No such file"},
                 {"tls_cert", "ca.pem", "tls_key="}, /* there is no key in it */
                 {"tls_cert", "locked.pem", "wants a passphrase"}};
    char message[PAWL_MESSAGE_MAX];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        stage s = begin(state);
        add_file(&s, wrong[i].key, wrong[i].file);
        assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
        says(message, wrong[i].words);
        says(message, wrong[i].file);
        end(&s);
    }
}

/* ---- The wrong scheme ----------------------------------------------------------------------- */

static void a_server_without_tls_is_told_from_one_with_it(void **state)
{
    stage s = begin(state);
    add_file(&s, "tls_ca", "ca.pem");
    add_option(&s.address, "connect_timeout_ms", "300");
    s.address.port = s.scenery->plain_port; /* it waits for the end of a line, and so do we */
    expect_refusal(&s, PAWL_ERR_UNAVAILABLE, "the TLS handshake did not end in time");
    rig_must(s.rig, "CONFIG SET maxclients 1"); /* now it speaks at once, in plain text */
    expect_refusal(&s, PAWL_ERR_TLS, "does not speak TLS");
    rig_must(s.rig, "CONFIG SET maxclients 1000");
    s.address.scheme = "redis";
    s.address.port = s.scenery->tls_port;
    s.address.option_count = 0;
    expect_refusal(&s, PAWL_ERR_UNAVAILABLE, "does it want TLS (rediss://)?");
    end(&s);
}

static void a_handshake_that_hangs_holds_up_nothing(void **state)
{
    stage s = begin(state);
    add_file(&s, "tls_ca", "ca.pem");
    add_option(&s.address, "connect_timeout_ms", "100");
    redis_server_pause(s.rig->server);
    client *c = client_open(s.loop, &s.address, "a");
    expect_down(c, 0, PAWL_ERR_UNAVAILABLE, "the TLS handshake did not end in time");
    redis_server_resume(s.rig->server);
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

/* ---- What TLS must not change ---------------------------------------------------------------- */

/* A reply of many records: what OpenSSL holds back is announced by no socket. */
static void a_reply_of_many_records_is_read_to_its_end(void **state)
{
    static const char fill[] =
        "redis.call('SET', 'pawl:x', 'x', 'PX', 600000) "
        "for j = 1, 1000 do local token = string.format('%040d', j) "
        "redis.call('ZADD', '{pawl:x}:q', j, token) "
        "redis.call('HSET', '{pawl:x}:w', token, '1 99999999999999 60000 1 pawl:inbox:z ' "
        ".. string.rep('o', 255)) end";
    stage s = begin(state);
    rig_must(s.rig, "EVAL %s 0", fill);
    add_file(&s, "tls_ca", "ca.pem");
    client *c = client_up(s.loop, &s.address, "a");
    for (int i = 0; i < 20; i++) {
        expect(c, ask_inspect("x", NULL), PAWL_REPORTED); /* 270 KB */
        expect(c, ask_release("y", fresh_token()), PAWL_NOT_OWNER);
    }
    client_close(c);
    end(&s);
}

/* The module finds this one before the C library's. */
static atomic_int receptions; /* a thread that looks up a name may call it, too */
ssize_t recv(int fd, void *buffer, size_t room, int flags)
{
    receptions++;
    return syscall(SYS_recvfrom, fd, buffer, room, flags, NULL, NULL);
}

/* Not its head, its body, and once more in vain. Now and then something else comes as well. */
static void an_answer_is_read_at_once(void **state)
{
    stage s = begin(state);
    int least = 100;
    add_file(&s, "tls_ca", "ca.pem");
    client *c = client_up(s.loop, &s.address, "a");
    for (int i = 0; i < 20; i++) {
        receptions = 0;
        expect(c, ask_release("x", fresh_token()), PAWL_NOT_OWNER);
        int count = receptions;
        if (count < least) least = count;
    }
    assert_int_equal(least, 1);
    client_close(c);
    end(&s);
}

static void pushes_and_answers_come_on_one_connection(void **state)
{
    stage s = begin(state);
    add_file(&s, "tls_ca", "ca.pem");
    client *a = client_up(s.loop, &s.address, "a"), *b = client_up(s.loop, &s.address, "b");
    const char *first = fresh_token(), *second = fresh_token();
    expect(a, ask_acquire("x", first, LONG_MS), PAWL_GRANTED);
    expect(b, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    (void)client_await_push(a, PAWL_PUSH_YIELD, first);
    expect(a, ask_release("x", first), PAWL_RELEASED);
    (void)client_await_push(b, PAWL_PUSH_GRANT, second);
    expect(b, ask_release("x", second), PAWL_RELEASED);
    client_close(a);
    client_close(b);
    end(&s);
}

static void a_cut_without_goodbye_is_told_and_the_session_goes_on(void **state)
{
    stage s = begin(state);
    add_file(&s, "tls_ca", "ca.pem");
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_must(s.rig, "CLIENT KILL TYPE pubsub SKIPME yes");
    client_await_link(c, false);
    client_await_link(c, true);
    expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "a resumed session");
    client_close(c);
    end(&s);
}

/* Ends this process's connection to the server, with what has left on its way. No time has to pass
 * for that, so a slow machine makes no answer late. */
static void end_the_connection(int port)
{
    int ended = 0;
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in peer = {.sin_family = AF_UNSPEC};
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0) continue;
        if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != port) continue;
        assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
        ended++;
    }
    assert_int_equal(ended, 1);
}

/* Law 4: a record that waits in OpenSSL may have left. What is called failed was not done. */
static void what_is_called_failed_was_not_done(void **state)
{
    enum { MANY = 40000 }; /* more than the buffers of both sockets take */
    static uint64_t ids[MANY];
    static char tokens[MANY][PAWL_TOKEN_LEN + 1];
    char owner[PAWL_OWNER_MAX + 1];
    stage s = begin(state);
    add_file(&s, "tls_ca", "ca.pem");
    client *c = client_up(s.loop, &s.address, "a");
    memset(owner, 'o', PAWL_OWNER_MAX);
    owner[PAWL_OWNER_MAX] = '\0';
    redis_server_pause(s.rig->server);
    for (int i = 0; i < MANY; i++) {
        snprintf(tokens[i], sizeof(tokens[i]), "%s", fresh_token());
        pawl_request request = ask_queue("x", tokens[i], LONG_MS);
        request.owner = owner;
        request.answer_by = host_now() + INT64_C(600000000000);
        ids[i] = client_submit(c, &request);
    }
    client_flush(c);
    end_the_connection(s.address.port);
    client_await_all(c);
    redis_server_resume(s.rig->server);
    client_await_link(c, true);
    int unknown = 0, failed = 0;
    for (int i = 0; i < MANY; i++) {
        if (client_answer(c, ids[i])->reply.outcome == PAWL_UNKNOWN) {
            assert_int_equal(failed, 0); /* in order: first what may have left */
            unknown++;
            continue;
        }
        assert_int_equal(client_answer(c, ids[i])->reply.outcome, PAWL_FAILED);
        assert_string_equal(rig_text(s.rig, "HGET {pawl:x}:w %s", tokens[i]), "");
        assert_string_not_equal(rig_text(s.rig, "GET pawl:x"), tokens[i]);
        failed++;
    }
    assert_true(unknown > 0 && failed > 0);
    client_close(c);
    end(&s);
}

/* ---- The servers ------------------------------------------------------------------------------
 */

static void write_certificates(const char *dir)
{
    authority *ca = authority_new(dir, "ca"), *other = authority_new(dir, "other-ca");
    cert_write(ca, dir, "good", ALL, -DAY, DAY);
    cert_write(ca, dir, "soon", ALL, -DAY, 5 * DAY + DAY / 2);
    cert_write(ca, dir, "long", ALL, -DAY, 60 * DAY + DAY / 2);
    cert_write(ca, dir, "expired", ALL, -2 * DAY, -DAY);
    cert_write(ca, dir, "early", ALL, DAY, 2 * DAY);
    cert_write(ca, dir, "other", "DNS:elsewhere.example,IP:10.1.2.3", -DAY, DAY);
    cert_write(other, dir, "stranger", ALL, -DAY, DAY);
    cert_write(NULL, dir, "alone", ALL, -DAY, DAY);
    cert_lock(dir, "good", "locked");
    authority_free(ca);
    authority_free(other);
}

static int group_begin(void **state)
{
    static scenery here;
    static char tls_port[8], plain_port[8], cert[512], key[512], ca[512];
    here = (scenery){.dir = temp_dir_new("pawl-tls"), .tls_port = free_port()};
    here.plain_port = free_port();
    write_certificates(here.dir);
    snprintf(tls_port, sizeof(tls_port), "%d", here.tls_port);
    snprintf(plain_port, sizeof(plain_port), "%d", here.plain_port);
    const char *const arguments[] = {"--bind",
                                     "127.0.0.1",
                                     "--tls-port",
                                     tls_port,
                                     "--tls-cert-file",
                                     path_of(&here, "good.pem", cert),
                                     "--tls-key-file",
                                     path_of(&here, "good.key", key),
                                     "--tls-ca-cert-file",
                                     path_of(&here, "ca.pem", ca),
                                     NULL};
    here.rig = rig_new(arguments);
    rig_unsubscribe(here.rig); /* so it has one connection */
    rig_must(here.rig, "CONFIG SET port %s", plain_port);
    *state = &here;
    return 0;
}

static int group_end(void **state)
{
    scenery *here = *state;
    rig_free(here->rig);
    temp_dir_free(here->dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_server_is_verified_by_name_and_by_address),
        cmocka_unit_test(each_bad_certificate_has_its_sentence),
        cmocka_unit_test(without_a_ca_only_the_systems_authorities_count),
        cmocka_unit_test(a_certificate_signed_by_itself_can_be_named),
        cmocka_unit_test(none_works_warns_and_shows_in_doctor),
        cmocka_unit_test(the_doctor_says_how_long_a_certificate_is_good),
        cmocka_unit_test(a_client_certificate_is_wanted_refused_and_taken),
        cmocka_unit_test(files_that_are_of_no_use_are_told_at_open),
        cmocka_unit_test(a_server_without_tls_is_told_from_one_with_it),
        cmocka_unit_test(a_handshake_that_hangs_holds_up_nothing),
        cmocka_unit_test(a_reply_of_many_records_is_read_to_its_end),
        cmocka_unit_test(an_answer_is_read_at_once),
        cmocka_unit_test(pushes_and_answers_come_on_one_connection),
        cmocka_unit_test(a_cut_without_goodbye_is_told_and_the_session_goes_on),
        cmocka_unit_test(what_is_called_failed_was_not_done),
    };
    return rig_run("redis behind TLS", cases, group_begin, group_end);
}
