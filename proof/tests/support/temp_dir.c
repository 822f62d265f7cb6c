/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "temp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

char *temp_dir_new(const char *prefix)
{
    const char *below = getenv("TMPDIR");
    char *dir = NULL;
    if (asprintf(&dir, "%s/%s-XXXXXX", below && *below ? below : "/tmp", prefix) < 0 ||
        !mkdtemp(dir)) {
        perror("temp_dir_new");
        exit(1);
    }
    return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

const char *temp_dir_file(const char *dir, const char *name)
{
    static char paths[16][300];
    static unsigned count;
    char *path = paths[count++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

void temp_dir_free(char *dir)
{
    if (!dir) return;
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}
