/* SPDX-License-Identifier: MIT */
/* The readable label by which people recognise a holder. */
#define _GNU_SOURCE
#include "owner.h"

#include <errno.h> /* program_invocation_short_name */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART_MAX      100 /* bytes of each part, so that all fit */
#define TRACE_ID_LEN  32
#define PARENT_ID_LEN 16

/*
 * The environment first, because the user database may ask a slow server. Root needs no look-up.
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

/* ---- The trace that this process belongs to -------------------------------------------------- */

/* Exactly len lowercase hexadecimal digits, not all zero. */
static bool is_id(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") == len && strspn(text, "0") < len;
}

/* TRACEPARENT as in the W3C standard: VERSION-TRACE-PARENT-FLAGS; in later versions more may
 * follow. */
static bool read_trace(char ret_id[TRACE_ID_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    const char *text = getenv("TRACEPARENT");
    if (!text || strspn(text, hex) != 2 || strncmp(text, "ff", 2) == 0 || text[2] != '-')
        return false;
    const char *trace = text + 3;
    if (!is_id(trace, TRACE_ID_LEN) || trace[TRACE_ID_LEN] != '-') return false;
    const char *parent = trace + TRACE_ID_LEN + 1;
    if (!is_id(parent, PARENT_ID_LEN) || parent[PARENT_ID_LEN] != '-') return false;
    const char *flags = parent + PARENT_ID_LEN + 1;
    bool has_more = flags[0] && flags[1] && flags[2] == '-' && strncmp(text, "00", 2) != 0;
    bool ends = has_more || (flags[0] && flags[1] && !flags[2]);
    if (!ends || strspn(flags, hex) != 2) return false;
    snprintf(ret_id, TRACE_ID_LEN + 1, "%s", trace);
    return true;
}

void pawl__owner_default(char ret_label[PAWL_OWNER_MAX + 1])
{
    char user[PART_MAX], host[PART_MAX], line[3 * PART_MAX + 32];
    char id[TRACE_ID_LEN + 1] = "", trace[TRACE_ID_LEN + 16] = "";
    read_user(user);
    read_host(host);
    if (read_trace(id)) snprintf(trace, sizeof trace, " trace=%s", id);
    snprintf(line, sizeof line, "%s@%s %ld %s", user, host, (long)getpid(),
             program_invocation_short_name);
    int room = PAWL_OWNER_MAX - (int)strlen(trace); /* the trace is never cut */
    snprintf(ret_label, PAWL_OWNER_MAX + 1, "%.*s%s", room, line, trace);
    for (char *p = ret_label; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}
