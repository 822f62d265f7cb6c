/* SPDX-License-Identifier: MIT */
/* The readable label by which people recognise a holder. */
#define _GNU_SOURCE
#include "owner.h"

#include <errno.h> /* program_invocation_short_name */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PART_MAX 100 /* bytes of each part, so that all fit */

/*
 * The environment first: asking the user database may mean asking a slow server. Who root
 * is we know.
 */
static void read_user(char ret_user[PART_MAX])
{
    const char *name = getenv("LOGNAME");
    if (!name || !*name) name = getenv("USER");
    if ((!name || !*name) && geteuid() == 0) name = "root";
    if (name && *name) {
        snprintf(ret_user, PART_MAX, "%s", name);
        return;
    }
    char room[1024];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found)
        snprintf(ret_user, PART_MAX, "%s", found->pw_name);
    else
        snprintf(ret_user, PART_MAX, "%u", (unsigned)geteuid());
}

static void read_host(char ret_host[PART_MAX])
{
    if (gethostname(ret_host, PART_MAX) != 0) snprintf(ret_host, PART_MAX, "localhost");
    ret_host[PART_MAX - 1] = '\0';
}

void pawl__owner_default(char ret_label[PAWL_OWNER_MAX + 1])
{
    char user[PART_MAX], host[PART_MAX], line[3 * PART_MAX + 32];
    read_user(user);
    read_host(host);
    snprintf(line, sizeof line, "%s@%s %ld %s", user, host, (long)getpid(),
             program_invocation_short_name);
    snprintf(ret_label, PAWL_OWNER_MAX + 1, "%.*s", PAWL_OWNER_MAX, line);
    for (char *p = ret_label; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}
