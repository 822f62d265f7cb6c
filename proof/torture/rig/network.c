/* SPDX-License-Identifier: MIT */
#include "program.h"
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int hear(torture_rig *rig, const torture_proxy *proxy)
{
    char text[32] = "";
    ssize_t n;
    do n = recv(proxy->fd, text, sizeof text - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) return (int)strtol(text, NULL, 10);
    if (!torture_interrupted) torture_say("the proxy is gone; see proxy.log");
    rig->broken = true;
    return -1;
}

static int say(torture_rig *rig, const torture_proxy *proxy, const char *order)
{
    if (send(proxy->fd, order, strlen(order), MSG_NOSIGNAL) == (ssize_t)strlen(order))
        return hear(rig, proxy);
    rig->broken = true;
    return -1;
}

/* ---- Coming and going ------------------------------------------------------------------------ */

/* doors: words as in proxy/proxy.h. */
static bool open_proxy(torture_rig *rig, torture_proxy *proxy, const char *const *doors)
{
    int ends[2];
    char log[TORTURE_FILE_MAX];
    const char *argv[TORTURE_WORDS_MAX] = {torture_self(), "proxy"};
    for (int i = 0; doors[i]; i++) argv[i + 2] = doors[i];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    proxy->pid = torture_child_start(argv, torture_path(log, rig->history, "proxy.log"), ends[1]);
    close(ends[1]);
    proxy->fd = ends[0];
    proxy->port = proxy->pid ? hear(rig, proxy) : -1; /* its first word is its port */
    return proxy->port > 0;
}

bool torture_proxy_open(torture_rig *rig)
{
    const torture_server *first =
        rig->setup->has & TORTURE_CLUSTER ? rig->servers : torture_primary(rig);
    for (int i = 0; i < torture_members(rig); i++) {
        const char *doors[] = {first[i].socket, NULL};
        if (!open_proxy(rig, &rig->proxies[i], doors)) return false;
    }
    return true;
}

bool torture_links_open(torture_rig *rig)
{
    const torture_program *program = rig->setup->program;
    bool fine = true;
    for (int i = 0; i < TORTURE_SERVERS_MAX && fine; i++) {
        torture_server *a = &rig->servers[(i + 1) % TORTURE_SERVERS_MAX],
                       *b = &rig->servers[(i + 2) % TORTURE_SERVERS_MAX];
        torture_doors *doors = calloc(1, sizeof *doors);
        const char *words[TORTURE_DOORS_MAX + 1] = {0};
        fine = doors && program->doors(rig, a, b, doors) && program->doors(rig, b, a, doors);
        for (int k = 0; fine && k < doors->count; k++) words[k] = doors->text[k];
        fine = fine && open_proxy(rig, &rig->links[i], words);
        free(doors);
    }
    return fine;
}

static void close_proxy(torture_proxy *proxy)
{
    if (!proxy->port) return; /* it was never opened */
    torture_child_end(proxy->pid, SIGKILL);
    close(proxy->fd);
    *proxy = (torture_proxy){0};
}

void torture_proxy_close(torture_rig *rig)
{
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) close_proxy(&rig->proxies[i]);
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) close_proxy(&rig->links[i]);
}

bool torture_proxy_ended(torture_rig *rig, pid_t pid)
{
    for (int i = 0; i < 2 * TORTURE_SERVERS_MAX; i++) {
        torture_proxy *proxy = i % 2 ? &rig->links[i / 2] : &rig->proxies[i / 2];
        if (proxy->pid != pid) continue;
        proxy->pid = 0;
        return true;
    }
    return false;
}

/* ---- Orders ---------------------------------------------------------------------------------- */

int torture_proxy_order(torture_rig *rig, const char *format, ...)
{
    char text[256];
    int sum = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (int i = 0; i < torture_members(rig); i++) {
        int count = say(rig, &rig->proxies[i], text);
        if (count < 0) return -1;
        sum += count;
    }
    return sum;
}

/* The link that has its number is not its own. */
void torture_links_order(torture_rig *rig, const torture_server *server, const char *order)
{
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++)
        if (server != &rig->servers[i]) say(rig, &rig->links[i], order);
}
