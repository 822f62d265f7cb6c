/* SPDX-License-Identifier: MIT */
/* The roles of pawl-torture; and, for the one that people call, the setups one after another. */
#include "check.h"
#include "proxy/proxy.h"
#include "rig/program.h"
#include "rig/rig.h"
#include "worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_signal(int number)
{
    torture_interrupted = number;
}

static void listen_to_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) sigaction(numbers[i], &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- Places ----------------------------------------------------------------------------- */

typedef struct places {
    char dir[TORTURE_FILE_MAX];  /* temporary: all that the setups use */
    char disk[TORTURE_FILE_MAX]; /* in it: small, if we may mount */
    char histories[TORTURE_FILE_MAX];
    bool small_disk, own_histories;
} places;

static bool make_temporary(char *ret_dir)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || parent[0] != '/') parent = "/tmp";
    torture_path(ret_dir, parent, "pawl-torture-XXXXXX");
    if (mkdtemp(ret_dir)) return true;
    torture_say("%s: %s", ret_dir, strerror(errno));
    return false;
}

static bool make_places(const torture_options *o, places *p)
{
    char why[160];
    p->own_histories = !o->dir;
    if (!make_temporary(p->dir)) return false;
    if (o->dir) {
        char *whole = realpath(o->dir, NULL);
        if (!whole && torture_dir_make(o->dir)) whole = realpath(o->dir, NULL);
        if (!whole) return false;
        snprintf(p->histories, sizeof p->histories, "%.*s", TORTURE_PATH_MAX, whole);
        free(whole);
    } else if (!make_temporary(p->histories)) {
        return false;
    }
    torture_path(p->disk, p->dir, "disk");
    if (!torture_dir_make(p->disk)) return false;
    p->small_disk = torture_disk_prepare(p->disk, why, sizeof why);
    if (!p->small_disk) printf("SKIPPED: disk-full: %s\n", why);
    return true;
}

static void remove_places(const torture_options *o, const places *p, int code)
{
    if (p->small_disk) torture_disk_end(p->disk);
    torture_dir_remove(p->dir);
    if (p->own_histories && !o->keep && code == TORTURE_OK) torture_dir_remove(p->histories);
    bool kept = !p->own_histories || o->keep || code == TORTURE_GUILTY || code == TORTURE_THIN ||
                code == TORTURE_UNAVAILABLE;
    if (kept) printf("\nThe histories: %s (pawl torture --check)\n", p->histories);
    if (!kept && p->own_histories) torture_dir_remove(p->histories);
}

/* ---- Setups -------------------------------------------------------------------------------- */

static bool is_wanted(const torture_options *o, const torture_setup *setup)
{
    return !o->stores || torture_list_has(o->stores, setup->name) ||
           torture_list_has(o->stores, setup->store);
}

#define ROOT_ONLY (TORTURE_USERS | TORTURE_SPACES)

/* The hostile store is of the build tree only, beside this program. */
static bool has_hostile_store(void)
{
    char path[TORTURE_FILE_MAX];
    const char *self = torture_self(), *slash = strrchr(self, '/');
    snprintf(path, sizeof path, "%.*s/pawl-store-hostile.so", slash ? (int)(slash - self) : 0,
             self);
    return access(path, R_OK) == 0;
}

/* What the machine lacks for this setup; NULL: nothing. */
static const char *lacking(const torture_options *o, const torture_setup *setup)
{
    if (!(setup->has & TORTURE_REDIS) && o->tutorial) return "the tutorial's lock needs redis";
    if (setup->program && !setup->program->exists()) return "that server is not installed";
    if ((setup->has & TORTURE_REDIS) && !torture_redis_version()[0])
        return "redis-server is not installed";
    if ((setup->has & ROOT_ONLY) && geteuid() != 0) return "only root can do that";
    if ((setup->has & TORTURE_SPACES) && !torture_can_start_apart())
        return "no pid namespace can be made here";
    if ((setup->has & TORTURE_HOSTILE) && !has_hostile_store())
        return "the hostile store is not beside this program";
    return NULL;
}

/* 0: run it. -1: it is left out, after one line. Otherwise an exit code. */
static int can_run(const torture_options *o, const torture_setup *setup)
{
    const char *why = lacking(o, setup);
    if (!why) return 0;
    bool special = setup->has & (ROOT_ONLY | TORTURE_HOSTILE); /* "sqlite" does not insist on it */
    if (o->stores && (!special || torture_list_has(o->stores, setup->name))) {
        torture_say("%s: %s", setup->name, why);
        return TORTURE_UNAVAILABLE;
    }
    printf("SKIPPED: %s: %s\n", setup->name, why);
    return -1;
}

/* The other user must be able to reach the store's files; and so must a database's. */
static bool open_for_others(const places *p, const torture_rig *rig)
{
    if (rig->setup->has & TORTURE_SQL)
        return chmod(p->dir, 0711) == 0 && chmod(p->disk, 0711) == 0 &&
               chmod(rig->dir, 0711) == 0 && chmod(rig->disk, 0711) == 0;
    if (!(rig->setup->has & TORTURE_USERS)) return true;
    return chmod(p->dir, 0711) == 0 && chmod(p->disk, 0711) == 0 && chmod(rig->disk, 0777) == 0;
}

static int run_setup(const torture_options *o, const places *p, const torture_setup *setup)
{
    torture_rig *rig = calloc(1, sizeof *rig);
    if (!rig) return TORTURE_SYSTEM;
    rig->options = o;
    rig->setup = setup;
    rig->small_disk = p->small_disk;
    rig->rng = torture_rng_make((uint64_t)o->seed, 1000000);
    torture_path(rig->dir, p->dir, setup->name);
    torture_path(rig->disk, p->disk, setup->name);
    torture_path(rig->history, p->histories, setup->name);
    torture_path(rig->board_path, rig->dir, "board");
    int code = TORTURE_SYSTEM;
    if (torture_dir_make(rig->dir) && torture_dir_make(rig->disk) &&
        torture_dir_make(rig->history) && open_for_others(p, rig)) {
        printf("%s: %s\n", setup->name, setup->what);
        fflush(stdout);
        code = torture_campaign(rig);
    }
    if (rig->board) munmap(rig->board, sizeof *rig->board);
    torture_dir_remove(rig->disk);
    free(rig);
    return code;
}

static int run_all(const torture_options *o, const places *p)
{
    int code = 0, run = 0;
    for (size_t i = 0; i < torture_setup_count && !code; i++) {
        const torture_setup *setup = &torture_setups[i];
        if (!is_wanted(o, setup)) continue;
        code = can_run(o, setup);
        if (code < 0) {
            code = 0;
            continue;
        }
        if (!code) code = run_setup(o, p, setup);
        run++;
    }
    if (code) return code;
    if (!run) {
        torture_say("no setup can be run here");
        return TORTURE_UNAVAILABLE;
    }
    putchar('\n');
    return torture_check_dir(p->histories);
}

static int run(const torture_options *o)
{
    places p = {0};
    listen_to_signals();
    printf("Seed %" PRId64 ", %" PRId64 " workers, %" PRId64 " locks, ttl %" PRId64 " to %" PRId64
           " ms, %" PRId64 " s each.\n",
           o->seed, o->workers, o->locks, o->ttl_ms / 2, 2 * o->ttl_ms, o->seconds);
    int code = make_places(o, &p) ? run_all(o, &p) : TORTURE_SYSTEM;
    remove_places(o, &p, code);
    if (fflush(stdout) != 0 && code == TORTURE_OK) return TORTURE_SYSTEM;
    return code;
}

int main(int argc, char **argv)
{
    torture_options options;
    int code = 0;
    if (argc == 5 && !strcmp(argv[1], "worker")) {
        return torture_worker_main(argv[2], argv[3], argv[4]);
    }
    if (argc >= 3 && !strcmp(argv[1], "proxy")) return torture_proxy_main(argv + 2);
    if (!torture_options_parse(argc, argv, &options, &code)) return code;
    if (options.check) return torture_check_dir(options.check);
    return run(&options);
}
