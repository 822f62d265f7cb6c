/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a member of a cluster: who connects to a port of another member is led to the
 * proxy between the two. $PAWL_TORTURE_ROUTES says which, "PORT=PROXY,PORT=PROXY". So all members
 * have one configuration, and none finds a way past the proxy, by whatever another tells it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The port of the proxy; the same port: none stands there. */
static unsigned long lead(unsigned long port)
{
    const char *at = getenv("PAWL_TORTURE_ROUTES");
    while (at && *at) {
        char *end;
        unsigned long from = strtoul(at, &end, 10);
        if (*end != '=') break;
        unsigned long to = strtoul(end + 1, &end, 10);
        if (from == port) return to;
        at = *end ? end + 1 : end;
    }
    return port;
}

/* By another name here: glibc declares connect() with a union of all addresses. */
int connect_by_route(int fd, const struct sockaddr *address, socklen_t len) __asm__("connect")
    __attribute__((visibility("default")));

int connect_by_route(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_in led;
    if (address->sa_family != AF_INET || len < sizeof led)
        return (int)syscall(SYS_connect, fd, address, len);
    memcpy(&led, address, sizeof led);
    led.sin_port = htons((in_port_t)lead(ntohs(led.sin_port)));
    return (int)syscall(SYS_connect, fd, &led, sizeof led);
}
