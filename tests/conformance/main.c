/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"
#include "../support/redis_server.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const pawl_store_ops pawl__memory_ops;

static const store_kind *const kinds[] = {&kind_memory,
#ifdef HAVE_SQLITE
                                          &kind_sqlite,
#endif
                                          &kind_redis, NULL};

static const store_kind *kind_named(const char *name)
{
    for (size_t i = 0; kinds[i]; i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    fprintf(stderr, "conformance: no kind %s\n", name);
    exit(1);
}

/* Modules are loaded as the library loads them, and by the same symbol. */
static const pawl_store_ops *ops_of(const char *path)
{
    if (!path) return &pawl__memory_ops;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const pawl_store_ops *ops = module ? dlsym(module, "pawl_store_entry") : NULL;
    if (!ops) {
        fprintf(stderr, "conformance: %s: %s\n", path, dlerror());
        exit(1);
    }
    return ops;
}

static stage the_stage;

static int group_begin(void **state)
{
    the_stage.kind->start(&the_stage);
    *state = &the_stage;
    return 0;
}

static int group_end(void **state)
{
    stage *s = *state;
    s->kind->stop(s);
    return 0;
}

static size_t put(struct CMUnitTest *all, size_t at, const struct CMUnitTest *some, size_t count)
{
    memcpy(all + at, some, count * sizeof(*some));
    return at + count;
}

int main(int argc, char **argv)
{
    struct CMUnitTest all[128];
    if (argc < 2) return 64;
    the_stage.kind = kind_named(argv[1]);
    the_stage.address.ops = ops_of(argc > 2 ? argv[2] : NULL);
    if (the_stage.kind == &kind_redis && !redis_server_exists()) {
        puts("SKIP: there is no redis-server on this machine");
        return 77;
    }
    check_cases_run_here();
    if (argc > 3) cmocka_set_test_filter(argv[3]);
    size_t count = put(all, 0, acquire_cases, acquire_case_count);
    count = put(all, count, queue_cases, queue_case_count);
    count = put(all, count, report_cases, report_case_count);
    count = put(all, count, trouble_cases, trouble_case_count);
    if (the_stage.kind->kill) count = put(all, count, link_cases, link_case_count);
    if (the_stage.kind->freeze) count = put(all, count, mute_cases, mute_case_count);
    return _cmocka_run_group_tests(argv[1], all, count, group_begin, group_end);
}
