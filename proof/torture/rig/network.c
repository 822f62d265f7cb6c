/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int hear(torture_rig *rig)
{
    char text[32] = "";
    ssize_t n;
    do n = recv(rig->proxy_fd, text, sizeof text - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) return (int)strtol(text, NULL, 10);
    if (!torture_interrupted) torture_say("the proxy is gone; see proxy.log");
    rig->broken = true;
    return -1;
}

bool torture_proxy_open(torture_rig *rig)
{
    int ends[2];
    char log[TORTURE_FILE_MAX];
    const char *argv[] = {torture_self(), "proxy", torture_primary(rig)->socket, NULL};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    rig->proxy = torture_child_start(argv, torture_path(log, rig->history, "proxy.log"), ends[1]);
    close(ends[1]);
    rig->proxy_fd = ends[0];
    rig->proxy_port = rig->proxy ? hear(rig) : -1; /* its first word is its port */
    return rig->proxy_port > 0;
}

void torture_proxy_close(torture_rig *rig)
{
    torture_child_end(rig->proxy, SIGKILL);
    rig->proxy = 0;
    if (rig->proxy_fd >= 0) close(rig->proxy_fd);
    rig->proxy_fd = -1;
}

int torture_proxy_order(torture_rig *rig, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (send(rig->proxy_fd, text, (size_t)len, MSG_NOSIGNAL) != len) {
        rig->broken = true;
        return -1;
    }
    return hear(rig);
}
