/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* gmtime_r */
#include "holder.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define YEAR_2020 INT64_C(1577836800) /* no pawl ran before: a smaller fence is not a time */
#define MAY_LEAD  60                  /* seconds that a store's clock may be ahead of ours */

#define TRACE " trace="

/* The id at the end of a label; NULL: it has none. */
static const char *trace_of(const char *label)
{
    size_t len = strlen(label), tail = strlen(TRACE) + CLI_TRACE_ID_LEN;
    if (len < tail || strncmp(label + len - tail, TRACE, strlen(TRACE)) != 0) return NULL;
    const char *id = label + len - CLI_TRACE_ID_LEN;
    return strspn(id, "0123456789abcdef") == CLI_TRACE_ID_LEN ? id : NULL;
}

bool cli_holder_parse(const char *label, cli_holder *ret_holder)
{
    const char *at = strchr(label, '@');
    const char *space = at ? strchr(at, ' ') : NULL;
    if (!at || at == label || !space || space == at + 1 || memchr(label, ' ', (size_t)(at - label)))
        return false;
    const char *number = space + 1;
    size_t digits = strspn(number, "0123456789");
    if (digits == 0 || digits > 10 || number[digits] != ' ' || !number[digits + 1]) return false;
    *ret_holder = (cli_holder){
        .user = label,
        .user_len = (size_t)(at - label),
        .host = at + 1,
        .host_len = (size_t)(space - at - 1),
        .pid = strtol(number, NULL, 10),
        .program = number + digits + 1,
        .program_len = strlen(number + digits + 1),
        .trace = trace_of(number + digits + 1),
    };
    if (ret_holder->trace) ret_holder->program_len -= strlen(TRACE) + CLI_TRACE_ID_LEN;
    return true;
}

bool cli_holder_of_fence(const pawl_info *info, uint64_t fence, int64_t *ret_remaining_ms)
{
    for (size_t i = 0; i < info->holders_shown; i++) {
        if (info->holders[i].fence != fence) continue;
        *ret_remaining_ms = info->holders[i].remaining_ms;
        return true;
    }
    if (!info->held || info->fence != fence)
        return false; /* that of the last one, if so many hold */
    *ret_remaining_ms = info->remaining_ms;
    return true;
}

bool cli_utc_text(int64_t seconds, char ret_text[CLI_UTC_TEXT])
{
    time_t instant = (time_t)seconds;
    struct tm parts;
    return gmtime_r(&instant, &parts) &&
           strftime(ret_text, CLI_UTC_TEXT, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
}

int64_t cli_holder_since_s(const pawl_info *info)
{
    if (!info->held || info->foreign) return -1;
    int64_t seconds = (int64_t)(info->fence / 1000000);
    return seconds < YEAR_2020 || seconds > (int64_t)time(NULL) + MAY_LEAD ? -1 : seconds;
}

bool cli_holder_since(const pawl_info *info, char ret_text[CLI_UTC_TEXT])
{
    int64_t seconds = cli_holder_since_s(info);
    return seconds >= 0 && cli_utc_text(seconds, ret_text);
}

const char *cli_mode_word(pawl_mode mode)
{
    static const char *const words[] = {"exclusive", "shared", "update", "permit"};
    return (unsigned)mode < sizeof words / sizeof words[0] ? words[mode] : "unknown";
}
