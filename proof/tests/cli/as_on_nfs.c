/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into pawl-flock: flock(2) as on NFS, where the kernel takes fcntl(2) locks for it. Such
 * a lock needs a descriptor that can write.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

int flock(int fd, int operation)
{
    int (*real)(int, int);
    *(void **)&real = dlsym(RTLD_NEXT, "flock");
    int flags = fcntl(fd, F_GETFL);
    if ((operation & LOCK_EX) && flags >= 0 && (flags & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return -1;
    }
    return real(fd, operation);
}
