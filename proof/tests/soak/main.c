/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "soak.h"

#include <dirent.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_MS      2000
#define BOTHER_MS     3  /* between two signals */
#define CLOSE_MIN_MS  30 /* between two closes of one of the clients */
#define CLOSE_MAX_MS  300
#define GROWTH_MAX_KB 8192 /* of resident memory, from the second epoch to the last */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KEEPS_MEMORY true /* a sanitizer remembers what was freed */
#else
#define KEEPS_MEMORY false
#endif

const char *const soak_names[NAMES] = {"soak-0", "soak-1", "soak-2"};
_Atomic int64_t soak_figures[FIGURES];
fleet soak_fleets[CLIENTS];
_Atomic bool soak_homewards;

static char url[700];
static user users[USERS];
static int64_t seconds = 10, seed = 1;

int64_t soak_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- Clients -------------------------------------------------------------------------------- */

const char *soak_url(void)
{
    return url;
}

pawl_client *soak_open(void)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_client *client = NULL;
    int err = pawl_client_open(url, NULL, &client, message);
    if (err) FAIL_TEST("cannot open %s: %s", url, message);
    return client;
}

/* The old client is closed while its handles are in calls. */
static void replace(fleet *f, pawl_client *fresh)
{
    pthread_rwlock_wrlock(&f->lock);
    pawl_client *old = f->client;
    int generation = f->generation++;
    f->client = fresh;
    pthread_rwlock_unlock(&f->lock);
    if (!old) return;
    belief_closes((int)(f - soak_fleets), generation);
    pawl_client_close(old);
    count(FIGURE_closes);
}

/* ---- An epoch ------------------------------------------------------------------------------- */

static void begin_epoch(void)
{
    atomic_store(&soak_homewards, false);
    for (int i = 0; i < CLIENTS; i++) replace(&soak_fleets[i], soak_open());
    for (int i = 0; i < USERS; i++) pthread_create(&users[i].thread, NULL, soak_user, &users[i]);
}

static void bother(user *chance)
{
    int64_t end = soak_now() + EPOCH_MS * NS_PER_MS, close_at = soak_now();
    while (soak_now() < end) {
        stage_pass(BOTHER_MS);
        pthread_kill(users[draw(chance, USERS)].thread, SIGUSR1);
        count(FIGURE_signals);
        if (soak_now() < close_at) continue;
        replace(&soak_fleets[draw(chance, CLIENTS)], soak_open());
        close_at = soak_now() + (CLOSE_MIN_MS + draw(chance, CLOSE_MAX_MS)) * NS_PER_MS;
    }
}

/* All users end, all is closed, and nothing is left at the store. */
static void end_epoch(void)
{
    atomic_store(&soak_homewards, true);
    for (int i = 0; i < USERS; i++) pthread_join(users[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++) replace(&soak_fleets[i], NULL);
    for (int i = 0; i < USERS; i++) soak_user_reckon(&users[i]);
    pawl_client *observer = stage_client(NULL); /* of the store itself, not of the hostile one */
    for (int i = 0; i < NAMES; i++) stage_await_free(observer, soak_names[i]);
    pawl_client_close(observer);
}

/* ---- What must not grow --------------------------------------------------------------------- */

typedef struct weight {
    long rss_kb, descriptors, threads;
} weight;

static long entries(const char *path)
{
    long found = 0;
    DIR *dir = opendir(path);
    if (!dir) FAIL_TEST("%s cannot be read", path);
    while (readdir(dir)) found++;
    closedir(dir);
    return found - 3; /* ".", ".." and, in fd, the directory itself */
}

static weight weigh(void)
{
    long pages = 0;
    malloc_trim(0);
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) FAIL_TEST("statm cannot be read");
    fclose(file);
    return (weight){.rss_kb = pages * (sysconf(_SC_PAGESIZE) / 1024),
                    .descriptors = entries("/proc/self/fd"),
                    .threads = entries("/proc/self/task") + 1};
}

static void compare(const weight *first, const weight *now)
{
    if (now->descriptors != first->descriptors || now->threads != first->threads)
        FAIL_TEST("when all was closed there were %ld descriptors and %ld threads, now %ld and %ld",
                  first->descriptors, first->threads, now->descriptors, now->threads);
    if (!KEEPS_MEMORY && now->rss_kb > first->rss_kb + GROWTH_MAX_KB)
        FAIL_TEST("resident memory grew from %ld KB to %ld KB", first->rss_kb, now->rss_kb);
}

/* ---- The program ---------------------------------------------------------------------------- */

static void print_figures(const weight *first, const weight *last, int epochs)
{
    static const char *const names[] = {
#define FIGURE_NAME(name) #name,
        FIGURE_LIST(FIGURE_NAME)
#undef FIGURE_NAME
    };
    printf("%s, %d epochs:", url, epochs);
    for (int i = 0; i < FIGURES; i++)
        printf(" %s %lld", names[i], (long long)atomic_load(&soak_figures[i]));
    printf("; resident KB %ld to %ld, descriptors %ld to %ld, threads %ld to %ld\n", first->rss_kb,
           last->rss_kb, first->descriptors, last->descriptors, first->threads, last->threads);
}

static void read_options(int argc, char **argv)
{
    static const struct option longs[] = {{"hostile", no_argument, NULL, 'h'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"seed", required_argument, NULL, 'e'},
                                          {NULL, 0, NULL, 0}};
    bool hostile = false;
    for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (option == 'h') hostile = true;
        if (option == 's') seconds = strtoll(optarg, NULL, 10);
        if (option == 'e') seed = strtoll(optarg, NULL, 10);
        if (option == '?') exit(64);
    }
    if (!hostile)
        snprintf(url, sizeof url, "%s", stage_url());
    else
        snprintf(url, sizeof url, "hostile+%s?seed=%lld", stage_url(), (long long)seed);
}

static void sow(user *u, int number)
{
    uint64_t s = ((uint64_t)seed * 100 + (uint64_t)number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    *u = (user){.number = number};
    for (int i = 0; i < 3; i++) u->random[i] = (unsigned short)(s >> (16 + 16 * i));
}

int main(int argc, char **argv)
{
    user chance;
    weight first = {0}, last = {0};
    int epochs = 0;
    stage_begin(argc, argv);
    read_options(argc, argv);
    struct sigaction look = {.sa_handler = soak_on_signal}; /* without SA_RESTART */
    sigaction(SIGUSR1, &look, NULL);
    for (int i = 0; i < USERS; i++) sow(&users[i], i);
    sow(&chance, USERS);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_rwlock_init(&soak_fleets[i].lock, NULL);
        soak_fleets[i].generation = 1;
    }
    for (int64_t end = soak_now() + seconds * 1000 * NS_PER_MS; epochs < 3 || soak_now() < end;) {
        begin_epoch();
        bother(&chance);
        end_epoch();
        last = weigh();
        if (++epochs == 2) first = last;
        if (epochs > 2) compare(&first, &last);
    }
    print_figures(&first, &last, epochs);
    stage_end();
    return 0;
}
