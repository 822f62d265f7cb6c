/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "faults/faults.h"
#include "rig/setup.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: pawl torture [OPTIONS]\n"
    "       pawl torture --check DIR\n"
    "\n"
    "Real processes take locks on real servers of their own while processes, servers and\n"
    "the network between them are hurt. Everybody writes down what it was told; afterwards\n"
    "a checker reads all of it and judges. Ends with one table.\n"
    "\n"
    "  --seconds N       hurt for so long, for each setup (default 10), and at least until\n"
    "                    each fault has come once\n"
    "  --seed N          which faults, when (default: from the clock; it is printed)\n"
    "  --store LIST      setups, or redis, sqlite, cluster (default: all)\n"
    "  --faults LIST     only these faults (default: all that fit the setup)\n"
    "  --workers N       processes (default 6)\n"
    "  --locks N         names that are held exclusively (default 2)\n"
    "  --kinds LIST      of exclusive, modes, permits, composed: those names, one that is held\n"
    "                    in every mode, a semaphore; once, latch and barrier beside them\n"
    "                    (default: all)\n"
    "  --ttl MS          leases last a half, one or two of it (default 300)\n"
    "  --grants N        refuse a run with fewer grants for a setup (default 50)\n"
    "  --algorithm NAME  pawl, or tutorial: SET NX and DEL, which must be found guilty\n"
    "  --dir DIR         write the histories into DIR, and keep them\n"
    "  --keep            keep the temporary directory; kept anyway if something is wrong\n"
    "  --check DIR       judge the histories in DIR again\n"
    "  -h, --help        this page\n";

static const char exits[] =
    "\nExit status: 0 all held; 1 guilty; 2 too thin to prove anything; 64 usage; 66 no\n"
    "history; 69 no server; 71 the system refused; 128+n ended by signal n.\n";

bool torture_list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0')) return true;
    }
    return false;
}

static void print_help(void)
{
    fputs(help, stdout);
    puts("\nSetups:\n");
    for (size_t i = 0; i < torture_setup_count; i++) {
        printf("  %-22s%s\n", torture_setups[i].name, torture_setups[i].what);
    }
    puts("\nFaults:\n");
    for (size_t i = 0; i < TORTURE_FAULT_COUNT; i++) {
        printf("  %-22s%s\n", torture_faults[i]->name, torture_faults[i]->what);
    }
    fputs(exits, stdout);
}

static bool take_number(const char *name, const char *text, int64_t min, int64_t max,
                        int64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (*text && !*end && errno == 0 && number >= min && number <= max) {
        *ret_number = number;
        return true;
    }
    torture_say("--%s %s: a number from %" PRId64 " to %" PRId64 " is wanted", name, text, min,
                max);
    return false;
}

typedef bool (*known_word)(const char *word);

static bool known_setup(const char *word)
{
    for (size_t i = 0; i < torture_setup_count; i++) {
        if (!strcmp(word, torture_setups[i].name)) return true;
        if (!strcmp(word, torture_setups[i].store)) return true;
    }
    return false;
}

static bool known_fault(const char *word)
{
    for (size_t i = 0; i < TORTURE_FAULT_COUNT; i++) {
        if (!strcmp(word, torture_faults[i]->name)) return true;
    }
    return false;
}

static bool known_kind(const char *word)
{
    for (int i = 0; i < TORTURE_KIND_COUNT; i++) {
        if (!strcmp(word, torture_kind_words[i])) return true;
    }
    return false;
}

static bool take_list(const char *name, const char *list, known_word known, const char **ret_list)
{
    for (const char *at = list;; at++) {
        char word[32];
        size_t len = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)len, at);
        if (!known(word)) {
            torture_say("--%s: there is no \"%s\"; see --help", name, word);
            return false;
        }
        at += len;
        if (!*at) break;
    }
    *ret_list = list;
    return true;
}

static bool take_algorithm(const char *word, bool *ret_tutorial)
{
    *ret_tutorial = strcmp(word, "tutorial") == 0;
    if (*ret_tutorial || strcmp(word, "pawl") == 0) return true;
    torture_say("--algorithm %s: pawl or tutorial is wanted", word);
    return false;
}

static bool take_option(torture_options *o, int option)
{
    switch (option) {
    case 's':
        return take_number("seconds", optarg, 1, 7 * 86400, &o->seconds);
    case 'n':
        return take_number("seed", optarg, 0, INT64_MAX, &o->seed);
    case 'S':
        return take_list("store", optarg, known_setup, &o->stores);
    case 'f':
        return take_list("faults", optarg, known_fault, &o->faults);
    case 'w':
        return take_number("workers", optarg, 2, TORTURE_WORKERS_MAX, &o->workers);
    case 'l':
        return take_number("locks", optarg, 1, TORTURE_EXCLUSIVE_MAX, &o->locks);
    case 'K':
        return take_list("kinds", optarg, known_kind, &o->kinds);
    case 't':
        return take_number("ttl", optarg, 100, 60000, &o->ttl_ms);
    case 'g':
        return take_number("grants", optarg, 0, INT64_MAX, &o->grants_min);
    case 'a':
        return take_algorithm(optarg, &o->tutorial);
    case 'd':
        o->dir = optarg;
        return true;
    case 'k':
        return o->keep = true;
    case 'c':
        o->check = optarg;
        return true;
    default: /* getopt has said what is wrong */
        return false;
    }
}

bool torture_options_parse(int argc, char **argv, torture_options *ret_options, int *ret_code)
{
    static const struct option longs[] = {
        {"seconds", 1, NULL, 's'},   {"seed", 1, NULL, 'n'},    {"store", 1, NULL, 'S'},
        {"faults", 1, NULL, 'f'},    {"workers", 1, NULL, 'w'}, {"locks", 1, NULL, 'l'},
        {"kinds", 1, NULL, 'K'},     {"ttl", 1, NULL, 't'},     {"grants", 1, NULL, 'g'},
        {"algorithm", 1, NULL, 'a'}, {"dir", 1, NULL, 'd'},     {"keep", 0, NULL, 'k'},
        {"check", 1, NULL, 'c'},     {"help", 0, NULL, 'h'},    {NULL, 0, NULL, 0}};
    torture_options o = {.seconds = 10,
                         .seed = torture_now() / 1000 % 1000000,
                         .workers = 6,
                         .locks = 2,
                         .ttl_ms = 300,
                         .grants_min = 50};
    *ret_code = TORTURE_USAGE;
    for (int option; (option = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (option == 'h') {
            print_help();
            *ret_code = TORTURE_OK;
            return false;
        }
        if (!take_option(&o, option)) return false;
    }
    if (optind < argc) {
        torture_say("%s: no operands are taken; see --help", argv[optind]);
        return false;
    }
    *ret_options = o;
    return true;
}
