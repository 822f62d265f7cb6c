/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo.h"

#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool demo_scratch_make(demo_config *config)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || parent[0] != '/') parent = "/tmp";
    int len = snprintf(config->dir, sizeof config->dir, "%s/pawl-demo-XXXXXX", parent);
    if (len >= (int)sizeof config->dir) {
        config->dir[0] = '\0';
        demo_say("$TMPDIR is too long");
        return false;
    }
    if (mkdtemp(config->dir)) return true;
    demo_say("%s: %s", config->dir, strerror(errno));
    config->dir[0] = '\0';
    return false;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void demo_scratch_url(demo_config *config)
{
    char *out = config->url;
    char *end = out + sizeof config->url - sizeof "%XX/pawl.db";
    out += sprintf(out, "sqlite:");
    for (const char *in = config->dir; *in && out < end; in++) {
        bool plain = isalnum((unsigned char)*in) || strchr("/-._~", *in);
        if (plain) *out++ = *in;
        if (!plain) out += sprintf(out, "%%%02X", (unsigned char)*in);
    }
    strcpy(out, "/pawl.db");
}

void demo_scratch_remove(const demo_config *config)
{
    if (config->dir[0]) nftw(config->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
