/* SPDX-License-Identifier: MIT */
/*
 * The swarm: each seed has its own size, speed and subset of faults. Runs with every
 * fault at once find less than runs with few.
 */
#include "config.h"
#include "../../src/stores/redis/redis_link.h"
#include "model_redis.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *const sim_fault_words[SIM_FAULT_KINDS] = {
#define SIM_FAULT_WORD(name, word, text) word,
    SIM_FAULT_LIST(SIM_FAULT_WORD)
#undef SIM_FAULT_WORD
};

const char *const sim_algorithm_words[] = {"pawl", "tutorial", "setnx", NULL};

/* ---- Drawing ---------------------------------------------------------------- */

static unsigned draw_mask(sim_rng *rng)
{
    unsigned all = (1u << SIM_FAULT_KINDS) - 1;
    int64_t kind = sim_below(rng, 10);
    if (kind == 0) return 0;
    if (kind <= 2) return all;
    unsigned some = (unsigned)sim_below(rng, all), mask = some & (unsigned)sim_below(rng, all);
    if (sim_chance(rng, 500)) mask &= (1u << SIM_FAULT_BREAK) - 1; /* only harmless faults */
    return mask | 1u << sim_below(rng, SIM_FAULT_KINDS);
}

static void draw_speed(sim_config *c, sim_rng *rng)
{
    static const int64_t ttls[] = {20, 50, 100, 300, 1000, 3000, 10000};
    c->ttl_ms = ttls[sim_below(rng, 7)];
    int64_t ttl_us = c->ttl_ms * 1000;
    c->delay_min_us = 20 + sim_below(rng, ttl_us / 200 + 1);
    c->delay_max_us = c->delay_min_us * (1 + sim_below(rng, 4));
    c->tail_per_thousand = sim_chance(rng, 500) ? (int)sim_below(rng, 60) : 0;
    c->lockstep = sim_chance(rng, 100);
    if (c->lockstep) c->delay_max_us = c->delay_min_us;
    static const int64_t parts[] = {100, 20, 5, 1};
    c->hold_max_us = ttl_us / parts[sim_below(rng, 4)] * (sim_chance(rng, 100) ? 3 : 1);
    c->think_max_us = ttl_us / parts[sim_below(rng, 4)];
}

static void draw_fault(sim_config *c, sim_rng *rng, sim_fault *fault)
{
    int kinds[SIM_FAULT_KINDS] = {0}, count = 0;
    for (int k = 0; k < SIM_FAULT_KINDS; k++)
        if (c->fault_mask & 1u << k) kinds[count++] = k;
    int64_t ttl_us = c->ttl_ms * 1000;
    fault->kind = (sim_fault_kind)kinds[sim_below(rng, count)]; /* none: the caller says which */
    fault->at_us = sim_below(rng, c->heal_ms * 1000);
    fault->target = (int)sim_below(rng, c->clients);
    int64_t spans[] = {ttl_us / 10, ttl_us / 3, ttl_us, 3 * ttl_us};
    fault->for_us = sim_below(rng, spans[sim_below(rng, 4)]) + 1;
    fault->value = sim_below(rng, 1000000);
    fault->skipped = false;
}

/* A stream of its own: with these left out a seed is what it was before there were kinds. */
static void draw_kinds(sim_config *c, uint64_t seed)
{
    if (c->algorithm != SIM_PAWL) return; /* the others know one kind */
    sim_rng rng = sim_rng_make(seed, 0, SIM_RNG_KINDS);
    int64_t kind = sim_below(&rng, 10);
    c->modes = kind >= 4 && kind <= 7;
    if (kind >= 7) c->capacity = 1 + (int)sim_below(&rng, 5);
    if (kind == 7) c->names = 2;
    if (sim_chance(&rng, 100)) c->mistaken = kind >= 4 ? 30 : 0;
    c->values = sim_chance(&rng, 200);
}

/* What the guard is for is rare among all the faults: one more. */
static void forget(sim_config *c, sim_rng *rng)
{
    static const sim_fault_kind kinds[] = {SIM_FAULT_LOSE_TAIL, SIM_FAULT_LOSE_ALL,
                                           SIM_FAULT_FAILOVER};
    sim_fault *fault = &c->faults[c->fault_count++];
    draw_fault(c, rng, fault);
    fault->kind = kinds[sim_below(rng, 3)];
    fault->for_us %= c->ttl_ms * 100 + 1;
    if (!sim_chance(rng, 500)) return;
    sim_fault *death = &c->faults[c->fault_count++]; /* of a client, which forgets the run */
    *death = *fault;
    death->kind = SIM_FAULT_CRASH;
    death->for_us = sim_below(rng, fault->for_us + 1);
}

/* Somebody deletes a lock key, the second one behind a renewal. */
static void delete_some(sim_config *c, sim_rng *rng)
{
    for (int i = 0; i < 2; i++) {
        sim_fault *fault = &c->faults[c->fault_count++];
        draw_fault(c, rng, fault);
        fault->kind = SIM_FAULT_EVICT;
        fault->value = i ? 17 : 1;
    }
}

/* A stream of its own as well. The guard is off and nothing is watched in half of the seeds. */
static void draw_store_options(sim_config *c, uint64_t seed)
{
    static const int guards[] = {PAWL__REDIS_GUARD_AUTO, PAWL__REDIS_GUARD_ON};
    static const int watches[] = {PAWL__REDIS_WATCH_AUTO, PAWL__REDIS_WATCH_ON};
    c->guard = PAWL__REDIS_GUARD_OFF;
    c->watch = PAWL__REDIS_WATCH_OFF;
    if (c->algorithm != SIM_PAWL) return;
    sim_rng rng = sim_rng_make(seed, 0, SIM_RNG_STORE);
    int64_t choice = sim_below(&rng, 4), which = sim_below(&rng, 2);
    if (choice & 1) c->guard = guards[which];
    if (choice & 2) c->watch = watches[sim_below(&rng, 2)];
    c->age_ms = sim_below(&rng, 4 * c->ttl_ms + 2000);
    if (c->guard != PAWL__REDIS_GUARD_OFF && sim_chance(&rng, 500)) forget(c, &rng);
    if (c->watch != PAWL__REDIS_WATCH_OFF && sim_chance(&rng, 300)) delete_some(c, &rng);
}

/* The server forgets what calls mean that are under way to it, so slowly that others follow. */
static void forget_scripts(sim_config *c, sim_rng *rng)
{
    int64_t ttl_us = c->ttl_ms * 1000;
    for (int i = 0; i < 3; i++) {
        sim_fault *flush = &c->faults[c->fault_count++], *slow = &c->faults[c->fault_count++];
        draw_fault(c, rng, flush);
        flush->kind = SIM_FAULT_SCRIPT_FLUSH;
        *slow = *flush;
        slow->kind = SIM_FAULT_SLOW;
        slow->at_us = flush->at_us > ttl_us / 4 ? flush->at_us - ttl_us / 4 : 0;
        slow->for_us = ttl_us;
        slow->value = ttl_us / 16 + sim_below(rng, ttl_us / 16);
    }
}

/* A stream of its own, too. Only who does not wait travels together. */
static void draw_together(sim_config *c, uint64_t seed)
{
    sim_rng rng = sim_rng_make(seed, 0, SIM_RNG_TOGETHER);
    int64_t kind = sim_below(&rng, 1000);
    if (c->algorithm != SIM_PAWL || (kind >= 40 && kind < 940)) return;
    c->together = c->impatient = true;
    c->names = SIM_NAMES_MAX;
    c->callers = SIM_NAMES_MAX;
    c->chorus = kind >= 40;
    if (!c->chorus) return;
    c->apart = sim_chance(&rng, 100);
    if (c->fault_count && sim_chance(&rng, 600)) c->halves = 200;
    if (c->fault_count && sim_chance(&rng, 400)) forget_scripts(c, &rng);
}

void sim_config_draw(sim_config *ret_config, uint64_t seed, sim_algorithm algorithm)
{
    sim_rng rng = sim_rng_make(seed, 0, SIM_RNG_CONFIG);
    sim_config c = {.seed = seed, .algorithm = algorithm};
    c.clients = 1 + (int)sim_below(&rng, 2) + (int)sim_below(&rng, 4);
    c.callers = 1 + (int)sim_below(&rng, 3);
    c.names = sim_chance(&rng, 700) ? 1 : 2;
    draw_speed(&c, &rng);
    c.mixed_ttl = sim_chance(&rng, 400);
    c.retain = sim_chance(&rng, 500);
    c.impatient = sim_chance(&rng, 500);
    c.detach = sim_chance(&rng, 100);
    c.heal_ms = c.ttl_ms * (4 + sim_below(&rng, 20));
    c.calm_ms = c.ttl_ms * 8;
    c.fault_mask = draw_mask(&rng);
    c.monitor = sim_chance(&rng, 200);
    sim_rng nemesis = sim_rng_make(seed, 0, SIM_RNG_NEMESIS);
    c.fault_count = c.fault_mask ? (int)sim_between(&nemesis, 1, 12) : 0;
    for (int i = 0; i < c.fault_count; i++) draw_fault(&c, &nemesis, &c.faults[i]);
    draw_kinds(&c, seed);
    draw_store_options(&c, seed);
    draw_together(&c, seed);
    *ret_config = c;
}

/* ---- Scenario files --------------------------------------------------------- */

typedef struct key {
    const char *word;
    size_t offset;
    size_t size;
} key;

#define KEY(field) #field, offsetof(sim_config, field), sizeof(((sim_config *)0)->field)
static const key keys[] = {{KEY(clients)},      {KEY(callers)},      {KEY(names)},
                           {KEY(ttl_ms)},       {KEY(mixed_ttl)},    {KEY(retain)},
                           {KEY(impatient)},    {KEY(detach)},       {KEY(modes)},
                           {KEY(crowd)},        {KEY(capacity)},     {KEY(mistaken)},
                           {KEY(values)},       {KEY(hold_max_us)},  {KEY(think_max_us)},
                           {KEY(delay_min_us)}, {KEY(delay_max_us)}, {KEY(tail_per_thousand)},
                           {KEY(lockstep)},     {KEY(heal_ms)},      {KEY(calm_ms)},
                           {KEY(monitor)},      {KEY(guard)},        {KEY(watch)},
                           {KEY(age_ms)},       {KEY(together)},     {KEY(chorus)},
                           {KEY(halves)},       {KEY(apart)}};
#define KEY_COUNT (sizeof keys / sizeof keys[0])

static int64_t get_key(const sim_config *c, const key *k)
{
    const char *at = (const char *)c + k->offset;
    if (k->size == sizeof(bool)) return *(const bool *)at;
    if (k->size == sizeof(int)) return *(const int *)(const void *)at;
    return *(const int64_t *)(const void *)at;
}

static void set_key(sim_config *c, const key *k, int64_t value)
{
    char *at = (char *)c + k->offset;
    if (k->size == sizeof(bool))
        *(bool *)at = value != 0;
    else if (k->size == sizeof(int))
        *(int *)(void *)at = (int)value;
    else
        *(int64_t *)(void *)at = value;
}

static bool read_fault(sim_config *c, const char *text)
{
    char word[32];
    sim_fault fault = {0};
    if (c->fault_count == SIM_FAULTS_MAX) return false;
    if (sscanf(text, "%31s %" SCNd64 " %d %" SCNd64 " %" SCNd64, word, &fault.at_us, &fault.target,
               &fault.for_us, &fault.value) != 5)
        return false;
    for (int k = 0; k < SIM_FAULT_KINDS; k++) {
        if (strcmp(word, sim_fault_words[k]) != 0) continue;
        fault.kind = (sim_fault_kind)k;
        c->faults[c->fault_count++] = fault;
        return fault.target >= 0 && fault.target < SIM_CLIENTS_MAX;
    }
    return false;
}

static bool read_algorithm(sim_config *c, const char *text)
{
    for (int i = 0; sim_algorithm_words[i]; i++) {
        size_t len = strlen(sim_algorithm_words[i]);
        if (strncmp(text, sim_algorithm_words[i], len) != 0) continue;
        c->algorithm = (sim_algorithm)i;
        return true;
    }
    return false;
}

static bool read_line(sim_config *c, const char *word, const char *text, bool *faults_given)
{
    if (strcmp(word, "seed") == 0) {
        sim_config_draw(c, strtoull(text, NULL, 10), c->algorithm);
        return true;
    }
    if (strcmp(word, "algorithm") == 0) return read_algorithm(c, text);
    if (strcmp(word, "faults") == 0 || strcmp(word, "fault") == 0) {
        if (!*faults_given) c->fault_count = 0;
        *faults_given = true;
        return strcmp(word, "faults") == 0 || read_fault(c, text);
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(word, keys[i].word) != 0) continue;
        set_key(c, &keys[i], strtoll(text, NULL, 10));
        return true;
    }
    return false;
}

static bool in_bounds(const sim_config *c)
{
    return c->clients >= 1 && c->clients <= SIM_CLIENTS_MAX && c->callers >= 1 &&
           c->callers <= SIM_CALLERS_MAX && c->names >= 1 && c->names <= SIM_NAMES_MAX &&
           c->ttl_ms >= 10 && c->ttl_ms <= 86400000 && c->hold_max_us >= 0 && c->capacity >= 0 &&
           c->capacity < MODEL_CAPACITY_MAX && c->think_max_us >= 0 && c->delay_min_us >= 1 &&
           c->delay_max_us >= c->delay_min_us && c->heal_ms >= 0 && c->calm_ms >= 0 &&
           c->guard >= 0 && c->guard <= 2 && c->watch >= 0 && c->watch <= 2 && c->age_ms >= 0;
}

bool sim_config_read(sim_config *config, FILE *file, char reterr[200])
{
    char line[256], word[32];
    bool faults_given = false;
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        int at = 0;
        if (line[strspn(line, " \t\n")] == '\0' || line[0] == '#') continue;
        if (sscanf(line, " %31[a-z_] = %n", word, &at) == 1 && at > 0 &&
            read_line(config, word, line + at, &faults_given))
            continue;
        snprintf(reterr, 200, "line %d is not understood: %.100s", number, line);
        return false;
    }
    if (in_bounds(config)) return true;
    snprintf(reterr, 200, "a value is out of its bounds");
    return false;
}

void sim_config_write(const sim_config *config, FILE *file)
{
    fprintf(file, "algorithm = %s\n", sim_algorithm_words[config->algorithm]);
    fprintf(file, "seed = %" PRIu64 "\n", config->seed);
    for (size_t i = 0; i < KEY_COUNT; i++)
        fprintf(file, "%s = %" PRId64 "\n", keys[i].word, get_key(config, &keys[i]));
    fprintf(file, "faults =\n");
    for (int i = 0; i < config->fault_count; i++) {
        const sim_fault *f = &config->faults[i];
        if (f->skipped) continue;
        fprintf(file, "fault = %s %" PRId64 " %d %" PRId64 " %" PRId64 "\n",
                sim_fault_words[f->kind], f->at_us, f->target, f->for_us, f->value);
    }
}
