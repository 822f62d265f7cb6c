/* SPDX-License-Identifier: MIT */
#include "free_port.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOWEST         10000 /* below are services that people run */
#define FIRST_OF_LINUX 32768 /* of the kernel's own range, unless somebody set another */
#define TRIES          1000

/* The first port that the kernel may give to a connection. */
static int first_of_kernel(void)
{
    int first = FIRST_OF_LINUX;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (!file) return first;
    if (fscanf(file, "%d", &first) != 1 || first <= LOWEST) first = FIRST_OF_LINUX;
    fclose(file);
    return first;
}

/* Keeps all others who ask for a port away from this one, until this process ends. */
static bool reserve(int port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "pawl-proof-port-%d", port);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    if (bind(fd, (struct sockaddr *)&name, size) == 0) return true; /* never closed: see above */
    close(fd);
    return false;
}

static bool nobody_listens(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_ANY),
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) close(fd);
    return is_free;
}

int free_port(void)
{
    unsigned range = (unsigned)(first_of_kernel() - LOWEST);
    for (int i = 0; i < TRIES; i++) {
        unsigned random;
        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return 0;
        int port = LOWEST + (int)(random % range);
        if (reserve(port) && nobody_listens(port)) return port;
    }
    return 0;
}
