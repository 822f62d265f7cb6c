/* SPDX-License-Identifier: MIT */
/*
 * Which blocks of the library were reached: the compiler calls this at the beginning of each. One
 * byte for each address of the program, in the file that PAWL_COVERED names, so that children and
 * later runs add to it. scripts/coverage-threads reads it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern char __executable_start[], etext[];

static uint8_t *reached;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    if (reached) reached[(char *)__builtin_return_address(0) - __executable_start] = 1;
}

__attribute__((constructor)) static void open_map(void)
{
    const char *path = getenv("PAWL_COVERED");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (fd < 0) return;
    size_t size = (size_t)(etext - __executable_start);
    void *map = ftruncate(fd, (off_t)size)
                    ? MAP_FAILED
                    : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) reached = map;
}
