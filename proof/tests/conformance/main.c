/* SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <string.h>

static stage the_stage;

static size_t put(struct CMUnitTest *all, size_t at, const struct CMUnitTest *some, size_t count)
{
    memcpy(all + at, some, count * sizeof(*some));
    return at + count;
}

int main(int argc, char **argv)
{
    struct CMUnitTest all[192];
    if (argc < 2) return 64;
    stage_choose(&the_stage, argv[1], argc > 2 ? argv[2] : NULL);
    if (argc > 3) cmocka_set_test_filter(argv[3]);
    size_t count = put(all, 0, acquire_cases, acquire_case_count);
    count = put(all, count, queue_cases, queue_case_count);
    count = put(all, count, report_cases, report_case_count);
    count = put(all, count, trouble_cases, trouble_case_count);
    count = put(all, count, lack_cases, lack_case_count);
    /* What kinds.c says is compared with the caps by the_promises_are_complete. */
    unsigned modes = kind_modes(the_stage.kind);
    if (modes & 1u << PAWL_MODE_SHARED) count = put(all, count, mode_cases, mode_case_count);
    if (modes & 1u << PAWL_MODE_UPDATE) count = put(all, count, change_cases, change_case_count);
    if (modes & 1u << PAWL_MODE_PERMIT) count = put(all, count, permit_cases, permit_case_count);
    if (!(the_stage.kind->lacks & 1u << TRAIT_VALUES))
        count = put(all, count, value_cases, value_case_count);
    if (the_stage.kind->kill) count = put(all, count, link_cases, link_case_count);
    if (the_stage.kind->freeze) count = put(all, count, mute_cases, mute_case_count);
    return _cmocka_run_group_tests(argv[1], all, count, stage_begin, stage_end);
}
