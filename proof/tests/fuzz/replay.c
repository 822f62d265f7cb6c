/* SPDX-License-Identifier: MIT */
/* usage: fuzz-TARGET FILE-OR-DIRECTORY...: each input once, without a fuzzer and without clang. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>

static unsigned inputs;

static void run(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) FAIL_TEST("cannot open %s", path);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    rewind(file);
    /* Of exactly that size, so that reading beyond the input is seen. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    CHECK(size >= 0 && data && fread(data, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    printf("%s\n", path); /* the last one is the culprit */
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    inputs++;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)at;
    if (type == FTW_F) run(path);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) CHECK(nftw(argv[i], visit, 8, FTW_PHYS) == 0);
    CHECK(inputs > 0);
    printf("%u inputs\n", inputs);
    return 0;
}
