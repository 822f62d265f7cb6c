/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: pawl-demo [OPTIONS]\n"
    "\n"
    "Several processes add 1 to one number in a file, first under the lock of a\n"
    "tutorial (SET NX EX, DEL), then under pawl. Ends with a table of what became of\n"
    "the increments. $PAWL_STORE chooses the store: sqlite:, redis: or redis+unix:;\n"
    "without it a new SQLite file is used and removed.\n"
    "\n"
    "  --processes N   how many processes (2 to 64, default 6)\n"
    "  --rounds N      increments while one holder in ten overstays (default 100)\n"
    "  --seconds N     how long it runs while nobody does (default 4)\n"
    "  --plain         no live line\n"
    "  --help          this page\n"
    "\n"
    "Exit status: 0; 1 if pawl lost an increment or let two in at once; 64 usage;\n"
    "69 the store cannot be reached; 78 the store's URL does not fit.\n";

static bool take_number(const char *name, const char *text, int min, int max, int *ret_number)
{
    char *end = NULL;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (*text && !*end && errno == 0 && number >= min && number <= max) {
        *ret_number = (int)number;
        return true;
    }
    demo_say("--%s %s: a number from %d to %d is wanted", name, text, min, max);
    return false;
}

static int take_store(demo_config *config)
{
    const char *url = getenv("PAWL_STORE");
    if (!url || !*url) return 0; /* main puts a file into the temporary directory */
    if (strlen(url) >= sizeof config->url) {
        demo_say("PAWL_STORE is longer than %zu bytes", sizeof config->url - 1);
        return DEMO_CONFIG;
    }
    strcpy(config->url, url);
    return 0;
}

int demo_options_parse(int argc, char **argv, demo_config *ret_config, bool *ret_done)
{
    static const struct option options[] = {
        {"processes", required_argument, NULL, 'p'},
        {"rounds", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"plain", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    demo_config config = {.processes = 6, .rounds = 100, .seconds = 4};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        bool fine = true;
        switch (option) {
        case 'p':
            fine = take_number("processes", optarg, 2, DEMO_PROCESSES_MAX, &config.processes);
            break;
        case 'r':
            fine = take_number("rounds", optarg, 1, 1000000, &config.rounds);
            break;
        case 's':
            fine = take_number("seconds", optarg, 1, 3600, &config.seconds);
            break;
        case 'l':
            config.plain = true;
            break;
        case 'h':
            fputs(help, stdout);
            *ret_done = true;
            return 0;
        default: /* getopt has said what is wrong */
            return DEMO_USAGE;
        }
        if (!fine) return DEMO_USAGE;
    }
    if (optind < argc) {
        demo_say("%s: no operands are taken; see --help", argv[optind]);
        return DEMO_USAGE;
    }
    *ret_config = config;
    return take_store(ret_config);
}
