/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_term.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TERM_LEN 116 /* of one length always: it is written over in place, and needs no room */
#define FORMAT   "term %020" PRIu64 " %020" PRId64 " %020" PRId64 " %-47s\n"

void pawl__term_read(int live_fd, pawl__term *ret_term)
{
    char text[TERM_LEN + 1] = "";
    uint64_t inode;
    pawl__term term = {.inode = 0};
    *ret_term = term;
    if (pread(live_fd, text, TERM_LEN, PAWL__TERM_AT) != TERM_LEN) return;
    if (sscanf(text, "term %20" SCNu64 " %20" SCNd64 " %20" SCNd64 " %47[^\n]", &inode, &term.until,
               &term.detached, term.boot) != 4) {
        return;
    }
    for (size_t len = strlen(term.boot); len > 0 && term.boot[len - 1] == ' '; len--) {
        term.boot[len - 1] = '\0';
    }
    term.inode = (ino_t)inode;
    *ret_term = term;
}

int pawl__term_write(int live_fd, const pawl__term *term)
{
    char text[TERM_LEN + 1];
    snprintf(text, sizeof(text), FORMAT, (uint64_t)term->inode, term->until, term->detached,
             term->boot);
    ssize_t n = pwrite(live_fd, text, TERM_LEN, PAWL__TERM_AT);
    if (n == TERM_LEN) return 0;
    if (n >= 0) errno = ENOSPC;
    return -1;
}
