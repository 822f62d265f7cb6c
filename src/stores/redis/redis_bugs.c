/* SPDX-License-Identifier: MIT */
/*
 * Defects of servers that endanger locks: a script of somebody else can take over the server, and
 * then its answers mean nothing. Where the versions come from:
 *
 *   CVE-2022-24735   redis/redis pull request 10654 (6.2.7)
 *   CVE-2024-31449   redis/redis GHSA-whxg-wx83-85p5, pull requests 13584 (6.2.16), 13582 (7.2.6)
 *   CVE-2025-49844   redis/redis GHSA-4789-qfc9-5f9q, docker-library/official-images pull request
 *                    20011 (6.2.20, 7.2.11, 7.4.6, 8.0.4, 8.2.2); valkey-io/valkey-helm pull
 *                    request 31 (Valkey 8.1.4)
 *
 * For Redis 7.0.0 and 7.4.1, and Valkey's 7.2.7, 8.0.1, 7.2.11 and 8.0.6, no source is noted yet.
 */
#include "redis_exam.h"

#include <stdio.h>
#include <stdlib.h>

static const pawl__redis_bug bugs[] = {
    {"CVE-2022-24735",
     "who may write scripts can run code as another user",
     false,
     {{6, 2, 7}, {7, 0, 0}}},
    {"CVE-2024-31449",
     "who may run scripts can take over the server",
     false,
     {{6, 2, 16}, {7, 2, 6}, {7, 4, 1}}},
    {"CVE-2024-31449",
     "who may run scripts can take over the server",
     true,
     {{7, 2, 7}, {8, 0, 1}}},
    {"CVE-2025-49844",
     "who may run scripts can take over the server",
     false,
     {{6, 2, 20}, {7, 2, 11}, {7, 4, 6}, {8, 0, 4}, {8, 2, 2}}},
    {"CVE-2025-49844",
     "who may run scripts can take over the server",
     true,
     {{7, 2, 11}, {8, 0, 6}, {8, 1, 4}}},
};
#define BUGS (sizeof bugs / sizeof bugs[0])

/* In each release line the defect is mended from some patch on; all later lines are mended. */
static bool has(const pawl__redis_bug *bug, const int version[3])
{
    const short(*last)[3] = &bug->mended[0];
    for (size_t i = 0; i < sizeof bug->mended / sizeof bug->mended[0]; i++) {
        const short(*line)[3] = &bug->mended[i];
        if ((*line)[0] == 0) break;
        if (version[0] == (*line)[0] && version[1] == (*line)[1]) return version[2] < (*line)[2];
        last = line;
    }
    if (version[0] != (*last)[0]) return version[0] < (*last)[0];
    return version[1] < (*last)[1];
}

const pawl__redis_bug *pawl__redis_next_bug(const pawl__redis_bug *before, bool valkey,
                                            const char *version)
{
    int parts[3] = {0, 0, 0};
    if (sscanf(version, "%4d.%4d.%4d", &parts[0], &parts[1], &parts[2]) < 2) return NULL;
    for (size_t i = before ? (size_t)(before - bugs) + 1 : 0; i < BUGS; i++)
        if (bugs[i].valkey == valkey && has(&bugs[i], parts)) return &bugs[i];
    return NULL;
}
