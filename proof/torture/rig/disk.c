/* SPDX-License-Identifier: MIT */
/* A small disk of our own, which we can fill. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE    "size=256m" /* etcd sets 128 MB of it aside for its log */
#define ROOM    "size=768m" /* three do */
#define BALLAST "ballast"

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool fine = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return fine;
}

/* Without root: a user namespace in which we may mount, and are still ourselves. */
static bool own_mounts(void)
{
    char map[64];
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNS) == 0) return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", map)) {
        return false;
    }
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    return write_text("/proc/self/gid_map", map);
}

bool torture_disk_prepare(const char *dir, char *reterr_why, size_t size)
{
    if (own_mounts() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("pawl-torture", dir, "tmpfs", MS_NOSUID | MS_NODEV, SIZE ",mode=0700") == 0) {
        return true;
    }
    snprintf(reterr_why, size, "no small disk can be mounted here: %s", strerror(errno));
    return false;
}

bool torture_disk_widen(torture_rig *rig)
{
    char disk[TORTURE_FILE_MAX];
    if (!rig->small_disk) return true;
    snprintf(disk, sizeof disk, "%s", rig->disk);
    *strrchr(disk, '/') = '\0'; /* it is mounted once for all setups */
    return mount(NULL, disk, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, ROOM) == 0;
}

bool torture_disk_fill(torture_rig *rig)
{
    static const char zeros[65536];
    char path[TORTURE_FILE_MAX];
    int fd = open(torture_path(path, rig->disk, BALLAST), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    while (write(fd, zeros, sizeof zeros) > 0) continue;
    bool full = errno == ENOSPC;
    close(fd);
    return full;
}

void torture_disk_clear(torture_rig *rig)
{
    char path[TORTURE_FILE_MAX];
    unlink(torture_path(path, rig->disk, BALLAST));
}

bool torture_dir_make(const char *dir)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST) return true;
    torture_say("%s: %s", dir, strerror(errno));
    return false;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    remove(path);
    return 0;
}

void torture_dir_remove(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void torture_disk_end(const char *dir)
{
    umount2(dir, MNT_DETACH);
}
