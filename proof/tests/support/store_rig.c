/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "store_rig.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_NS INT64_C(60000000000) /* servers that choose a leader, on a busy machine */

void rig_need(bool exists, const char *reason)
{
    if (exists) {
        check_cases_run_here();
        return;
    }
    printf("SKIP: %s\n", reason);
    exit(77);
}

const char *rig_name(void)
{
    static char names[512][24];
    static unsigned count;
    CHECK(count < 512);
    snprintf(names[count], sizeof names[0], "lock-%u", count);
    return names[count++];
}

const seen_reply *rig_expect(client *c, pawl_request request, pawl_outcome outcome)
{
    const seen_reply *answer = client_ask(c, &request);
    if (answer->reply.outcome != outcome)
        FAIL_TEST("verb %d: outcome %d (%s %s), expected %d", (int)request.verb,
                  (int)answer->reply.outcome, pawl_err_name(answer->reply.err), answer->text,
                  (int)outcome);
    return answer;
}

void rig_ask_doctor(client *c)
{
    int64_t start = host_now(), took_ms = -1;
    rig_expect(c, ask_doctor(), PAWL_REPORTED);
    int64_t seen_ms = (host_now() - start) / 1000000;
    const char *told = strstr(client_found(c), "latency: ");
    CHECK(told);
    told = strstr(told, " took ");
    CHECK(told && sscanf(told, " took %" SCNd64 " ms", &took_ms) == 1);
    assert_in_range(took_ms, 0, seen_ms);
    /* One at a time: the second one is told so, and the first one comes to its end. */
    pawl_request doctor = ask_doctor();
    uint64_t first = client_submit(c, &doctor), second = client_submit(c, &doctor);
    client_flush(c);
    assert_int_equal(client_await(c, second)->reply.outcome, PAWL_FAILED);
    assert_int_equal(client_await(c, first)->reply.outcome, PAWL_REPORTED);
}

const seen_reply *rig_ask_until_known(client *c, pawl_request request)
{
    for (int64_t start = host_now(); host_now() - start < SOON_NS;) {
        const seen_reply *answer = client_ask(c, &request);
        if (answer->reply.outcome != PAWL_FAILED && answer->reply.outcome != PAWL_UNKNOWN)
            return answer;
        test_loop_for(client_loop(c), 20);
    }
    FAIL_TEST("no clear answer");
    return NULL;
}

const seen_reply *rig_ask_until(client *c, pawl_request request, pawl_outcome outcome)
{
    for (int64_t start = host_now(); host_now() - start < SOON_NS;) {
        const seen_reply *answer = client_ask(c, &request);
        if (answer->reply.outcome == outcome) return answer;
        test_loop_for(client_loop(c), 10);
    }
    FAIL_TEST("verb %d: outcome %d did not come", (int)request.verb, (int)outcome);
    return NULL;
}

static bool is_refused(void *arg)
{
    client *c = arg;
    size_t count = client_link_count(c);
    return count > 0 && !client_link(c, count - 1)->up;
}

const seen_link *rig_await_refusal(client *c)
{
    test_loop_until(client_loop(c), is_refused, c, "a refusal of the link");
    return client_link(c, client_link_count(c) - 1);
}

typedef struct last_words {
    client *client;
    const char *part;
} last_words;

static bool said(void *arg)
{
    const last_words *w = arg;
    size_t count = client_link_count(w->client);
    return count > 0 && strstr(client_link(w->client, count - 1)->text, w->part);
}

void rig_await_words(client *c, const char *part)
{
    last_words w = {c, part};
    test_loop_until(client_loop(c), said, &w, part);
}

void rig_expect_in_the_end(client *c)
{
    enum { TRIES = 20 };
    pawl_request ask = ask_acquire("x", fresh_token(), LONG_MS);
    pawl_outcome outcome = PAWL_UNKNOWN;
    for (int i = 0; i < TRIES && outcome != PAWL_GRANTED; i++) {
        client_await_link(c, true);
        ask.answer_by = host_now() + INT64_C(500000000);
        outcome = client_ask(c, &ask)->reply.outcome;
    }
    assert_int_equal(outcome, PAWL_GRANTED);
}

void rig_lock_and_unlock(client *c)
{
    const char *token = fresh_token();
    rig_expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(c, ask_release("x", token), PAWL_RELEASED);
}

void rig_expect_refusal(test_loop *loop, const store_address *address, pawl_err err,
                        const char *words)
{
    client *c = client_open(loop, address, "a");
    const seen_link *link = rig_await_refusal(c);
    if (link->err != err || !strstr(link->text, words))
        FAIL_TEST("%s: \"%s\"; wanted \"%s\"", pawl_err_name(link->err), link->text, words);
    client_abandon(c);
}

pid_t rig_start_process(const store_address *address, const char *owner, const char *token)
{
    int ready[2];
    char byte;
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        client *c = client_up(test_loop_new(), address, owner);
        pawl_request request = ask_queue("x", token, LONG_MS);
        (void)client_ask(c, &request);
        CHECK(write(ready[1], "r", 1) == 1);
        for (;;) pause();
    }
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return child;
}

void rig_kill_process(pid_t child)
{
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}
