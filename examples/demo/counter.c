/* SPDX-License-Identifier: MIT */
/* The shared number: a file that every process reads and writes back. */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIGITS 20

int demo_counter_open(const demo_config *config)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/counter", config->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) demo_say("%s: %s", path, strerror(errno));
    return fd;
}

long demo_counter_read(int fd)
{
    char text[DIGITS + 1] = "";
    if (pread(fd, text, DIGITS, 0) < 0) return -1;
    return strtol(text, NULL, 10);
}

/* One write of fixed length: so a wrong number is the lock's fault, not the file's. */
void demo_counter_write(int fd, long value)
{
    char text[DIGITS + 2];
    snprintf(text, sizeof text, "%*ld\n", DIGITS - 1, value);
    if (pwrite(fd, text, DIGITS, 0) != DIGITS) demo_say("counter: %s", strerror(errno));
}
