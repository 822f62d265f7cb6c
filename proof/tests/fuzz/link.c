/* SPDX-License-Identifier: MIT */
/*
 * The whole Redis store on a server that says anything: through its greeting, its probe, its
 * answers, its lists and its pushes. Each request is answered once, the link goes up and
 * down in turn, and closing frees everything, wherever the input ends.
 *
 *   input: how the server begins (1 byte: 0 as it should), then steps: what, how much, bytes
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "pawl/store.h"
#include "support/temp_dir.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS_MAX 64
#define STEPS_MAX    200
#define TURNS        4 /* of the loop after each step */
#define LATER_NS     INT64_C(60000000000)

extern const pawl_store_ops pawl_store_entry;

/* ---- The host ------------------------------------------------------------------------------- */

typedef struct scene {
    pawl_host host; /* first: the store hands it back */
    struct event_base *base;
    pawl_store *store;
    bool inside, up;
    bool answered[REQUESTS_MAX + 1]; /* by id */
    unsigned asked;
    int listener;
    int end; /* the server's, of the connection; -1 */
    char heard[8192];
    size_t heard_len; /* of what arrived */
} scene;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static scene *called(pawl_host *host)
{
    scene *s = (scene *)host;
    CHECK(!s->inside); /* rule 1 */
    return s;
}

static void on_reply(pawl_host *host, const pawl_reply *reply)
{
    scene *s = called(host);
    CHECK(reply->id >= 1 && reply->id <= s->asked && !s->answered[reply->id]); /* rule 2 */
    s->answered[reply->id] = true;
    if (reply->outcome == PAWL_FAILED || reply->outcome == PAWL_UNKNOWN) {
        CHECK(reply->err < 0);
        if (reply->message) fuzz_check_line(reply->message, PAWL_MESSAGE_MAX);
    }
}

static void on_row(pawl_host *host, uint64_t id, const pawl_info *info)
{
    const scene *s = called(host);
    CHECK(id >= 1 && id <= s->asked && !s->answered[id]);
    CHECK(info->name_len <= PAWL_NAME_MAX && info->owner);
    CHECK(info->waiters_shown <= info->waiter_count);
}

static void on_finding(pawl_host *host, uint64_t id, const pawl_finding *finding)
{
    const scene *s = called(host);
    CHECK(id >= 1 && id <= s->asked && !s->answered[id]);
    fuzz_check_line(finding->text, PAWL_MESSAGE_MAX);
}

static void on_push(pawl_host *host, const pawl_push *push)
{
    (void)called(host);
    CHECK(push->name_len >= 1 && push->name_len <= PAWL_NAME_MAX);
}

static void on_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    scene *s = called(host);
    CHECK(!(up && s->up));
    s->up = up;
    if (up) return;
    CHECK(err < 0 && message[0]);
    fuzz_check_line(message, PAWL_MESSAGE_MAX);
    for (unsigned id = 1; id <= s->asked; id++) CHECK(s->answered[id]);
}

static void on_warn(pawl_host *host, const char *message)
{
    (void)called(host);
    fuzz_check_line(message, PAWL_MESSAGE_MAX);
}

/* ---- The server ------------------------------------------------------------------- */

static void turn(scene *s)
{
    for (int i = 0; i < TURNS; i++) event_base_loop(s->base, EVLOOP_NONBLOCK);
    if (s->end < 0) s->end = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (s->end < 0) return;
    /* Reads the store's requests, so that its socket is never full; keeps the latest. */
    char rest[8192];
    for (ssize_t n; (n = recv(s->end, rest, sizeof rest, 0)) > 0;) {
        memcpy(s->heard, rest, (size_t)n);
        s->heard_len = (size_t)n;
    }
}

static void say(scene *s, const void *data, size_t len)
{
    if (s->end >= 0) (void)!send(s->end, data, len, MSG_NOSIGNAL);
}

static void say_text(scene *s, const char *text)
{
    say(s, text, strlen(text));
}

/* The greeting of a server that has nothing against us. */
static void welcome(scene *s)
{
    turn(s);
    say_text(s,
             "%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n>3\r\n$9\r\nsubscribe\r\n$5\r\ninbox\r\n:1\r\n");
    turn(s);
    /* The probe's last argument comes back through the inbox. */
    char message[128];
    const char *word = memmem(s->heard, s->heard_len, "\r\nh ", 4);
    if (!word) return;
    snprintf(message, sizeof message, ">3\r\n$7\r\nmessage\r\n$5\r\ninbox\r\n$18\r\n%.18s\r\n",
             word + 2);
    say_text(s, message);
    say_text(s, "*1\r\n:1\r\n");
    turn(s);
}

static void hang_up(scene *s)
{
    if (s->end >= 0) close(s->end);
    s->end = -1;
}

/* ---- The client ------------------------------------------------------------------- */

static void submit(scene *s, pawl_verb verb, const char *name, unsigned flags)
{
    if (s->asked == REQUESTS_MAX) return;
    pawl_request request = {.id = ++s->asked,
                            .verb = verb,
                            .flags = flags,
                            .name = name,
                            .name_len = 1,
                            .token = "0123456789012345678901234567890123456789",
                            .owner = "fuzz",
                            .ttl_ms = 1000,
                            .fence = 1,
                            .answer_by = now() + LATER_NS};
    if (verb == PAWL_VERB_LIST || verb == PAWL_VERB_DOCTOR) request.token = NULL;
    s->inside = true;
    pawl_store_entry.submit(s->store, &request);
    s->inside = false;
}

static void flush(scene *s)
{
    s->inside = true;
    pawl_store_entry.flush(s->store);
    s->inside = false;
}

static void ask(scene *s, pawl_verb verb)
{
    submit(s, verb, "x", PAWL_ASK_QUEUE);
    flush(s);
}

/* As a handle on several names does. */
static void ask_together(scene *s, pawl_verb verb)
{
    static const char *const names[] = {"x", "y", "z"};
    for (int i = 0; i < 3; i++) submit(s, verb, names[i], PAWL_ASK_TOGETHER);
    flush(s);
}

static void open_store(scene *s)
{
    static char *dir;
    static char path[108];
    static unsigned number;
    if (!dir) dir = temp_dir_new("pawl-fuzz");
    snprintf(path, sizeof path, "%.80s/%u", dir, number++ % 2);
    unlink(path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, sizeof path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(s->listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(s->listener, 4) == 0);

    char message[PAWL_MESSAGE_MAX];
    const pawl_url url = {.scheme = "redis+unix", .path = path, .port = -1, .redacted = "redis:"};
    s->inside = true;
    CHECK(pawl_store_entry.open(&s->host, &url, &s->store, message) == 0);
    s->inside = false;
}

/* ---- The input -------------------------------------------------------------------- */

static void step(scene *s, fuzz_input *in)
{
    unsigned what = fuzz_byte(in);
    if (what < 160) { /* mostly the server speaks */
        fuzz_input piece = fuzz_cut(in, fuzz_byte(in));
        say(s, piece.data, piece.left);
    } else if (what >= 246 && what < 250) {
        ask_together(s, what % 2 ? PAWL_VERB_RELEASE : PAWL_VERB_ACQUIRE);
    } else if (what < 250) {
        ask(s, (pawl_verb)(what % PAWL_VERB_COUNT));
    } else {
        hang_up(s);
    }
    turn(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_base *base;
    if (!base) base = event_base_new();
    CHECK(base != NULL);
    fuzz_input in = {data, size};
    scene s = {.base = base, .end = -1, .listener = -1};
    s.host = (pawl_host){.size = sizeof s.host,
                         .base = base,
                         .client_id = "00000000000000000000000000000001",
                         .owner = "fuzz",
                         .connect_timeout_ms = 60000,
                         .now = now,
                         .reply = on_reply,
                         .row = on_row,
                         .finding = on_finding,
                         .push = on_push,
                         .link = on_link,
                         .warn = on_warn};
    open_store(&s);
    turn(&s);
    if (fuzz_byte(&in) == 0) welcome(&s);
    for (int i = 0; i < STEPS_MAX && in.left > 0; i++) step(&s, &in);
    hang_up(&s);
    turn(&s);
    for (unsigned id = 1; id <= s.asked; id++) CHECK(s.answered[id]);
    s.inside = true;
    pawl_store_entry.close(s.store);
    s.inside = false;
    close(s.listener);
    event_base_loop(base, EVLOOP_NONBLOCK); /* what the store left behind would come now */
    return 0;
}
