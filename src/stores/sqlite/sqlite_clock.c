/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_clock.h"

#include "../../base/instant.h"
#include "pawl/types.h"
#include "sqlite_mount.h"
#include "sqlite_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

/* The first time namespace has a fixed inode number (PROC_TIME_INIT_INO). */
#define TIME_NS_FIRST 0xEFFFFFFAu

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int pawl__sqlite_parse_timens(const char *text, int64_t *ret_shift_ns)
{
    const char *line = strstr(text, "boottime");
    if (!line) return 0;
    long long s, ns;
    if (sscanf(line, "boottime %lld %lld", &s, &ns) != 2) return -1;
    *ret_shift_ns = (int64_t)s * NS_PER_S + ns;
    return 0;
}

/*
 * The first time namespace has no offset. In another one /proc/self/timens_offsets tells
 * the offsets of the namespace that children will be in. That is ours unless
 * somebody called unshare(CLONE_NEWTIME) and did not fork.
 */
static int read_shift(int64_t *ret_shift_ns, char *reterr_message)
{
    char text[256];
    struct stat own, children;
    *ret_shift_ns = 0;
    bool known = stat("/proc/self/ns/time", &own) == 0;
    if (known && own.st_ino == TIME_NS_FIRST) return 0;
    ssize_t n = pawl__sqlite_read_file("/proc/self/timens_offsets", text, sizeof(text));
    if (n < 0) return 0; /* a kernel without time namespaces (before 5.6) */

    known = known && stat("/proc/self/ns/time_for_children", &children) == 0;
    if (known && own.st_ino != children.st_ino) {
        pawl__sqlite_say(reterr_message,
                         "cannot tell the offset of this process's time namespace: it was left for "
                         "the children");
        return PAWL_ERR_SYSTEM;
    }
    if (pawl__sqlite_parse_timens(text, ret_shift_ns) == 0) return 0;
    pawl__sqlite_say(reterr_message, "cannot understand /proc/self/timens_offsets");
    return PAWL_ERR_SYSTEM;
}

#define BOOT_ID_DIR  "/sys/kernel/random"
#define BOOT_ID_FILE BOOT_ID_DIR "/boot_id"
#define BOOT_ID_PATH "/proc" BOOT_ID_FILE

/* Container managers mount a file over it; if that is the kernel's own, nothing has changed. */
static bool is_mounted_over(void)
{
    struct statfs fs;
    if (statfs(BOOT_ID_PATH, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) return true;
    int64_t file = pawl__sqlite_mount_of(BOOT_ID_PATH);
    int64_t dir = pawl__sqlite_mount_of("/proc" BOOT_ID_DIR);
    if (file < 0 || dir < 0) return true;
    return file != dir && !pawl__sqlite_mount_shows(file, "proc", BOOT_ID_FILE);
}

bool pawl__sqlite_boot_is_kernels(const char *boot_id)
{
    return strlen(boot_id) == PAWL__BOOT_ID_LEN;
}

int pawl__sqlite_clock_init(pawl__sqlite_clock *clock, char *reterr_message)
{
    static const char path[] = BOOT_ID_PATH;
    char text[64];
    ssize_t n = pawl__sqlite_read_file(path, text, sizeof(text));
    if (n < PAWL__BOOT_ID_LEN) {
        pawl__sqlite_say(reterr_message, "cannot read %s: %s (is /proc mounted?)", path,
                         n < 0 ? strerror(errno) : "too short");
        return PAWL_ERR_SYSTEM;
    }
    snprintf(clock->boot_id, sizeof(clock->boot_id), "%.36s%s", text,
             is_mounted_over() ? " own" : "");
    return read_shift(&clock->shift_ns, reterr_message);
}

int64_t pawl__sqlite_clock_now(const pawl__sqlite_clock *clock)
{
    return read_clock(CLOCK_BOOTTIME) - clock->shift_ns;
}

int64_t pawl__sqlite_clock_local(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t pawl__sqlite_clock_wall_us(void)
{
    int64_t us = read_clock(CLOCK_REALTIME) / PAWL__NS_PER_US;
    return us < 0 ? 0 : us;
}

struct timespec pawl__sqlite_clock_after(int64_t span_ns)
{
    int64_t at = pawl__instant_add(read_clock(CLOCK_MONOTONIC), span_ns < 0 ? 0 : span_ns);
    struct timespec t = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
    return t;
}
