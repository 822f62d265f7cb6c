/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "notify.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "message.h"

#define TEXT_MAX 400

/* What is due stays so until it was sent; of several texts the last one. */
static struct {
    bool opened;
    bool passed_on; /* the command says that it is ready */
    int fd;         /* -1: there is nobody to tell */
    bool ready_due, stopping_due, text_due;
    char text[TEXT_MAX + 1];
} told = {.fd = -1};

/* "/path", or "@name" for a name without a file. */
static bool address_of(const char *given, struct sockaddr_un *ret_address, socklen_t *ret_len)
{
    size_t len = strlen(given);
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    bool is_name = given[0] == '@' && len > 1;
    if ((given[0] != '/' && !is_name) || len >= sizeof ret_address->sun_path) return false;
    memcpy(ret_address->sun_path, given, len);
    if (is_name) ret_address->sun_path[0] = '\0';
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (is_name ? 0 : 1));
    return true;
}

static void connect_to(const char *given)
{
    struct sockaddr_un address;
    socklen_t len = 0;
    if (!address_of(given, &address, &len)) {
        char *safe = cli_escape(given, strlen(given));
        cli_warn("NOTIFY_SOCKET=%.120s: the name of a unix socket is expected; nobody is told "
                 "that we are ready",
                 safe);
        free(safe);
        return;
    }
    told.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (told.fd >= 0 && connect(told.fd, (struct sockaddr *)&address, len) == 0) return;
    cli_warn("NOTIFY_SOCKET: %s; nobody is told that we are ready", strerror(errno));
    cli_notify_close();
}

void cli_notify_open(bool pass_on)
{
    if (told.opened) return;
    told.opened = true;
    told.passed_on = pass_on;
    const char *given = getenv("NOTIFY_SOCKET");
    if (!given || !*given) return;
    connect_to(given);
    if (!pass_on) unsetenv("NOTIFY_SOCKET");
}

void cli_notify_close(void)
{
    if (told.fd >= 0) close(told.fd);
    told.fd = -1;
}

bool cli_notify_is_on(void)
{
    return told.fd >= 0;
}

bool cli_notify_again(void)
{
    char message[TEXT_MAX + 64];
    if (told.fd < 0 || !(told.ready_due || told.stopping_due || told.text_due)) return false;
    int len =
        snprintf(message, sizeof message, "%s%sSTATUS=%s\n", told.ready_due ? "READY=1\n" : "",
                 told.stopping_due ? "STOPPING=1\n" : "", told.text);
    if (send(told.fd, message, (size_t)len, MSG_NOSIGNAL) >= 0) {
        told.ready_due = told.stopping_due = told.text_due = false;
        return false;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return true;
    cli_info("NOTIFY_SOCKET: %s", strerror(errno));
    cli_notify_close();
    return false;
}

void cli_notify(cli_notify_state state, const char *format, ...)
{
    if (told.fd < 0) return;
    char text[sizeof told.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_clean_into(text, told.text, sizeof told.text);
    told.text_due = true;
    if (state == CLI_NOTIFY_READY && !told.passed_on) told.ready_due = true;
    if (state == CLI_NOTIFY_STOPPING && !told.passed_on) told.stopping_due = true;
    (void)cli_notify_again();
}

void cli_notify_flush(void)
{
    for (int left_ms = 1000; left_ms > 0 && cli_notify_again(); left_ms -= CLI_NOTIFY_AGAIN_MS)
        (void)poll(NULL, 0, CLI_NOTIFY_AGAIN_MS);
}
