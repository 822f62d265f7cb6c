/* SPDX-License-Identifier: MIT */
/* The wall clock of the servers, where we may set it. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIM "pawl-torture-clock.so"

bool torture_find_shim(const char *name, char ret_path[TORTURE_FILE_MAX])
{
    char dir[TORTURE_FILE_MAX];
    snprintf(dir, sizeof dir, "%s", torture_self());
    char *slash = strrchr(dir, '/');
    if (slash) *slash = '\0';
    if (access(torture_path(ret_path, dir, name), R_OK) == 0) return true;
    return access(torture_path(ret_path, PAWL_TORTURE_MODULES, name), R_OK) == 0;
}

bool torture_clock_open(torture_rig *rig)
{
    char shim[TORTURE_FILE_MAX], path[TORTURE_FILE_MAX];
    if (!torture_find_shim(SHIM, shim)) {
        torture_say("%s is neither beside %s nor in %s", SHIM, torture_self(),
                    PAWL_TORTURE_MODULES);
        return false;
    }
    void *page = MAP_FAILED;
    int fd = open(torture_path(path, rig->dir, "clock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && fchmod(fd, 0644) == 0 && ftruncate(fd, sizeof *rig->clock_ahead) == 0) {
        page = mmap(NULL, sizeof *rig->clock_ahead, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (page == MAP_FAILED) torture_say("%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    if (page == MAP_FAILED) return false;
    rig->clock_ahead = page;
    int fits = snprintf(rig->clock_preload, sizeof rig->clock_preload, "LD_PRELOAD=%s", shim);
    fits |= snprintf(rig->clock_file, sizeof rig->clock_file, "PAWL_TORTURE_CLOCK=%s", path);
    return fits > 0;
}

void torture_clock_close(torture_rig *rig)
{
    if (rig->clock_ahead) munmap(rig->clock_ahead, sizeof *rig->clock_ahead);
    rig->clock_ahead = NULL;
}
