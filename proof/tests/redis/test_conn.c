/* SPDX-License-Identifier: MIT */
/*
 * One connection on a transport that does what the test says: what may have left counts as gone,
 * what came before a failure is heard, and nothing costs a call more than it must.
 */
#define _GNU_SOURCE
#include "stores/redis/redis_conn.h"

#include "../support/check.h"
#include "../support/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define AHEAD 100 /* bytes that one write of the transport takes at most */

typedef struct stage {
    struct event_base *base;
    pawl__redis_conn *conn;
    char *dir;
    int listener, peer;  /* the other end of the connection */
    int reads, writes;   /* calls of the transport */
    bool stuffed;        /* it takes nothing, but may send what it was given */
    bool breaks;         /* the next read brings what is there, and the end */
    bool wants_to_write; /* before it can read */
    char held[64];
    ssize_t held_len;
    int values, failures;
} stage;

typedef struct carrier {
    pawl__redis_carrier base;
    stage *stage;
} carrier;

/* ---- The transport ---------------------------------------------------------------------- */

static stage *stage_of(pawl__redis_carrier *c)
{
    return ((carrier *)c)->stage;
}

static pawl__redis_carrier *scripted_open(int fd, void *settings);

static pawl__redis_carried scripted_connect(pawl__redis_carrier *c)
{
    c->reached = true;
    return PAWL__REDIS_CARRIED;
}

static pawl__redis_carried scripted_read(pawl__redis_carrier *c, char *buffer, size_t room,
                                         size_t *ret_count)
{
    stage *s = stage_of(c);
    s->reads++;
    if (s->wants_to_write) {
        s->wants_to_write = false;
        s->held_len = recv(c->fd, s->held, sizeof(s->held), 0);
        c->want = EV_WRITE;
        return PAWL__REDIS_CARRY_WAIT;
    }
    if (s->held_len > 0) { /* of which the socket knows nothing any more */
        memcpy(buffer, s->held, (size_t)s->held_len);
        *ret_count = (size_t)s->held_len;
        s->held_len = 0;
        return PAWL__REDIS_CARRIED;
    }
    ssize_t n = recv(c->fd, buffer, room, 0);
    c->want = EV_READ;
    if (n < 0) return PAWL__REDIS_CARRY_WAIT;
    *ret_count = (size_t)n;
    if (!s->breaks) return PAWL__REDIS_CARRIED;
    c->err = PAWL_ERR_UNAVAILABLE;
    strcpy(c->trouble, "it broke");
    return PAWL__REDIS_CARRY_FAILED;
}

static pawl__redis_carried scripted_write(pawl__redis_carrier *c, const char *data, size_t len,
                                          size_t *ret_count)
{
    stage *s = stage_of(c);
    s->writes++;
    c->want = EV_READ; /* so nothing wakes it up by itself */
    if (s->stuffed) return PAWL__REDIS_CARRY_WAIT;
    *ret_count = (size_t)send(c->fd, data, len, MSG_NOSIGNAL);
    return PAWL__REDIS_CARRIED;
}

static void scripted_close(pawl__redis_carrier *c, bool forget)
{
    (void)forget;
    close(c->fd);
    free(c);
}

static const pawl__redis_transport exact = {.open = scripted_open,
                                            .connect = scripted_connect,
                                            .read = scripted_read,
                                            .write = scripted_write,
                                            .close = scripted_close};
static const pawl__redis_transport by_records = {.ahead = AHEAD,
                                                 .open = scripted_open,
                                                 .connect = scripted_connect,
                                                 .read = scripted_read,
                                                 .write = scripted_write,
                                                 .close = scripted_close};
static const pawl__redis_transport *chosen;

static pawl__redis_carrier *scripted_open(int fd, void *settings)
{
    carrier *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (carrier){.base = {.transport = chosen, .fd = fd}, .stage = settings};
    return &c->base;
}

/* ---- The stage -------------------------------------------------------------------------- */

static bool on_value(const pawl__redis_value *value, void *ctx)
{
    stage *s = ctx;
    (void)value;
    assert_int_equal(s->failures, 0);
    s->values++;
    return true;
}

static void on_batch_ended(void *ctx)
{
    (void)ctx;
}

static void on_failed(pawl_err err, const char *message, void *ctx)
{
    stage *s = ctx;
    assert_true(err < 0 && message[0]);
    s->failures++;
}

static void turn(stage *s)
{
    event_base_loop(s->base, EVLOOP_NONBLOCK);
}

static void begin(stage *s, const pawl__redis_transport *transport)
{
    static const pawl__redis_conn_ops ops = {on_value, on_batch_ended, on_failed};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *s = (stage){.base = event_base_new(), .dir = temp_dir_new("pawl-conn")};
    chosen = transport;
    snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/s", s->dir);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    s->conn = pawl__redis_conn_open(s->base, (struct sockaddr *)&address, sizeof(address),
                                    transport, s, &ops, s, "here");
    assert_non_null(s->conn);
    s->peer = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(s->peer >= 0);
    turn(s);
    assert_true(s->conn->connected);
}

static void end(stage *s)
{
    pawl__redis_conn_close(s->conn);
    close(s->peer);
    close(s->listener);
    event_base_free(s->base);
    temp_dir_free(s->dir);
}

static void append(stage *s, size_t len)
{
    static char bytes[8192];
    assert_true(len <= sizeof bytes);
    const pawl__redis_bytes words[] = {{"PING", 4}, {bytes, len}};
    assert_true(pawl__redis_conn_append(s->conn, words, 2));
}

static void peer_says(stage *s, const char *text)
{
    assert_int_equal(send(s->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* ---- Cases ------------------------------------------------------------------------------ */

static void a_command_and_its_answer_are_one_write_and_one_read(void **state)
{
    stage s;
    (void)state;
    begin(&s, &exact);
    for (int i = 1; i <= 3; i++) {
        append(&s, 10);
        append(&s, 10); /* what is appended together leaves together */
        pawl__redis_conn_flush(s.conn);
        peer_says(&s, "+OK\r\n+OK\r\n");
        turn(&s);
        assert_int_equal(s.values, 2 * i);
        assert_int_equal(s.writes, i);
        assert_int_equal(s.reads, i);
    }
    assert_true(s.conn->written == s.conn->appended);
    end(&s);
}

/* Law 4. */
static void what_a_transport_may_have_sent_counts_as_gone(void **state)
{
    stage s;
    (void)state;
    begin(&s, &by_records);
    append(&s, 10);
    uint64_t first = s.conn->appended;
    append(&s, 300);
    s.stuffed = true;
    pawl__redis_conn_flush(s.conn);
    assert_true(first <= AHEAD && s.conn->accepted == 0);
    assert_true(s.conn->written ==
                AHEAD); /* the first command may have been heard, not the other */
    s.stuffed = false;
    pawl__redis_conn_flush(s.conn);
    assert_true(s.conn->written == s.conn->appended);
    end(&s);

    begin(&s, &exact); /* which says what has left, is believed */
    append(&s, 10);
    s.stuffed = true;
    pawl__redis_conn_flush(s.conn);
    assert_true(s.conn->written == 0);
    end(&s);
}

static void what_came_before_a_failure_is_heard(void **state)
{
    stage s;
    (void)state;
    begin(&s, &exact);
    s.breaks = true;
    peer_says(&s, "+OK\r\n+OK\r\n");
    turn(&s);
    assert_int_equal(s.values, 2);
    assert_int_equal(s.failures, 1);
    end(&s);
}

static void a_transport_that_must_write_before_it_can_read_is_asked_again(void **state)
{
    stage s;
    (void)state;
    begin(&s, &exact);
    s.wants_to_write = true;
    peer_says(&s, "+OK\r\n");
    turn(&s);
    turn(&s);
    assert_int_equal(s.values, 1);
    end(&s);
}

/* Each client has such a buffer as long as it lives. */
static void who_says_little_keeps_little_room(void **state)
{
    stage s;
    (void)state;
    begin(&s, &exact);
    append(&s, 300);
    append(&s, 300);
    assert_true(s.conn->out_room <= 1024);
    append(&s, 5000);
    pawl__redis_conn_flush(s.conn);
    assert_true(s.conn->written == s.conn->appended);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_command_and_its_answer_are_one_write_and_one_read),
        cmocka_unit_test(what_a_transport_may_have_sent_counts_as_gone),
        cmocka_unit_test(what_came_before_a_failure_is_heard),
        cmocka_unit_test(a_transport_that_must_write_before_it_can_read_is_asked_again),
        cmocka_unit_test(who_says_little_keeps_little_room),
    };
    return cmocka_run_group_tests_name("a connection and its transport", cases, NULL, NULL);
}
