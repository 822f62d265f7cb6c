/* SPDX-License-Identifier: MIT */
/* pawl and the real Curator on one path: its InterProcessMutex and pawl's exclusive locks exclude
 * each other, and its InterProcessReadWriteLock and pawl's locks of a URL that says so. */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define JARS "/usr/share/java/"
#define CLASSES                                                                                    \
    JARS "curator-recipes.jar:" JARS "curator-framework.jar:" JARS "curator-client.jar:" JARS      \
         "zookeeper.jar:" JARS "guava.jar:" JARS "slf4j-api.jar"
#define SESSION_MS "6000" /* of Curator: a stop of this machine does not end it */

static const char *program; /* Curator.java */

#define MUTEX      "mutex" /* names of locks */
#define READ_WRITE "read-write"

/* A process with a mutex and a read-write lock. */
typedef struct curator {
    pid_t pid;
    FILE *to, *from;
} curator;

static curator the_curator;

static void run_java(int in, int out)
{
    char hosts[64];
    snprintf(hosts, sizeof hosts, "%s", zookeeper_server_hosts(rig_server()));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(in, 0);
    (void)dup2(out, 1);
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    execlp("java", "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
           CLASSES, program, hosts, "/pawl/" MUTEX, "/pawl/" READ_WRITE, SESSION_MS, (char *)NULL);
    _exit(127);
}

static void await_line(curator *c, const char *expected)
{
    char line[64] = "";
    CHECK(fgets(line, sizeof line, c->from) != NULL);
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, expected) != 0) FAIL_TEST("Curator says \"%s\", not \"%s\"", line, expected);
}

static curator curator_start(void)
{
    int in[2], out[2];
    CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    curator c = {.pid = fork()};
    CHECK(c.pid >= 0);
    if (c.pid == 0) run_java(in[0], out[1]);
    close(in[0]);
    close(out[1]);
    c.to = fdopen(in[1], "w");
    c.from = fdopen(out[0], "r");
    CHECK(c.to && c.from);
    setvbuf(c.to, NULL, _IOLBF, 0);
    await_line(&c, "ready");
    return c;
}

static void curator_end(curator *c)
{
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) continue;
    fclose(c->to);
    fclose(c->from);
}

static int begin(void **state)
{
    rig_begin(state);
    the_curator = curator_start();
    return 0;
}

static void tell(const char *order)
{
    fprintf(the_curator.to, "%s\n", order);
}

static void order(const char *text, const char *answer)
{
    tell(text);
    await_line(&the_curator, answer);
}

/* Until so many hold or wait. */
static void await_nodes(const char *name, size_t count)
{
    for (size_t seen = 0; seen != count;) {
        test_loop_for(rig_loop(), 20);
        const char *nodes = rig_children(name);
        seen = *nodes != '\0';
        for (; *nodes; nodes++) seen += *nodes == ' ';
    }
}

static void each_excludes_and_awaits_the_other(void **state)
{
    client *a = rig_up("a");
    const char *token = fresh_token(), *waiter = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(MUTEX, token, LONG_MS), PAWL_GRANTED);
    order("mutex acquire 200", "no");
    tell("mutex acquire 20000"); /* it waits, and pawl's release wakes it */
    await_nodes(MUTEX, 2);
    rig_expect(a, ask_release(MUTEX, token), PAWL_RELEASED);
    await_line(&the_curator, "yes");
    const seen_reply *r = rig_expect(a, ask_acquire(MUTEX, fresh_token(), LONG_MS), PAWL_BUSY);
    assert_string_equal(r->text, "somebody who is not pawl");
    rig_expect(a, ask_queue(MUTEX, waiter, LONG_MS), PAWL_QUEUED);
    order("mutex release", "released");
    client_await_push(a, PAWL_PUSH_GRANT, waiter);
    order("mutex acquire 200", "no");
    rig_expect(a, ask_release(MUTEX, waiter), PAWL_RELEASED);
    order("mutex acquire 20000", "yes");
    client_close(a);
}

static client *up_with_read_write(const char *owner)
{
    store_address address = rig_address();
    address.options[0] = (pawl_url_option){.key = "curator", .value = "readwrite"};
    address.option_count = 1;
    return client_up(rig_loop(), &address, owner);
}

static pawl_request ask_shared(const char *token, unsigned flags)
{
    return ask_mode(READ_WRITE, token, PAWL_MODE_SHARED, LONG_MS, flags);
}

static void readers_are_beside_each_other_and_writers_alone(void **state)
{
    client *a = up_with_read_write("a");
    const char *reader = fresh_token(), *later = fresh_token(), *writer = fresh_token();
    (void)state;
    rig_expect(a, ask_shared(reader, 0), PAWL_GRANTED);
    order("read acquire 20000", "yes");
    order("read release", "released");
    order("write acquire 200", "no");
    tell("write acquire 20000");
    await_nodes(READ_WRITE, 2);
    rig_expect(a, ask_shared(later, PAWL_ASK_QUEUE), PAWL_QUEUED); /* behind that writer */
    rig_expect(a, ask_release(READ_WRITE, reader), PAWL_RELEASED);
    await_line(&the_curator, "yes");
    assert_null(client_pushed(a, PAWL_PUSH_GRANT, later));
    order("write release", "released");
    client_await_push(a, PAWL_PUSH_GRANT, later);
    rig_expect(a, ask_release(READ_WRITE, later), PAWL_RELEASED);

    order("read acquire 20000", "yes");
    rig_expect(a, ask_queue(READ_WRITE, writer, LONG_MS), PAWL_QUEUED);
    order("read release", "released");
    client_await_push(a, PAWL_PUSH_GRANT, writer);
    order("read acquire 200", "no");
    order("write acquire 200", "no");
    rig_expect(a, ask_release(READ_WRITE, writer), PAWL_RELEASED);
    order("write acquire 20000", "yes");
    client_close(a);
}

/* Its session ends, and pawl has its locks. */
static void of_a_curator_that_is_killed_the_locks_end(void **state)
{
    client *a = up_with_read_write("a");
    (void)state;
    rig_expect(a, ask_acquire(MUTEX, fresh_token(), LONG_MS), PAWL_BUSY);
    rig_expect(a, ask_acquire(READ_WRITE, fresh_token(), LONG_MS), PAWL_BUSY);
    curator_end(&the_curator);
    rig_acquire_soon(a, MUTEX, fresh_token());
    rig_acquire_soon(a, READ_WRITE, fresh_token());
    client_close(a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(each_excludes_and_awaits_the_other),
        cmocka_unit_test(readers_are_beside_each_other_and_writers_alone),
        cmocka_unit_test(of_a_curator_that_is_killed_the_locks_end),
    };
    char path[SERVER_PATH_MAX];
    if (argc < 2) return 64;
    program = argv[1];
    rig_need_server();
    if (access(JARS "curator-recipes.jar", R_OK) != 0 || !server_find_program("javac", path)) {
        puts("SKIP: there is no Curator on this machine, or no JDK");
        return 77;
    }
    return cmocka_run_group_tests(cases, begin, rig_end);
}
