/* SPDX-License-Identifier: MIT */
/* Connections that are refused, cut, or lead to the wrong server: what is said, and what comes
 * next. */
#define _GNU_SOURCE
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static client *open_as(const char *user, const char *password, const char *path)
{
    store_address address = rig_address(rig_schema());
    address.user = user;
    address.password = password;
    address.path = path;
    return client_open(rig_loop(), &address, "a");
}

/* ---- Refused
 * ------------------------------------------------------------------------------------- */

static void a_wrong_password_is_said_without_it(void **state)
{
    char hba[4096], line[200];
    (void)state;
    rig_sql("CREATE ROLE locked LOGIN PASSWORD 'right'");
    snprintf(hba, sizeof hba, "%s", postgres_server_file(rig_server(), "data/pg_hba.conf"));
    snprintf(line, sizeof line, "local all locked scram-sha-256\nlocal all all trust\n");
    FILE *file = fopen(hba, "we");
    CHECK(file && fputs(line, file) >= 0 && fclose(file) == 0);
    rig_sql("SELECT pg_reload_conf()");
    client *c = open_as("locked", "hunter2", "/postgres");
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_AUTH);
    assert_non_null(strstr(link->text, "28P01"));
    assert_null(strstr(link->text, "hunter2"));
    client_abandon(c);
    c = open_as("locked", NULL, "/postgres");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_AUTH);
    client_abandon(c);
}

static void write_file(char *ret_path, size_t room, const char *name, const char *text)
{
    snprintf(ret_path, room, "%s-%s", postgres_server_directory(rig_server()), name);
    FILE *file = fopen(ret_path, "we");
    CHECK(file && fchmod(fileno(file), 0600) == 0 && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* The user of the case before, in libpq's own files. */
static void a_password_file_and_a_service_are_libpqs_own(void **state)
{
    char passwords[300], services[300], text[400];
    (void)state;
    rig_sql("GRANT CREATE ON DATABASE postgres TO locked");
    write_file(passwords, sizeof passwords, "passwords", "*:*:*:locked:right\n");
    snprintf(text, sizeof text, "[pawls]\nhost=%s\nuser=locked\ndbname=postgres\npassfile=%s\n",
             postgres_server_directory(rig_server()), passwords);
    write_file(services, sizeof services, "services", text);
    store_address address = rig_address(rig_schema());
    address.user = "locked";
    address.options[address.option_count++] = (pawl_url_option){"passfile", passwords};
    client *c = client_up(rig_loop(), &address, "a");
    rig_lock_and_unlock(c);
    client_close(c);
    CHECK(setenv("PGSERVICEFILE", services, 1) == 0);
    address = rig_address(rig_schema());
    address.user = address.path = NULL;
    address.options[0] = (pawl_url_option){"service", "pawls"};
    c = client_up(rig_loop(), &address, "a");
    rig_lock_and_unlock(c);
    client_close(c);
    CHECK(unsetenv("PGSERVICEFILE") == 0 && unlink(passwords) == 0 && unlink(services) == 0);
}

static void a_database_that_is_not_there_is_a_mistake_in_the_address(void **state)
{
    (void)state;
    client *c = open_as("pawl", NULL, "/nowhere");
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_URL);
    assert_non_null(strstr(link->text, "\"nowhere\" does not exist"));
    client_abandon(c);
}

/* As a server warns of a database whose collations are those of another system. */
static void what_the_server_says_at_the_login_is_not_printed(void **state)
{
    char printed[200] = "";
    (void)state;
    rig_sql("CREATE ROLE talkative LOGIN");
    rig_sql("GRANT CREATE ON DATABASE postgres TO talkative");
    rig_sql("ALTER ROLE talkative SET client_min_messages = debug5");
    FILE *file = tmpfile();
    int standard = dup(STDERR_FILENO);
    CHECK(file && standard >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    client *c = open_as("talkative", NULL, "/postgres");
    client_await_link(c, true);
    client_close(c);
    CHECK(dup2(standard, STDERR_FILENO) >= 0 && close(standard) == 0);
    rewind(file);
    (void)!fread(printed, 1, sizeof printed - 1, file);
    fclose(file);
    assert_string_equal(printed, "");
}

static void a_server_without_room_is_tried_again(void **state)
{
    (void)state;
    rig_sql("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0");
    rig_sql("GRANT CREATE ON DATABASE postgres TO crowd");
    client *c = open_as("crowd", NULL, "/postgres");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_STORE_BUSY);
    rig_sql("ALTER ROLE crowd CONNECTION LIMIT 10");
    client_await_link(c, true);
    client_close(c);
}

static void of_several_hosts_the_one_that_works_is_taken(void **state)
{
    char hosts[300];
    (void)state;
    snprintf(hosts, sizeof hosts, "/nowhere/at/all,%s", postgres_server_directory(rig_server()));
    store_address address = rig_address(rig_schema());
    address.options[0].value = hosts;
    client_close(client_up(rig_loop(), &address, "a"));
}

static void a_host_that_is_not_there_is_said(void **state)
{
    (void)state;
    store_address address = rig_address(rig_schema());
    address.options[0].value = "/nowhere/at/all";
    client *c = client_open(rig_loop(), &address, "a");
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_UNAVAILABLE);
    assert_non_null(strstr(link->text, "/nowhere/at/all"));
    client_abandon(c);
}

/* ---- Cut
 * ------------------------------------------------------------------------------------------ */

static void end_sessions(void)
{
    rig_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> "
            "pg_backend_pid() AND application_name LIKE 'pawl:%%'");
}

static void a_waiter_that_was_cut_off_keeps_its_place(void **state)
{
    const char *held = fresh_token(), *first = fresh_token(), *second = fresh_token();
    store_address address = rig_address(rig_schema());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue("x", first, LONG_MS), PAWL_QUEUED);
    end_sessions();
    rig_await_words(a, "57P01"); /* the server's own reason */
    rig_await_words(b, "57P01");
    client_await_link(a, true);
    client_await_link(b, true);
    assert_int_equal(rig_expect(a, ask_queue("x", second, LONG_MS), PAWL_QUEUED)->reply.position,
                     1);
    rig_expect(a, ask_release("x", held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, first);
    client_close(a);
    client_close(b);
}

/* It may be carried out, and what else this server answers is not to be trusted: connects anew. */
static void an_answer_that_is_none_of_ours_ends_the_connection(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_sql("CREATE OR REPLACE FUNCTION %s.say_busy(n bytea, now_us bigint) RETURNS text "
            "LANGUAGE sql AS $$ SELECT 'nonsense'::text $$",
            schema);
    const seen_reply *answer =
        rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_UNKNOWN);
    assert_int_equal(answer->reply.err, PAWL_ERR_PROTOCOL);
    rig_await_words(a, "not pawl's protocol");
    client_await_link(a, true);
    client_close(a);
}

/* A waiter that is away when its turn comes is passed over, and is served when it is back. */
static void a_waiter_that_is_away_is_passed_over_and_comes_back(void **state)
{
    const char *held = fresh_token(), *first = fresh_token(), *second = fresh_token();
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
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
    /* No present waiter: the lock is free for a new caller, and for a waiter that comes back. */
    const char *third = fresh_token();
    rig_expect(a, ask_acquire("x", third, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_release("x", third), PAWL_RELEASED);
    rig_expect(c, ask_queue("x", first, LONG_MS), PAWL_GRANTED);
    client_close(a);
    client_close(c);
}

/* Two requests, of different names, ask about one client at once: to both it is away. */
static void who_is_away_is_away_for_all_who_ask(void **state)
{
    const char *schema = rig_schema();
    char sql[100];
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    PGconn *first = rig_connect();
    snprintf(sql, sizeof sql, "BEGIN; SELECT %s.is_away('gone')", schema);
    PGresult *result = PQexec(first, sql);
    assert_string_equal(PQgetvalue(result, 0, 0), "t");
    PQclear(result);
    assert_string_equal(rig_sql("SELECT %s.is_away('gone')", schema), "t");
    rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_string_equal(rig_sql("SELECT %s.is_away(client) FROM %s.hold", schema, schema), "f");
    PQfinish(first);
    client_close(a);
}

static void a_server_that_is_stopped_is_waited_for(void **state)
{
    const char *token = fresh_token();
    store_address address = rig_address(rig_schema());
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    postgres_server_end(rig_server(), SIGINT);
    client_await_link(a, false);
    const seen_reply *refused = rig_expect(a, ask_renew("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(pawl_err_class_of(refused->reply.err), PAWL_CLASS_RETRY);
    postgres_server_restart(rig_server());
    client_await_link(a, true);
    rig_expect(a, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
}

/* ---- Prepared statements ------------------------------------------------------------------- */

/* Each grant writes down how many its session keeps, and then runs `then`. */
static void watch_prepared(const char *schema, const char *then)
{
    rig_sql("CREATE TABLE %s.seen(statements bigint); "
            "CREATE FUNCTION %s.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
            "%s.seen SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'pawl%%'; %s "
            "RETURN NEW; END $$; "
            "CREATE TRIGGER see AFTER INSERT ON %s.hold FOR EACH ROW EXECUTE FUNCTION %s.see()",
            schema, schema, schema, then, schema, schema);
}

static const char *prepared(const char *schema)
{
    return rig_sql("SELECT string_agg(statements::text, ',') FROM %s.seen", schema);
}

static void a_session_keeps_its_statements_prepared(void **state)
{
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    watch_prepared(schema, "");
    for (int i = 0; i < 2; i++) {
        rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
        rig_expect(a, ask_release("x", token), PAWL_RELEASED);
    }
    assert_string_equal(prepared(schema), "1,2");
    end_sessions();
    client_await_link(a, false);
    client_await_link(a, true);
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    assert_string_equal(prepared(schema), "1,2,1");
    client_close(a);
}

/* Like a pooler that was not recognized. Nothing was done, and the next try works. */
static void a_session_that_forgets_is_asked_without_them(void **state)
{
    const char *schema = rig_schema(), *token = fresh_token();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    watch_prepared(schema, "EXECUTE 'DEALLOCATE ALL';");
    rig_expect(a, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    const seen_reply *refused = rig_expect(a, ask_acquire("y", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_STORE_BUSY);
    rig_expect(a, ask_acquire("y", token, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_release("x", token), PAWL_RELEASED);
    assert_string_equal(prepared(schema), "1,0");
    client_close(a);
}

/* ---- Waking -------------------------------------------------------------------------------- */

/* Another one listens beside all who wait: it hears what each of them does. */
static PGconn *listen_beside(const char *schema)
{
    PGconn *conn = rig_connect();
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT client FROM %s.wait", schema);
    PGresult *clients = PQexec(conn, sql);
    for (int i = 0; i < PQntuples(clients); i++) {
        snprintf(sql, sizeof sql, "LISTEN \"pawl_%s\"", PQgetvalue(clients, i, 0));
        PQclear(PQexec(conn, sql));
    }
    PQclear(clients);
    return conn;
}

static void only_the_one_whose_turn_it_is_is_notified(void **state)
{
    enum { WAITERS = 4 };
    const char *held = fresh_token(), *tokens[WAITERS], *schema = rig_schema();
    client *waiters[WAITERS];
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < WAITERS; i++) {
        tokens[i] = fresh_token();
        waiters[i] = client_up(rig_loop(), &address, "w");
        rig_expect(waiters[i], ask_queue("x", tokens[i], LONG_MS), PAWL_QUEUED);
    }
    PGconn *beside = listen_beside(schema);
    rig_expect(a, ask_release("x", held), PAWL_RELEASED);
    client_await_push(waiters[0], PAWL_PUSH_GRANT, tokens[0]);
    PQclear(PQexec(beside, "SELECT 1")); /* whatever was told until then is there now */
    PGnotify *told = PQnotifies(beside), *more = PQnotifies(beside);
    assert_true(told && strstr(told->extra, tokens[0]) && !more);
    PQfreemem(told);
    PQfinish(beside);
    client_close(a);
    for (int i = 0; i < WAITERS; i++) client_close(waiters[i]);
}

/* ---- New sessions -------------------------------------------------------------------------- */

/* The first lease that a session grants or extends takes it a second. It keeps a lock as a note,
 * which a transaction that is rolled back leaves it. */
static void make_new_sessions_slow(const char *schema)
{
    rig_sql("CREATE FUNCTION %s.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NOT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() "
            "AND locktype = 'advisory' AND classid = 0 AND objid = 4711) THEN "
            "PERFORM pg_advisory_lock_shared(4711), pg_sleep(1); END IF; RETURN NEW; END $$; "
            "CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON %s.hold FOR EACH ROW "
            "EXECUTE FUNCTION %s.slow()",
            schema, schema, schema);
}

/* A client with a short lease does not wait for so long, closes the connection, and is new again.
 */
static void a_session_that_is_slow_at_first_is_waited_for(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    make_new_sessions_slow(schema);
    rig_expect_in_the_end(a);
    client_close(a);
}

/* What it does is done to its last step, the hand-over of a lock, and nothing of it stays. */
static void a_session_that_comes_back_is_warmed_up(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client *a = client_up(rig_loop(), &address, "a");
    /* Counted by what is not rolled back: the waiters who were served. */
    rig_sql("CREATE SEQUENCE %s.served; "
            "CREATE FUNCTION %s.serve_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM nextval('%s.served'); RETURN NULL; END $$; "
            "CREATE TRIGGER served AFTER DELETE ON %s.wait FOR EACH ROW "
            "EXECUTE FUNCTION %s.serve_one()",
            schema, schema, schema, schema, schema);
    end_sessions();
    client_await_link(a, false);
    client_await_link(a, true);
    assert_string_equal(rig_sql("SELECT last_value FROM %s.served", schema), "2");
    assert_string_equal(rig_sql("SELECT (SELECT count(*) FROM %s.name) + (SELECT count(*) FROM "
                                "%s.hold) + (SELECT count(*) FROM %s.wait)",
                                schema, schema, schema),
                        "0");
    /* That of a client that is there; sessions of earlier cases may be about to end. */
    rig_until("1", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
    client_close(a);
}

/* It may read nothing: it is connected, and each request says why it is refused. */
static void who_may_not_be_warmed_up_comes_back_all_the_same(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    client_close(client_up(rig_loop(), &address, "maker"));
    rig_sql("CREATE ROLE stranger LOGIN; GRANT USAGE ON SCHEMA %s TO stranger", schema);
    address.user = "stranger";
    client *a = client_up(rig_loop(), &address, "a");
    end_sessions();
    client_await_link(a, false);
    client_await_link(a, true);
    assert_int_equal(
        rig_expect(a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_FAILED)->reply.err,
        PAWL_ERR_PERMISSION);
    client_close(a);
}

/* Its session is given up as late, and the next one goes without: who comes back is not kept out by
 * what is there to help it. Meanwhile the name is free for others. */
static void a_warm_up_without_an_answer_keeps_nobody_out(void **state)
{
    const char *schema = rig_schema();
    store_address address = rig_address(schema);
    (void)state;
    address.options[address.option_count++] = (pawl_url_option){"connect_timeout_ms", "2000"};
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    rig_sql("CREATE FUNCTION %s.never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_sleep(3600); RETURN NULL; END $$; "
            "CREATE TRIGGER never AFTER DELETE ON %s.wait FOR EACH ROW EXECUTE FUNCTION %s.never()",
            schema, schema, schema);
    rig_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE application_name = 'pawl:a'");
    rig_await_words(a, "did not answer the greeting in time");
    rig_lock_and_unlock(b);
    client_await_link(a, true);
    rig_lock_and_unlock(a);
    client_close(a);
    client_close(b);
    end_sessions(); /* one sleeps on */
}

/* ---- A standby
 * ------------------------------------------------------------------------------------- */

/* With the primary's data, of that name below its directory. */
static postgres_server *start_standby(const char *name)
{
    char data[256];
    snprintf(data, sizeof data, "%s", postgres_server_file(rig_server(), name));
    FILE *file = fopen(postgres_server_file(rig_server(), "data/pg_hba.conf"), "ae");
    CHECK(file && fputs("local replication all trust\n", file) >= 0 && fclose(file) == 0);
    rig_sql("SELECT pg_reload_conf()");
    const char *const backup[] = {"pg_basebackup",
                                  "-D",
                                  data,
                                  "-h",
                                  postgres_server_directory(rig_server()),
                                  "-U",
                                  "pawl",
                                  "-R",
                                  "--no-sync",
                                  "-c",
                                  "fast",
                                  NULL};
    postgres_server_run(rig_server(), backup);
    postgres_server *standby = postgres_server_beside(rig_server(), data);
    postgres_server_launch(standby, NULL);
    return standby;
}

static void a_standby_is_no_place_for_locks(void **state)
{
    char hosts[300];
    (void)state;
    postgres_server *standby = start_standby("standby");
    store_address address = rig_address(rig_schema());
    address.options[0].value = postgres_server_directory(standby);
    client *c = client_open(rig_loop(), &address, "a");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_READONLY);
    client_abandon(c);
    /* Named too, the primary is found, and its doctor tells of the standby. */
    snprintf(hosts, sizeof hosts, "%s,%s", postgres_server_directory(standby),
             postgres_server_directory(rig_server()));
    address.options[0].value = hosts;
    c = client_up(rig_loop(), &address, "a");
    rig_expect(c, ask_doctor(), PAWL_REPORTED);
    assert_non_null(strstr(client_found(c), "standby: the standby is asynchronous"));
    client_close(c);
    postgres_server_stop(standby);
}

static void run_at(const postgres_server *standby, const char *sql, const char *value)
{
    const char *keywords[] = {"host", "user", "dbname", NULL};
    const char *values[] = {postgres_server_directory(standby), "pawl", "postgres", NULL};
    PGconn *conn = PQconnectdbParams(keywords, values, 0);
    PGresult *result = PQexec(conn, sql);
    bool fine = value ? PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), value) == 0
                      : PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!fine) FAIL_TEST("%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
    PQfinish(conn);
}

static void promote(const postgres_server *standby)
{
    run_at(standby, "SELECT pg_promote()", "t"); /* waits until it has been */
}

/* From then on it does not hear of what the primary does. */
static void let_it_lag(const postgres_server *standby)
{
    rig_until("t", "SELECT pg_current_wal_lsn() <= replay_lsn FROM pg_stat_replication");
    run_at(standby, "ALTER SYSTEM SET primary_conninfo = ''", NULL);
    run_at(standby, "SELECT pg_reload_conf()", "t");
    rig_until("0", "SELECT count(*) FROM pg_stat_replication");
}

/* It has forgotten what came last: who got the lock by that is not confirmed, who had given it back
 * has it again, and fences grow on all the same. */
static void a_promoted_standby_that_lagged_confirms_nothing_that_it_forgot(void **state)
{
    const char *first = fresh_token(), *second = fresh_token();
    char hosts[300];
    (void)state;
    postgres_server *standby = start_standby("lagging");
    store_address address = rig_address(rig_schema());
    snprintf(hosts, sizeof hosts, "%s,%s", postgres_server_directory(rig_server()),
             postgres_server_directory(standby));
    address.options[0].value = hosts;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    uint64_t before = rig_expect(a, ask_acquire("x", first, LONG_MS), PAWL_GRANTED)->reply.fence;
    let_it_lag(standby);
    rig_expect(a, ask_release("x", first), PAWL_RELEASED);
    uint64_t lost = rig_expect(b, ask_acquire("x", second, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_true(lost > before);
    postgres_server_kill(rig_server());
    client_await_link(a, false);
    client_await_link(b, false);
    promote(standby);
    client_await_link(a, true);
    client_await_link(b, true);
    rig_expect(b, ask_renew("x", second, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(b, ask_release("x", second), PAWL_NOT_OWNER);
    rig_expect(b, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    rig_expect(a, ask_release("x", first), PAWL_RELEASED);
    assert_true(rig_expect(b, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED)->reply.fence >
                lost);
    client_close(a);
    client_close(b);
    postgres_server_stop(standby);
    postgres_server_restart(rig_server());
}

/* The primary dies. What it has acknowledged holds at the standby: leases, the queue, fences. */
static void a_promoted_standby_that_was_synchronous_has_every_lock(void **state)
{
    const char *held = fresh_token(), *waits = fresh_token();
    char hosts[300];
    (void)state;
    postgres_server *standby = start_standby("promoted");
    rig_sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    rig_sql("SELECT pg_reload_conf()");
    rig_until("sync", "SELECT sync_state FROM pg_stat_replication");
    store_address address = rig_address(rig_schema());
    snprintf(hosts, sizeof hosts, "%s,%s", postgres_server_directory(rig_server()),
             postgres_server_directory(standby));
    address.options[0].value = hosts;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    uint64_t fence = rig_expect(a, ask_acquire("x", held, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(b, ask_queue("x", waits, LONG_MS), PAWL_QUEUED);
    postgres_server_kill(rig_server());
    client_await_link(a, false);
    client_await_link(b, false);
    promote(standby);
    client_await_link(a, true);
    client_await_link(b, true);
    assert_true(rig_expect(a, ask_renew("x", held, LONG_MS), PAWL_CONFIRMED)->reply.fence == fence);
    rig_expect(b, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    assert_int_equal(rig_expect(b, ask_queue("x", waits, LONG_MS), PAWL_QUEUED)->reply.position, 0);
    rig_expect(a, ask_release("x", held), PAWL_RELEASED);
    assert_true(client_await_push(b, PAWL_PUSH_GRANT, waits)->push.fence > fence);
    client_close(a);
    client_close(b);
    postgres_server_stop(standby);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_wrong_password_is_said_without_it),
        cmocka_unit_test(a_password_file_and_a_service_are_libpqs_own),
        cmocka_unit_test(a_database_that_is_not_there_is_a_mistake_in_the_address),
        cmocka_unit_test(what_the_server_says_at_the_login_is_not_printed),
        cmocka_unit_test(a_server_without_room_is_tried_again),
        cmocka_unit_test(of_several_hosts_the_one_that_works_is_taken),
        cmocka_unit_test(a_host_that_is_not_there_is_said),
        cmocka_unit_test(a_waiter_that_was_cut_off_keeps_its_place),
        cmocka_unit_test(an_answer_that_is_none_of_ours_ends_the_connection),
        cmocka_unit_test(a_waiter_that_is_away_is_passed_over_and_comes_back),
        cmocka_unit_test(who_is_away_is_away_for_all_who_ask),
        cmocka_unit_test(a_server_that_is_stopped_is_waited_for),
        cmocka_unit_test(a_session_keeps_its_statements_prepared),
        cmocka_unit_test(a_session_that_forgets_is_asked_without_them),
        cmocka_unit_test(only_the_one_whose_turn_it_is_is_notified),
        cmocka_unit_test(a_session_that_is_slow_at_first_is_waited_for),
        cmocka_unit_test(a_session_that_comes_back_is_warmed_up),
        cmocka_unit_test(who_may_not_be_warmed_up_comes_back_all_the_same),
        cmocka_unit_test(a_warm_up_without_an_answer_keeps_nobody_out),
        cmocka_unit_test(a_standby_is_no_place_for_locks),
        cmocka_unit_test(a_promoted_standby_that_lagged_confirms_nothing_that_it_forgot),
        cmocka_unit_test(a_promoted_standby_that_was_synchronous_has_every_lock),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
