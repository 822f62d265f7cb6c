/* SPDX-License-Identifier: MIT */
/* Connections that are refused, cut, or lead to the wrong server: what is said, and what comes
 * next. And who can be woken. */
#define _GNU_SOURCE
#include "../../ports/free_port.h"
#include "rig.h"
#include "stores/mariadb/mariadb_greet.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_SUCH_THREAD 1094

static client *open_as(const char *user, const char *password, const char *database)
{
    store_address address = rig_address(database);
    address.user = user;
    address.password = password;
    return client_open(rig_loop(), &address, "a");
}

/* ---- Refused --------------------------------------------------------------------------------- */

static void a_wrong_password_is_said_without_it(void **state)
{
    (void)state;
    rig_sql("CREATE USER locked@localhost IDENTIFIED BY 'right'");
    client *c = open_as("locked", "hunter2", rig_database());
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_AUTH);
    assert_non_null(strstr(link->text, "1045"));
    assert_null(strstr(link->text, "hunter2"));
    client_abandon(c);
}

static void a_password_file_is_read_for_each_connection(void **state)
{
    const char *file = mariadb_server_file(rig_server(), "password");
    const char *database = rig_database();
    (void)state;
    FILE *out = fopen(file, "we");
    CHECK(out && fputs("wrong\n", out) >= 0 && fclose(out) == 0);
    rig_sql("CREATE USER filed@localhost IDENTIFIED BY 'right'");
    rig_sql("GRANT ALL ON *.* TO filed@localhost");
    store_address address = rig_address(database);
    address.user = "filed";
    address.options[address.option_count++] = (pawl_url_option){"password_file", file};
    client *c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_AUTH);
    out = fopen(file, "we");
    CHECK(out && fputs("right\n", out) >= 0 && fclose(out) == 0);
    client_await_link(c, true);
    client_close(c);
}

static void hosts_at_which_nobody_listens_are_said(void **state)
{
    (void)state;
    store_address address = rig_address(rig_database());
    address.option_count = 0;
    address.host = "127.0.0.1:1,[::1]:1";
    client *c = client_open(rig_loop(), &address, "a");
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_UNAVAILABLE);
    client_abandon(c);
}

static void a_server_without_room_is_tried_again(void **state)
{
    (void)state;
    rig_sql("CREATE USER crowd@localhost WITH MAX_USER_CONNECTIONS 1");
    rig_sql("GRANT ALL ON *.* TO crowd@localhost");
    MYSQL *first = mysql_init(NULL);
    CHECK(mysql_real_connect(first, NULL, "crowd", NULL, NULL, 0,
                             mariadb_server_socket(rig_server()), 0));
    client *c = open_as("crowd", NULL, rig_database());
    assert_int_equal(pawl_err_class_of(rig_await_refusal(c)->err), PAWL_CLASS_RETRY);
    mysql_close(first);
    client_await_link(c, true);
    assert_false(client_caps(c)->push); /* there is room for one connection only */
    client_close(c);
}

static void a_server_without_tls_is_refused_where_it_is_asked_for(void **state)
{
    static const char *const words[] = {"on", "verify"};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        store_address address = rig_address(rig_database());
        address.options[address.option_count++] = (pawl_url_option){"ssl", words[i]};
        client *c = client_open(rig_loop(), &address, "a");
        assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_TLS);
        client_abandon(c);
    }
}

/* PostgreSQL, say, which waits for the client to begin. */
static void what_says_nothing_is_said_to_be_no_mariadb(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int port = free_port(), mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    at.sin_port = htons((uint16_t)port);
    CHECK(port && mute >= 0 && bind(mute, (const struct sockaddr *)&at, sizeof at) == 0 &&
          listen(mute, 8) == 0);
    store_address address = rig_address(rig_database());
    address.host = "127.0.0.1";
    address.port = port;
    address.options[0] = (pawl_url_option){"connect_timeout_ms", "300"};
    rig_expect_refusal(rig_loop(), &address, PAWL_ERR_UNAVAILABLE, "MariaDB speaks first");
    close(mute);
}

static void a_server_that_is_read_only_is_no_place_for_locks(void **state)
{
    store_address address = rig_address(rig_database());
    (void)state;
    rig_sql("SET GLOBAL read_only=1");
    client *c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_READONLY);
    rig_sql("SET GLOBAL read_only=0");
    client_await_link(c, true);
    client_close(c);
}

static void statement_format_is_refused(void **state)
{
    store_address address = rig_address(rig_database());
    (void)state;
    rig_sql("SET GLOBAL binlog_format='STATEMENT'");
    client *c = client_open(rig_loop(), &address, "a");
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_UNSUPPORTED);
    assert_non_null(strstr(link->text, "MIXED or ROW"));
    client_abandon(c);
    rig_sql("SET GLOBAL binlog_format='MIXED'");
}

/* ---- Cut ------------------------------------------------------------------------------------- */

/* Those of root in this state, when both clients listen. Some are of the test itself, and may be
 * gone by then. */
static void end_sessions(const char *which)
{
    rig_until("2", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'");
    MYSQL *root = rig_connect();
    char ids[1000], *rest = ids;
    snprintf(ids, sizeof ids, "%s",
             rig_run(root,
                     "SELECT GROUP_CONCAT(ID) FROM information_schema.PROCESSLIST WHERE ID <> "
                     "CONNECTION_ID() AND USER = 'root' AND IFNULL(STATE, '') %s",
                     which));
    for (char *id; (id = strsep(&rest, ",")) != NULL;) {
        char sql[100];
        snprintf(sql, sizeof sql, "KILL %.20s", id);
        if (mysql_query(root, sql) != 0) CHECK(mysql_errno(root) == NO_SUCH_THREAD);
        snprintf(sql, sizeof sql,
                 "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = %.20s", id);
        rig_until("0", sql);
    }
    mysql_close(root);
}

static void a_waiter_that_was_cut_off_keeps_its_place(void **state)
{
    const char *held = fresh_token(), *first = fresh_token(), *second = fresh_token();
    store_address address = rig_address(rig_database());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue("x", first, LONG_MS), PAWL_QUEUED);
    end_sessions("<> 'User lock'"); /* those that ask */
    client_await_link(a, false);
    client_await_link(b, false);
    client_await_link(a, true);
    client_await_link(b, true);
    end_sessions("= 'User lock'"); /* those that listen */
    client_await_link(a, false);
    client_await_link(b, false);
    client_await_link(a, true);
    client_await_link(b, true);
    assert_int_equal(rig_expect(a, ask_queue("x", second, LONG_MS), PAWL_QUEUED)->reply.position,
                     1);
    rig_expect(a, ask_release("x", held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, first);
    client_close(a);
    client_close(b);
}

/* Letters lie in memory: a server that was started anew counts them from 1 again. */
static void letters_that_are_counted_anew_are_read(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    for (int i = 0; i < 2; i++) {
        const char *held = fresh_token(), *next = fresh_token();
        rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
        rig_expect(b, ask_queue("x", next, LONG_MS), PAWL_QUEUED);
        rig_expect(a, ask_release("x", held), PAWL_RELEASED);
        client_await_push(b, PAWL_PUSH_GRANT, next);
        rig_expect(b, ask_release("x", next), PAWL_RELEASED);
        if (i == 1) break;
        rig_sql("TRUNCATE TABLE `%s`.pawl_letter", database); /* as a start does */
        end_sessions("= 'User lock'");
        client_await_link(a, false);
        client_await_link(b, false);
        client_await_link(a, true);
        client_await_link(b, true);
    }
    client_close(a);
    client_close(b);
}

/* A waiter that is away when its turn comes is passed over, and is served when it is back. */
static void a_waiter_that_is_away_is_passed_over_and_comes_back(void **state)
{
    const char *held = fresh_token(), *first = fresh_token(), *second = fresh_token();
    store_address address = rig_address(rig_database());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b"),
           *c = client_up(rig_loop(), &address, "c");
    rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue("x", first, LONG_MS), PAWL_QUEUED);
    client_close(b); /* it is away for good */
    rig_expect(c, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_release("x", held), PAWL_RELEASED);
    client_await_push(c, PAWL_PUSH_GRANT, second);
    rig_expect(c, ask_release("x", second), PAWL_RELEASED);
    const char *third = fresh_token();
    rig_expect(a, ask_acquire("x", third, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_release("x", third), PAWL_RELEASED);
    rig_expect(c, ask_queue("x", first, LONG_MS), PAWL_GRANTED);
    client_close(a);
    client_close(c);
}

static void a_server_that_is_stopped_is_waited_for(void **state)
{
    const char *token = fresh_token();
    store_address address = rig_address(rig_database());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    mariadb_server_end(rig_server());
    client_await_link(a, false);
    const seen_reply *refused = rig_expect(a, ask_renew("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(pawl_err_class_of(refused->reply.err), PAWL_CLASS_RETRY);
    mariadb_server_restart(rig_server());
    client_await_link(a, true);
    rig_expect(a, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
}

/* ---- New sessions ---------------------------------------------------------------------------- */

/* The first lease that a session grants or extends takes it a second. */
static void make_new_sessions_slow(const char *database)
{
    static const char *const kinds[] = {"INSERT", "UPDATE"};
    for (size_t i = 0; i < 2; i++)
        rig_sql("CREATE TRIGGER %s.slow_%s BEFORE %s ON %s.pawl_hold FOR EACH ROW "
                "IF @has_slept IS NULL THEN SET @has_slept = SLEEP(1); END IF",
                database, kinds[i], kinds[i], database);
}

/* A client with a short lease does not wait for so long, closes the connection, and is new again.
 */
static void a_session_that_is_slow_at_first_is_waited_for(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    make_new_sessions_slow(database);
    rig_expect_in_the_end(a);
    client_close(a);
}

/* Each call in it is one that the procedures understand, and writes nothing. */
static void what_warms_a_session_up_leaves_nothing(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client_close(client_up(rig_loop(), &address, "a"));
    MYSQL *root = rig_connect();
    rig_run(root, "USE %s", database);
    rig_run(root, "%s", pawl__mariadb_warm_up);
    if (mysql_errno(root)) FAIL_TEST("%s", mysql_error(root));
    assert_string_equal(
        rig_run(root, "SELECT (SELECT COUNT(*) FROM pawl_name) + (SELECT COUNT(*) FROM pawl_hold) "
                      "+ (SELECT COUNT(*) FROM pawl_wait) + (SELECT COUNT(*) FROM pawl_slot) + "
                      "(SELECT COUNT(*) FROM pawl_letter)"),
        "0");
    assert_string_equal(rig_run(root, "SELECT @@in_transaction"), "0");
    mysql_close(root);
}

/* Their sessions are given up as late, and the next ones go without: who comes back is not kept out
 * by what is there to help it. */
static void a_warm_up_without_an_answer_keeps_nobody_out(void **state)
{
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    address.options[address.option_count++] = (pawl_url_option){"connect_timeout_ms", "2000"};
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    /* One that no request of these clients calls. */
    rig_sql("CREATE OR REPLACE PROCEDURE %s.pawl_take_slots(n VARBINARY(512), tok VARBINARY(40), "
            "u INT, cap INT) DO SLEEP(3600)",
            database);
    end_sessions("IS NOT NULL");
    rig_await_words(a, "did not answer the greeting in time");
    client_await_link(a, true);
    client_await_link(b, true);
    rig_lock_and_unlock(a);
    rig_lock_and_unlock(b);
    client_close(a);
    client_close(b);
}

/* ---- Waking ---------------------------------------------------------------------------------- */

/* The wake-up is that of one client alone: the others sleep on. */
static void only_the_one_whose_turn_it_is_is_woken(void **state)
{
    enum { WAITERS = 4 };
    const char *held = fresh_token(), *tokens[WAITERS];
    client *waiters[WAITERS];
    const char *database = rig_database();
    store_address address = rig_address(database);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < WAITERS; i++) {
        tokens[i] = fresh_token();
        waiters[i] = client_up(rig_loop(), &address, "w");
        rig_expect(waiters[i], ask_queue("x", tokens[i], LONG_MS), PAWL_QUEUED);
    }
    rig_sql("CREATE TABLE %s.told LIKE %s.pawl_letter", database, database);
    rig_sql(
        "CREATE TRIGGER %s.tell AFTER INSERT ON %s.pawl_letter FOR EACH ROW INSERT INTO %s.told "
        "(client, kind, fence, awaited, token, name, at_us) VALUES (NEW.client, NEW.kind, "
        "NEW.fence, NEW.awaited, NEW.token, NEW.name, NEW.at_us)",
        database, database, database);
    rig_expect(a, ask_release("x", held), PAWL_RELEASED);
    const seen_push *push = client_await_push(waiters[0], PAWL_PUSH_GRANT, tokens[0]);
    assert_true(push->push.waiting);
    assert_string_equal(rig_sql("SELECT GROUP_CONCAT(token) FROM %s.told", database), tokens[0]);
    client_close(a);
    for (int i = 0; i < WAITERS; i++) client_close(waiters[i]);
}

/* Those that the server has called until now, by a CALL or within one. */
static int procedures_called(void)
{
    return atoi(rig_sql("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE "
                        "VARIABLE_NAME = 'COM_CALL_PROCEDURE'"));
}

/* Who queues, who releases and who is told: one CALL each, and few procedures in them. What was
 * read does not pile up. */
static void a_hand_over_is_three_calls(void **state)
{
    enum { CLIENTS = 3, TURNS = 30, IN_THREE_CALLS = 8 };
    const char *database = rig_database(), *tokens[CLIENTS];
    client *clients[CLIENTS];
    store_address address = rig_address(database);
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = client_up(rig_loop(), &address, "a");
        tokens[i] = fresh_token();
        rig_expect(clients[i], ask_queue("x", tokens[i], LONG_MS),
                   i == 0 ? PAWL_GRANTED : PAWL_QUEUED);
    }
    rig_until("3", "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'");
    int before = procedures_called();
    for (int i = 0; i < TURNS; i++) {
        int me = i % CLIENTS, next = (i + 1) % CLIENTS;
        rig_expect(clients[me], ask_release("x", tokens[me]), PAWL_RELEASED);
        tokens[me] = fresh_token();
        client_await_push(clients[next], PAWL_PUSH_GRANT, tokens[next]);
        rig_expect(clients[me], ask_queue("x", tokens[me], LONG_MS), PAWL_QUEUED);
    }
    assert_in_range(procedures_called() - before, 1, TURNS * IN_THREE_CALLS + 2 * CLIENTS);
    assert_in_range(atoi(rig_sql("SELECT COUNT(*) FROM %s.pawl_letter", database)), 0, 2 * CLIENTS);
    for (int i = 0; i < CLIENTS; i++) client_close(clients[i]);
}

/* The procedures are of a user that may not end statements of others: then nobody can be woken; the
 * caps say so, and who asks again gets its turn. */
static void who_cannot_be_woken_asks_again(void **state)
{
    const char *database = rig_database(), *held = fresh_token(), *next = fresh_token();
    (void)state;
    rig_sql("CREATE USER maker@localhost");
    rig_sql("GRANT ALL ON %s.* TO maker@localhost", database);
    rig_sql("CREATE USER other@localhost");
    rig_sql("GRANT EXECUTE ON %s.* TO other@localhost", database);
    store_address address = rig_address(database);
    address.user = "maker";
    client *maker = client_up(rig_loop(), &address, "maker");
    assert_true(client_caps(maker)->push);
    address.user = "other";
    client *other = client_up(rig_loop(), &address, "other");
    assert_false(client_caps(other)->push);
    size_t warnings;
    assert_non_null(strstr(client_warning(other, &warnings), "KILL QUERY"));
    rig_expect(maker, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
    rig_expect(other, ask_queue("x", next, LONG_MS), PAWL_QUEUED);
    rig_expect(maker, ask_release("x", held), PAWL_RELEASED);
    rig_expect(other, ask_queue("x", next, LONG_MS), PAWL_GRANTED);
    client_close(maker);
    client_close(other);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_wrong_password_is_said_without_it),
        cmocka_unit_test(a_password_file_is_read_for_each_connection),
        cmocka_unit_test(hosts_at_which_nobody_listens_are_said),
        cmocka_unit_test(a_server_without_room_is_tried_again),
        cmocka_unit_test(a_server_without_tls_is_refused_where_it_is_asked_for),
        cmocka_unit_test(what_says_nothing_is_said_to_be_no_mariadb),
        cmocka_unit_test(a_server_that_is_read_only_is_no_place_for_locks),
        cmocka_unit_test(statement_format_is_refused),
        cmocka_unit_test(a_waiter_that_was_cut_off_keeps_its_place),
        cmocka_unit_test(letters_that_are_counted_anew_are_read),
        cmocka_unit_test(a_waiter_that_is_away_is_passed_over_and_comes_back),
        cmocka_unit_test(a_server_that_is_stopped_is_waited_for),
        cmocka_unit_test(a_session_that_is_slow_at_first_is_waited_for),
        cmocka_unit_test(what_warms_a_session_up_leaves_nothing),
        cmocka_unit_test(a_warm_up_without_an_answer_keeps_nobody_out),
        cmocka_unit_test(only_the_one_whose_turn_it_is_is_woken),
        cmocka_unit_test(a_hand_over_is_three_calls),
        cmocka_unit_test(who_cannot_be_woken_asks_again),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
