/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "peers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

const char *peer_program;

void peer_launch(peer_process *p, const char *path, const char *const *prefix)
{
    int in[2], out[2];
    const char *argv[16];
    int argc = 0;
    memset(p, 0, sizeof(*p));
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    while (prefix && *prefix) argv[argc++] = *prefix++;
    argv[argc++] = peer_program;
    argv[argc++] = path;
    argv[argc] = NULL;
    p->pid = fork();
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    assert_true(p->pid > 0);
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
}

/* The next line into the caller's buffer; false when none comes in time. */
static bool next_line(peer_process *p, char *ret_line, size_t room, int64_t until)
{
    for (;;) {
        char *end = memchr(p->buffer, '\n', p->len);
        if (end) {
            size_t len = (size_t)(end - p->buffer);
            assert_true(len < room);
            memcpy(ret_line, p->buffer, len);
            ret_line[len] = '\0';
            p->len -= len + 1;
            memmove(p->buffer, end + 1, p->len);
            return true;
        }
        int64_t left = (until - host_now()) / 1000000;
        struct pollfd fd = {.fd = p->out, .events = POLLIN};
        if (left <= 0 || poll(&fd, 1, (int)left + 1) <= 0) return false;
        ssize_t n = read(p->out, p->buffer + p->len, sizeof(p->buffer) - p->len);
        if (n <= 0) fail_msg("peer %d ended", (int)p->pid);
        p->len += (size_t)n;
    }
}

static bool begins_with(const char *line, const char *word)
{
    size_t len = strlen(word);
    return strncmp(line, word, len) == 0 && (line[len] == ' ' || line[len] == '\0');
}

const char *peer_expect(peer_process *p, const char *word)
{
    static char line[1024];
    int64_t until = host_now() + HOST_WAIT_MS * INT64_C(1000000);
    while (next_line(p, line, sizeof(line), until)) {
        if (begins_with(line, word)) return line + strlen(word);
    }
    fail_msg("peer %d did not say \"%s\"", (int)p->pid, word);
    return NULL;
}

bool peer_is_silent(peer_process *p, const char *word, int ms)
{
    char line[1024];
    int64_t until = host_now() + ms * INT64_C(1000000);
    while (next_line(p, line, sizeof(line), until)) {
        if (begins_with(line, word)) return false;
    }
    return true;
}

void peer_start(peer_process *p, const char *path, const char *const *prefix)
{
    peer_launch(p, path, prefix);
    peer_expect(p, "up");
}

void peer_say(peer_process *p, const char *line)
{
    size_t len = strlen(line);
    assert_int_equal(write(p->in, line, len), (ssize_t)len);
}

uint64_t peer_send(peer_process *p, const char *verb, const char *name, const char *token,
                   int64_t ttl_ms, unsigned flags, int64_t answer_ms)
{
    char line[512];
    snprintf(line, sizeof(line), "%s %s %s %lld %u %lld\n", verb, name, token, (long long)ttl_ms,
             flags, (long long)answer_ms);
    peer_say(p, line);
    return ++p->next_id;
}

seen_reply peer_reply(peer_process *p, uint64_t id)
{
    for (;;) {
        unsigned long long got, fence;
        long long position, holder_ms;
        int outcome, waiting, err;
        const char *text = peer_expect(p, "reply");
        assert_int_equal(sscanf(text, "%llu %d %llu %lld %lld %d %d", &got, &outcome, &fence,
                                &position, &holder_ms, &waiting, &err),
                         7);
        if (got != id) continue;
        return (seen_reply){.id = got,
                            .outcome = (pawl_outcome)outcome,
                            .fence = fence,
                            .position = position,
                            .holder_ms = holder_ms,
                            .waiting = waiting != 0,
                            .err = (pawl_err)err};
    }
}

seen_reply peer_call(peer_process *p, const char *verb, const char *name, const char *token,
                     int64_t ttl_ms, unsigned flags)
{
    return peer_reply(p, peer_send(p, verb, name, token, ttl_ms, flags, 5000));
}

seen_push peer_push(peer_process *p, pawl_push_kind kind)
{
    for (;;) {
        seen_push push = {0};
        unsigned long long fence;
        int got, waiting;
        const char *text = peer_expect(p, "push");
        assert_int_equal(sscanf(text, "%d %40s %llu %d", &got, push.token, &fence, &waiting), 4);
        if (got != (int)kind) continue;
        push.kind = kind;
        push.fence = fence;
        push.waiting = waiting != 0;
        return push;
    }
}

static void reap(peer_process *p)
{
    close(p->in);
    close(p->out);
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    p->pid = 0;
}

void peer_stop(peer_process *p)
{
    if (p->pid == 0) return;
    peer_say(p, "quit\n");
    reap(p);
}

void peer_kill(peer_process *p)
{
    kill(p->pid, SIGKILL);
    reap(p);
}
