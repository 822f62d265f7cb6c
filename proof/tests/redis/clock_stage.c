/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "clock_stage.h"

#include "../support/temp_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

clock_setting *server_clock;
static char *dir;

int64_t server_ms(rig *r)
{
    const redisReply *time = rig_do(r, "TIME");
    assert_int_equal(time->elements, 2);
    return atoll(time->element[0]->str) * 1000 + atoll(time->element[1]->str) / 1000;
}

int clock_group_begin(void **state)
{
    char path[512];
    const char *shim = getenv("PAWL_CLOCK_SHIM");
    if (!shim) {
        puts("PAWL_CLOCK_SHIM is not set: run it by meson, or set it to pawl-test-clock.so");
        exit(1);
    }
    dir = temp_dir_new("pawl-clock");
    snprintf(path, sizeof(path), "%s/clock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*server_clock)) != 0) return -1;
    void *at = mmap(NULL, sizeof(*server_clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return -1;
    server_clock = at;
    setenv(CLOCK_SHIM_FILE, path, 1);
    setenv("LD_PRELOAD", shim, 1);
    int status = rig_group_begin(state);
    unsetenv("LD_PRELOAD");
    return status;
}

int clock_group_end(void **state)
{
    int status = rig_group_end(state);
    munmap(server_clock, sizeof(*server_clock));
    temp_dir_free(dir);
    return status;
}
