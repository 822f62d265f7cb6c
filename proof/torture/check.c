/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "checks/report.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SETUPS_MAX 16

static bool has_history(const char *dir)
{
    char path[TORTURE_FILE_MAX];
    struct stat st;
    return stat(torture_path(path, dir, "run"), &st) == 0;
}

static bool judge(const char *dir, torture_report *ret_report)
{
    torture_history history;
    if (!torture_history_read(dir, &history)) return false;
    torture_judge(&history, ret_report);
    for (size_t i = 0; i < history.skipped_count; i++) {
        printf("SKIPPED in %s: %s\n", history.setup, history.skipped[i]);
    }
    torture_history_free(&history);
    return true;
}

int torture_check_dir(const char *dir)
{
    static torture_report reports[SETUPS_MAX];
    size_t count = 0;
    bool fine = true;
    char path[TORTURE_FILE_MAX];
    if (has_history(dir)) {
        fine = judge(dir, &reports[count++]);
    } else {
        struct dirent **names = NULL;
        int found = scandir(dir, &names, NULL, alphasort);
        if (found < 0) torture_say("%s: %s", dir, strerror(errno));
        for (int i = 0; i < found; i++) {
            bool is_folder = names[i]->d_name[0] != '.';
            torture_path(path, dir, names[i]->d_name);
            if (is_folder && fine && count < SETUPS_MAX && has_history(path))
                fine = judge(path, &reports[count++]);
            free(names[i]);
        }
        free(names);
        if (found >= 0 && !count) torture_say("%s: there is no history in it", dir);
    }
    if (!fine || !count) return TORTURE_NO_INPUT;
    torture_reports_print(reports, count);
    return torture_reports_exit(reports, count);
}
