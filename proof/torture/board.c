/* SPDX-License-Identifier: MIT */
#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

torture_board *torture_board_map(const char *path, bool create)
{
    void *page = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (fd >= 0 && (!create || ftruncate(fd, sizeof(torture_board)) == 0)) {
        page = mmap(NULL, sizeof(torture_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    int why = errno;
    if (fd >= 0) close(fd);
    if (page != MAP_FAILED) return page;
    torture_say("%s: %s", path, strerror(why));
    return NULL;
}
