/* SPDX-License-Identifier: MIT */
/*
 * How long whole processes take, start to end.
 *
 *     bench-spawn COUNT COMMAND [ARGUMENT]... [-- COMMAND ...]...
 *
 * Runs the commands in turn, COUNT times each, and prints one line of JSON with
 * the median and the mean of each, in their order. A command that fails ends it.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../driver/driver.h"

#define COMMANDS_MAX 8

extern char **environ;

static int64_t run_once(char **command)
{
    pid_t pid;
    int status;
    int64_t before = bench_now_ns();
    if (posix_spawnp(&pid, command[0], NULL, NULL, command, environ)) {
        bench_die("cannot start %s", command[0]);
    }
    while (waitpid(pid, &status, 0) != pid) continue;
    int64_t took = bench_now_ns() - before;
    if (!WIFEXITED(status) || WEXITSTATUS(status)) bench_die("%s failed", command[0]);
    return took;
}

int main(int argc, char **argv)
{
    long count = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (count < 1) bench_die("usage: bench-spawn COUNT COMMAND [ARGUMENT]... [-- COMMAND ...]");
    char **commands[COMMANDS_MAX];
    int known = 0;
    commands[known++] = argv + 2;
    for (char **word = argv + 2; *word; word++) {
        if (strcmp(*word, "--") != 0 || known == COMMANDS_MAX) continue;
        *word = NULL;
        commands[known++] = word + 1;
    }

    static bench_histogram times[COMMANDS_MAX];
    int64_t sums[COMMANDS_MAX] = {0};
    for (int i = 0; i < known; i++) run_once(commands[i]); /* files and databases exist now */
    for (long n = 0; n < count; n++) {
        for (int i = 0; i < known; i++) {
            int64_t took = run_once(commands[i]);
            bench_histogram_add(&times[i], took);
            sums[i] += took;
        }
    }
    printf("{\"driver\": \"spawn\", \"workload\": \"run\", \"count\": %ld, \"p50_ns\": [", count);
    for (int i = 0; i < known; i++) {
        printf("%s%lld", i ? ", " : "", (long long)bench_histogram_quantile(&times[i], 0.5));
    }
    printf("], \"mean_ns\": [");
    for (int i = 0; i < known; i++) printf("%s%lld", i ? ", " : "", (long long)(sums[i] / count));
    puts("]}");
    return 0;
}
