/* SPDX-License-Identifier: MIT */
#include "diary.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static int log_fd = -1;

/* One write per line: a line is there or not, whoever else writes and whenever we die. */
void torture_log_at(int64_t at, torture_note what, int lock, uint64_t fence, int64_t number)
{
    char line[128];
    int len = snprintf(line, sizeof line, "%" PRId64 " %s %d %" PRIu64 " %" PRId64 "\n", at,
                       torture_note_words[what], lock, fence, number);
    if (write(log_fd, line, (size_t)len) != len) _exit(TORTURE_SYSTEM);
}

void torture_diary_open(const char *dir, const char *who)
{
    char name[64], path[TORTURE_FILE_MAX];
    snprintf(name, sizeof name, "worker-%s", who);
    log_fd = open(torture_path(path, dir, name), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
                  0600);
    if (log_fd < 0) {
        perror(path);
        _exit(TORTURE_SYSTEM);
    }
}
