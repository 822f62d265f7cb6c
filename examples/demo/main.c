/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pawl/pawl.h>

/* The store's URL for people: without the password. */
static void shown_url(const char *url, char *ret_shown, size_t size)
{
    const char *slashes = strstr(url, "://");
    const char *authority = slashes ? slashes + 3 : url;
    size_t len = strcspn(authority, "/?#");
    const char *at = slashes ? memrchr(authority, '@', len) : NULL;
    if (!at) {
        snprintf(ret_shown, size, "%s", url);
        return;
    }
    snprintf(ret_shown, size, "%.*s***%s", (int)(authority - url), url, at);
}

static void introduce(const demo_config *config)
{
    char url[DEMO_URL_MAX];
    shown_url(config->url, url, sizeof url);
    printf("%d processes add 1 to one number in a file: read it, work, write it back.\n"
           "Store: %s   pawl %s\n"
           "The lock lives %d ms. Work takes %d ms, for one holder in ten %d ms.\n"
           "After each increment a process rests %d ms.\n"
           "(The tutorial counts its EX in whole seconds; milliseconds make this short.)\n\n",
           config->processes, url, pawl_version(), DEMO_TTL_MS, DEMO_THINK_MS, DEMO_OVERSTAY_MS,
           DEMO_REST_MS);
}

static int run_stages(const demo_config *config, const demo_algorithm *tutorial,
                      demo_report *report)
{
    for (int i = 0; i < 2; i++) {
        bool overstay = i == 0;
        if (overstay) puts("One holder in ten works longer than its ttl:");
        if (!overstay) printf("Nobody works longer than the ttl, %d s each:\n", config->seconds);
        int code = demo_stage_run(config, tutorial, overstay, &report->tutorial[i]);
        if (!code) code = demo_stage_run(config, &demo_pawl, overstay, &report->pawl[i]);
        if (code) return code;
    }
    return 0;
}

/* What the tutorial's lock runs on, for this URL; NULL after one line. */
static const demo_algorithm *tutorial_for(const char *url)
{
    if (strncmp(url, "sqlite:", 7) == 0) return &demo_tutorial_sqlite;
    if (strncmp(url, "redis:", 6) == 0 || strncmp(url, "redis+unix:", 11) == 0) {
        return &demo_tutorial_redis;
    }
    if (strncmp(url, "memory:", 7) == 0) {
        demo_say("PAWL_STORE=%s: a memory: store lives in one process, the demo needs several",
                 url);
        return NULL;
    }
    demo_say("PAWL_STORE: the demo runs on sqlite:, redis: and redis+unix: stores");
    return NULL;
}

static int run(demo_config *config)
{
    if (!config->url[0]) demo_scratch_url(config);
    const demo_algorithm *tutorial = tutorial_for(config->url);
    if (!tutorial) return DEMO_CONFIG;
    int code = demo_store_check(config, tutorial);
    if (code) return code;

    demo_report report = {0};
    introduce(config);
    code = run_stages(config, tutorial, &report);
    if (code) return code;
    demo_table_print(&report);
    return demo_verdict_print(&report);
}

int main(int argc, char **argv)
{
    demo_config config;
    sigset_t watched;
    bool done = false;
    int code = demo_options_parse(argc, argv, &config, &done);
    if (code || done) return code;

    demo_signals_block(&watched);
    signal(SIGPIPE, SIG_IGN);
    snprintf(config.name, sizeof config.name, "demo-%ld-%llx", (long)getpid(),
             (unsigned long long)demo_now());
    if (!demo_scratch_make(&config)) return DEMO_INTERNAL;
    code = run(&config);
    demo_scratch_remove(&config);
    return fflush(stdout) == 0 ? code : DEMO_INTERNAL;
}
