/* SPDX-License-Identifier: MIT */
#include "history_read.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Grows an array by one; without memory the process ends, because it cannot judge. */
static void *one_more(void *items, size_t count, size_t size)
{
    if (count & (count - 1)) return items; /* room up to the next power of two */
    void *more = realloc(items, (count ? 2 * count : 1) * size);
    if (more) return more;
    torture_say("out of memory while reading a history");
    exit(TORTURE_SYSTEM);
}

typedef bool (*take_line)(torture_history *history, const char *line);

/* A last line without its end was cut off by SIGKILL: it does not count. */
static bool read_lines(const char *path, torture_history *history, take_line take)
{
    char line[512];
    int number = 0;
    FILE *file = fopen(path, "re");
    if (!file) {
        torture_say("%s: %s", path, strerror(errno));
        return false;
    }
    bool fine = true;
    while (fine && fgets(line, sizeof line, file)) {
        number++;
        char *end = strchr(line, '\n');
        if (!end) break;
        *end = '\0';
        fine = take(history, line);
    }
    if (!fine) torture_say("%s: line %d is not understood: %s", path, number, line);
    fclose(file);
    return fine;
}

static bool read_who(const char *text, torture_who *ret_who)
{
    *ret_who = (torture_who){-1, 0};
    if (strcmp(text, "-") == 0) return true;
    return sscanf(text, "%d.%d", &ret_who->slot, &ret_who->life) == 2;
}

/* ---- run ------------------------------------------------------------------------- */

static bool take_number(torture_history *h, const char *name, int64_t value)
{
    if (!strcmp(name, "workers")) h->workers = (int)value;
    if (!strcmp(name, "locks")) h->locks = (int)value;
    if (!strcmp(name, "modes_lock")) h->modes_lock = (int)value;
    if (!strcmp(name, "permits_lock")) h->permits_lock = (int)value;
    if (!strcmp(name, "capacity")) h->capacity = (int)value;
    if (!strcmp(name, "no_fences")) h->no_fences = value != 0;
    if (!strcmp(name, "no_queue")) h->no_queue = value != 0;
    if (!strcmp(name, "ttl_max_ms")) h->ttl_max_ms = value;
    if (!strcmp(name, "grants_min")) h->grants_min = value;
    if (!strcmp(name, "recover_ms")) h->recover_ms = value;
    if (!strcmp(name, "call_slack_ms")) h->call_slack_ms = value;
    if (!strcmp(name, "calm_slack_ms")) h->calm_slack_ms = value;
    if (!strcmp(name, "aftermath_ms")) h->aftermath_ms = value;
    if (!strcmp(name, "begun_at")) h->begun_at = value;
    if (!strcmp(name, "ended_at")) h->ended_at = value;
    return true; /* further facts are for people */
}

static bool take_run(torture_history *h, const char *line)
{
    char name[32];
    int after = 0;
    int64_t number;
    if (sscanf(line, "%31s %n", name, &after) != 1 || !after) return false;
    const char *value = line + after;
    if (!strcmp(name, "setup")) {
        snprintf(h->setup, sizeof h->setup, "%.31s", value);
    } else if (!strcmp(name, "fault")) {
        if (h->chosen_count == TORTURE_FAULTS_MAX) return false;
        snprintf(h->chosen[h->chosen_count++], sizeof h->chosen[0], "%.31s", value);
    } else if (!strcmp(name, "skipped")) {
        if (h->skipped_count == TORTURE_FAULTS_MAX) return false;
        snprintf(h->skipped[h->skipped_count++], sizeof h->skipped[0], "%.127s", value);
    } else if (sscanf(value, "%" SCNd64, &number) == 1) {
        return take_number(h, name, number);
    }
    return true;
}

/* ---- faults ------------------------------------------------------------------------ */

static torture_life *life_of(torture_history *h, torture_who who)
{
    for (size_t i = 0; i < h->life_count; i++) {
        if (torture_same(h->lives[i].who, who)) return &h->lives[i];
    }
    return NULL;
}

static void end_hit(torture_history *h, const char *fault, torture_who who, int64_t at)
{
    for (size_t i = h->hit_count; i-- > 0;) {
        if (h->hits[i].end || strcmp(h->hits[i].fault, fault) != 0) continue;
        if (!torture_same(h->hits[i].who, who)) continue;
        h->hits[i].end = at;
        return;
    }
}

static void begin_hit(torture_history *h, const char *fault, int64_t at, torture_who who,
                      torture_hurt hurts)
{
    h->hits = one_more(h->hits, h->hit_count, sizeof *h->hits);
    torture_hit *hit = &h->hits[h->hit_count++];
    *hit = (torture_hit){.begin = at, .who = who, .hurts = hurts};
    snprintf(hit->fault, sizeof hit->fault, "%s", fault);
    torture_life *life = life_of(h, who);
    if (life && strncmp(fault, "kill-", 5) == 0 && !life->killed_at) life->killed_at = at;
}

/* The latest fault of this name makes the store forget, now or next to now. */
static bool forget(torture_history *h, const char *fault, int64_t at, bool leases)
{
    size_t i = h->hit_count;
    while (i > 0 && strcmp(h->hits[i - 1].fault, fault) != 0) i--;
    if (!i) return false;
    torture_hit *hit = &h->hits[i - 1];
    if (!hit->loses_from) hit->loses_from = at;
    hit->loses_until = at;
    if (!leases) return true;
    if (!hit->forgets_from) hit->forgets_from = at;
    hit->forgets_until = at;
    return true;
}

static void begin_phase(torture_history *h, const char *what, int64_t at, int64_t commands)
{
    if (!strcmp(what, "hurt")) h->hurt_at = at, h->hurt_commands = commands;
    if (!strcmp(what, "calm")) h->calm_at = at, h->calm_commands = commands;
    if (!strcmp(what, "over")) h->over_at = at, h->over_commands = commands;
}

static void add_pause(torture_history *h, torture_who who, int64_t until, int64_t span_ns)
{
    h->pauses = one_more(h->pauses, h->pause_count, sizeof *h->pauses);
    h->pauses[h->pause_count++] = (torture_pause){who, until - span_ns, until};
}

static void add_hunger(torture_history *h, int64_t until, int64_t waited_ns)
{
    h->hungers = one_more(h->hungers, h->hunger_count, sizeof *h->hungers);
    h->hungers[h->hunger_count++] = (torture_hunger){until - waited_ns, until};
}

static bool take_fault(torture_history *h, const char *line)
{
    char what[16], fault[32], name[32];
    int64_t at, number = 0;
    torture_who who;
    int fields =
        sscanf(line, "%" SCNd64 " %15s %31s %31s %" SCNd64, &at, what, fault, name, &number);
    if (fields < 5 || !read_who(name, &who)) return false;
    if (!strcmp(what, "end")) end_hit(h, fault, who, at);
    if (!strcmp(what, "begin")) begin_hit(h, fault, at, who, (torture_hurt)number);
    if (!strcmp(what, "forgets") && !forget(h, fault, at, true)) return false;
    if (!strcmp(what, "loses") && !forget(h, fault, at, false)) return false;
    if (!strcmp(what, "stood")) add_pause(h, who, at, number);
    if (!strcmp(what, "starved")) add_hunger(h, at, number);
    begin_phase(h, what, at, number);
    torture_life *life = life_of(h, who);
    if (!strcmp(what, "died") && life) {
        life->died_at = at;
        life->status = (int)number;
    }
    return true;
}

/* ---- workers --------------------------------------------------------------------------- */

static bool note_of(const char *word, torture_note *ret_note)
{
    for (int i = 0; i < TORTURE_NOTE_COUNT; i++) {
        if (strcmp(word, torture_note_words[i]) != 0) continue;
        *ret_note = (torture_note)i;
        return true;
    }
    return false;
}

static bool take_record(torture_history *h, const char *line)
{
    torture_life *life = &h->lives[h->life_count - 1];
    torture_record record;
    char word[16];
    if (sscanf(line, "%" SCNd64 " %15s %d %" SCNu64 " %" SCNd64, &record.at, word, &record.lock,
               &record.fence, &record.number) != 5) {
        return false;
    }
    if (!note_of(word, &record.note) || record.lock < 0 || record.lock >= TORTURE_NAMES_MAX) {
        return false;
    }
    life->records = one_more(life->records, life->count, sizeof record);
    life->records[life->count++] = record;
    if (record.note == TORTURE_DOWN) life->down = true;
    if (record.note == TORTURE_STOOD) add_pause(h, life->who, record.at, record.number);
    return true;
}

static bool read_workers(const char *dir, torture_history *h)
{
    struct dirent **names = NULL;
    char path[TORTURE_FILE_MAX];
    bool fine = true;
    int count = scandir(dir, &names, NULL, versionsort);
    for (int i = 0; i < count; i++) {
        torture_who who;
        if (fine && sscanf(names[i]->d_name, "worker-%d.%d", &who.slot, &who.life) == 2) {
            h->lives = one_more(h->lives, h->life_count, sizeof *h->lives);
            h->lives[h->life_count++] = (torture_life){.who = who};
            fine = read_lines(torture_path(path, dir, names[i]->d_name), h, take_record);
        }
        free(names[i]);
    }
    free(names);
    return fine;
}

/* ---- resource, after ------------------------------------------------------------------- */

static bool take_write(torture_history *h, const char *line)
{
    torture_write w;
    char kind[16], name[32];
    if (sscanf(line, "%d %15s %" SCNu64 " %" SCNd64 " %31s", &w.lock, kind, &w.fence, &w.value,
               name) != 5 ||
        !read_who(name, &w.who)) {
        return false;
    }
    w.fenced = strcmp(kind, "fenced") == 0;
    h->writes = one_more(h->writes, h->write_count, sizeof w);
    h->writes[h->write_count++] = w;
    return true;
}

static bool take_left(torture_history *h, const char *line)
{
    h->left = one_more(h->left, h->left_count, sizeof *h->left);
    snprintf(h->left[h->left_count++], sizeof *h->left, "%.159s", line);
    return true;
}

bool torture_history_read(const char *dir, torture_history *ret_history)
{
    torture_history h = {.modes_lock = -1,
                         .permits_lock = -1,
                         .call_slack_ms = 2000,
                         .calm_slack_ms = 400,
                         .aftermath_ms = 2500};
    char path[TORTURE_FILE_MAX];
    bool fine = read_lines(torture_path(path, dir, "run"), &h, take_run) && read_workers(dir, &h) &&
                read_lines(torture_path(path, dir, "faults"), &h, take_fault) &&
                read_lines(torture_path(path, dir, "resource"), &h, take_write) &&
                read_lines(torture_path(path, dir, "after"), &h, take_left);
    if (fine) *ret_history = h;
    if (!fine) torture_history_free(&h);
    return fine;
}

void torture_history_free(torture_history *history)
{
    for (size_t i = 0; i < history->life_count; i++) free(history->lives[i].records);
    free(history->lives);
    free(history->hits);
    free(history->pauses);
    free(history->hungers);
    free(history->writes);
    free(history->left);
}
