/* SPDX-License-Identifier: MIT */
/*
 * Beego v2 looks for conf/app.conf in the working directory, then beside the
 * program, by the name that the program was started with. We look beside the program
 * file itself as well: a program that was found through $PATH, or through a symbolic link,
 * has a name that does not lead to its folder.
 */
#define _GNU_SOURCE /* asprintf, program_invocation_name */
#include "find.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pawl/types.h"
#include "text.h"

static int fail_memory(char *message)
{
    snprintf(message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
    return PAWL_ERR_NO_MEMORY;
}

/* dir/app.conf, or dir/MODE.app.conf, for free(); NULL: out of memory. */
static char *file_in(const char *dir)
{
    char *file = NULL;
    const char *mode = getenv("BEEGO_RUNMODE");
    bool has_mode = mode && *mode;
    if (asprintf(&file, "%s/%s%sapp.conf", dir, has_mode ? mode : "", has_mode ? "." : "") < 0)
        return NULL;
    return file;
}

/* A file that is there and cannot be read is an error for its reader, never a reason to take
   another one. */
static bool is_there(const char *file)
{
    struct stat info;
    return stat(file, &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* The folder of a program's path, with "/conf" behind it. false: the path names no folder. */
static bool conf_beside(const char *program, char ret_dir[PATH_MAX])
{
    const char *slash = strrchr(program, '/');
    if (!slash) return false;
    int len = snprintf(ret_dir, PATH_MAX, "%.*s/conf", (int)(slash - program), program);
    return len < PATH_MAX;
}

/* The folder beside the program file itself. */
static bool conf_beside_executable(char ret_dir[PATH_MAX])
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0) return false;
    program[len] = '\0';
    return conf_beside(program, ret_dir);
}

static int fail_absent(const char *file, const char *beside, char *message)
{
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here)) snprintf(here, sizeof here, ".");
    snprintf(message, PAWL_MESSAGE_MAX,
             "there is no %.100s in the working directory %.150s, and none beside the program in "
             "%.150s",
             file, here, beside);
    pawl__text_mend(message);
    return PAWL_ERR_SYSTEM;
}

static int find_anywhere(char **ret_file, char *message)
{
    char by_name[PATH_MAX], by_link[PATH_MAX];
    const char *dirs[] = {
        "conf",
        conf_beside(program_invocation_name, by_name) ? by_name : NULL,
        conf_beside_executable(by_link) ? by_link : NULL,
    };
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        if (!dirs[i]) continue;
        char *file = file_in(dirs[i]);
        if (!file) return fail_memory(message);
        if (is_there(file)) {
            *ret_file = file;
            return PAWL_OK;
        }
        free(file);
    }
    char *wanted = file_in("conf");
    if (!wanted) return fail_memory(message);
    int err = fail_absent(wanted, dirs[2] ? dirs[2] : "its folder", message);
    free(wanted);
    return err;
}

int pawl__config_find(const char *path, char **ret_file, char *reterr_message)
{
    struct stat info;
    if (!path) return find_anywhere(ret_file, reterr_message);
    bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    char *file = is_folder ? file_in(path) : strdup(path);
    if (!file) return fail_memory(reterr_message);
    *ret_file = file;
    return PAWL_OK;
}
