/* SPDX-License-Identifier: MIT */
/* pawl-sim: runs seeds until one fails, then shows the shortest history that does. */
#define _GNU_SOURCE /* clock_gettime, execv's path */
#include "mutants.h"
#include "shrink.h"
#include "sim.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_CLEAN = 0, EXIT_VIOLATION = 1, EXIT_USAGE = 64 };

typedef struct options {
    sim_algorithm algorithm;
    uint64_t seed, seeds;
    double seconds;
    const char *scenario;
    bool seeds_given, trace, no_shrink, hash, quiet, coverage;
} options;

static const char usage[] =
    "usage: pawl-sim [options]\n"
    "  --seconds N        run seeds for N seconds (default 10)\n"
    "  --seed N           the first seed (default 1)\n"
    "  --seeds N          run N seeds, however long it takes\n"
    "  --scenario FILE    run one scenario (as printed for a failure)\n"
    "  --algorithm NAME   pawl, tutorial (the blog's lock), setnx (the textbook's)\n"
    "  --mutant NAME      plant a bug; --list-mutants names them\n"
    "  --trace            print the timeline of each run\n"
    "  --hash             print the hash of each run\n"
    "  --no-shrink        show a failure as it was found\n"
    "  --coverage         fail unless every interesting state was reached\n"
    "  --quiet            print a failure and nothing else\n"
    "Exit: 0 no violation, 1 a violation, 64 wrong usage.\n";

static volatile uint64_t seed_running;

/* A crash is a finding like any other; after it nothing can be shrunk. */
static void on_crash(int number)
{
    char text[64];
    int len =
        snprintf(text, sizeof text, "seed %" PRIu64 ": crash: signal %d\n", seed_running, number);
    if (write(STDOUT_FILENO, text, (size_t)len) < 0) _exit(EXIT_USAGE);
    _exit(EXIT_VIOLATION);
}

/* Of one core: other programs' work does not count. */
static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The engine of this build has no planted bugs; its twin beside it has. */
static void become_mutant_build(char **argv)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 16);
    if (len > 0) {
        memcpy(path + len, "-mutants", 9);
        execv(path, argv);
    }
    fprintf(stderr, "pawl-sim: --mutant needs pawl-sim-mutants beside pawl-sim: %s\n",
            strerror(errno));
    exit(EXIT_USAGE);
}

static void add_totals(sim_totals *sum, const sim_totals *one)
{
    sum->operations += one->operations;
    sum->grants += one->grants;
    sum->commands += one->commands;
    sum->events += one->events;
    for (int i = 0; i < SIM_SOMETIMES_COUNT; i++) sum->sometimes[i] += one->sometimes[i] != 0;
}

static void show_failure(const sim_config *found, const sim_failure *first, const options *o)
{
    sim_config config = *found;
    sim_failure failure = *first;
    sim_totals totals;
    bool failed;
    uint64_t hash;
    printf("seed %" PRIu64 ": %s: %s (at %.3f ms)\n", found->seed, first->check, first->text,
           (double)first->at / 1e6);
    if (!o->no_shrink) {
        int runs = sim_shrink(&config, first->check);
        printf("shrunk in %d runs; the shortest history:\n\n", runs);
    }
    sim_run(&config, stdout, &totals, &failure, &failed, &hash);
    printf("\nagain:  pawl-sim --algorithm %s --seed %" PRIu64 " --seeds 1\n"
           "or as a scenario (pawl-sim --scenario FILE):\n\n",
           sim_algorithm_words[found->algorithm], found->seed);
    sim_config_write(&config, stdout);
}

static bool run_one(const sim_config *config, const options *o, sim_totals *sum)
{
    sim_totals totals;
    sim_failure failure;
    bool failed;
    uint64_t hash;
    seed_running = config->seed;
    sim_run(config, o->trace ? stdout : NULL, &totals, &failure, &failed, &hash);
    add_totals(sum, &totals);
    if (o->hash) printf("%" PRIu64 " %016" PRIx64 "\n", config->seed, hash);
    if (failed) show_failure(config, &failure, o);
    return !failed;
}

static bool show_coverage(const sim_totals *sum, bool demand)
{
    static const char *const names[] = {
#define SOMETIMES_NAME(name) #name,
        SIM_SOMETIMES_LIST(SOMETIMES_NAME)
#undef SOMETIMES_NAME
    };
    bool all = true;
    printf("runs that reached:");
    for (int i = 0; i < SIM_SOMETIMES_COUNT; i++) {
        printf("%s %s %" PRIu64, i % 5 ? "," : "\n ", names[i], sum->sometimes[i]);
        if (!sum->sometimes[i]) all = false;
    }
    printf("\n");
    if (demand && !all) printf("a state was never reached: this campaign proves too little\n");
    return all || !demand;
}

static int run_scenario(const options *o)
{
    sim_config config;
    sim_totals sum = {0};
    char err[200];
    FILE *file = fopen(o->scenario, "r");
    if (!file) {
        fprintf(stderr, "pawl-sim: %s: %s\n", o->scenario, strerror(errno));
        return EXIT_USAGE;
    }
    sim_config_draw(&config, o->seed, o->algorithm);
    bool ok = sim_config_read(&config, file, err);
    fclose(file);
    if (!ok) {
        fprintf(stderr, "pawl-sim: %s: %s\n", o->scenario, err);
        return EXIT_USAGE;
    }
    if (!run_one(&config, o, &sum)) return EXIT_VIOLATION;
    if (!o->quiet) printf("no violation; %" PRIu64 " grants\n", sum.grants);
    return EXIT_CLEAN;
}

static int run_seeds(const options *o)
{
    sim_totals sum = {0};
    double begin = seconds_now();
    uint64_t seed = o->seed, count = 0;
    for (;; seed++, count++) {
        if (o->seeds_given ? count >= o->seeds : seconds_now() - begin >= o->seconds) break;
        sim_config config;
        sim_config_draw(&config, seed, o->algorithm);
        if (run_one(&config, o, &sum)) continue;
        printf("found after %" PRIu64 " seeds, %.2f s\n", count + 1, seconds_now() - begin);
        return EXIT_VIOLATION;
    }
    double span = seconds_now() - begin;
    if (o->quiet) return EXIT_CLEAN;
    printf("no violation in %" PRIu64 " seeds (%" PRIu64 " .. %" PRIu64 "), %.1f s\n"
           "%" PRIu64 " operations (%.2f million per minute), %" PRIu64 " grants, %" PRIu64
           " commands, %" PRIu64 " events\n",
           count, o->seed, seed - 1, span, sum.operations, (double)sum.operations / span * 60 / 1e6,
           sum.grants, sum.commands, sum.events);
    return show_coverage(&sum, o->coverage) ? EXIT_CLEAN : EXIT_VIOLATION;
}

static bool choose_algorithm(options *o, const char *word)
{
    for (int i = 0; sim_algorithm_words[i]; i++) {
        if (strcmp(word, sim_algorithm_words[i]) != 0) continue;
        o->algorithm = (sim_algorithm)i;
        return true;
    }
    return false;
}

static bool to_number(const char *text, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool take_mutant(const char *name, char **argv)
{
    if (!sim_has_mutants()) become_mutant_build(argv);
    return sim_mutant_choose(name);
}

static bool take_option(options *o, int option, char **argv)
{
    uint64_t number;
    switch (option) {
    case 's':
        if (!to_number(optarg, &number)) return false;
        o->seconds = (double)number;
        return true;
    case 'n':
        return to_number(optarg, &o->seed);
    case 'N':
        o->seeds_given = true;
        return to_number(optarg, &o->seeds);
    case 'f':
        o->scenario = optarg;
        return true;
    case 'a':
        return choose_algorithm(o, optarg);
    case 'm':
        return take_mutant(optarg, argv);
    case 'l':
        sim_mutants_list(stdout);
        exit(EXIT_CLEAN);
    case 't':
        return o->trace = true;
    case 'h':
        return o->hash = true;
    case 'r':
        return o->no_shrink = true;
    case 'c':
        return o->coverage = true;
    case 'q':
        return o->quiet = true;
    case 'H':
        fputs(usage, stdout);
        exit(EXIT_CLEAN);
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"seconds", 1, NULL, 's'},      {"seed", 1, NULL, 'n'},      {"seeds", 1, NULL, 'N'},
        {"scenario", 1, NULL, 'f'},     {"algorithm", 1, NULL, 'a'}, {"mutant", 1, NULL, 'm'},
        {"list-mutants", 0, NULL, 'l'}, {"trace", 0, NULL, 't'},     {"hash", 0, NULL, 'h'},
        {"no-shrink", 0, NULL, 'r'},    {"coverage", 0, NULL, 'c'},  {"quiet", 0, NULL, 'q'},
        {"help", 0, NULL, 'H'},         {NULL, 0, NULL, 0}};
    options o = {.seed = 1, .seconds = 10};
    int option;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (take_option(&o, option, argv)) continue;
        if (optarg) fprintf(stderr, "pawl-sim: \"%s\" is not understood\n", optarg);
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return o.scenario ? run_scenario(&o) : run_seeds(&o);
}
