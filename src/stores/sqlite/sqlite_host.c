/* SPDX-License-Identifier: MIT */
/*
 * The row `host`: to which run of the kernel, and to which live file, the rows belong.
 *
 * After a reboot no earlier process is alive: every lock is free. But a boot id that differs does
 * not prove a reboot. A container may have one of its own (a file that is mounted over the
 * kernel's), and shares the kernel, its clock and perhaps this database with processes that
 * live. So:
 *
 *   - A locked byte in the live file that the database names belongs to a process that lives
 *     under this very kernel. Then nothing is freed, and nothing is done here.
 *   - If one of the two ids is not a kernel's own, the kernel may be the same. Then leases end by
 *     the clock or with their process, as always; only instants that this clock can hardly
 *     have meant are dropped.
 */
#define _GNU_SOURCE
#include "../../base/instant.h"
#include "sqlite_db.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LIVE_SUFFIX  "-live"
#define INDEX_SUFFIX "-shm"

#define SLACK_NS  (1000 * PAWL__NS_PER_MS)
#define BEYOND_NS (25 * INT64_C(3600000) * PAWL__NS_PER_MS) /* no ttl reaches it */

int pawl__sqlite_host_read(pawl__sqlite_db *db)
{
    sqlite3_stmt *st = pawl__sqlite_use(db, PAWL__ST_HOST_GET);
    if (!st) return sqlite3_extended_errcode(db->handle);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        const unsigned char *boot = sqlite3_column_text(st, 0);
        snprintf(db->host.boot, sizeof(db->host.boot), "%s", boot ? (const char *)boot : "");
        db->host.live_file = sqlite3_column_int64(st, 1);
        db->host.fence_floor = (uint64_t)sqlite3_column_int64(st, 2);
        db->host.fence_ceiling = (uint64_t)sqlite3_column_int64(st, 3);
    }
    int reset_rc = sqlite3_reset(st);
    db->kept.has_host = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        return db->host.fence_floor <= PAWL__SQLITE_FENCE_MAX ? SQLITE_OK : SQLITE_CORRUPT;
    return rc == SQLITE_DONE ? SQLITE_CORRUPT : reset_rc;
}

/* ---- Boots --------------------------------------------------------------------- */

static int write_boot(pawl__sqlite_db *db, pawl__sqlite_stmt id)
{
    sqlite3_stmt *st = pawl__sqlite_use(db, id);
    if (!st) return sqlite3_extended_errcode(db->handle);
    sqlite3_bind_text(st, 1, db->clock.boot_id, -1, SQLITE_STATIC);
    return pawl__sqlite_run(st);
}

/* The machine was started anew: no earlier process is alive, so no lease is left. */
static int drop_earlier_boot(pawl__sqlite_db *db)
{
    int rc = write_boot(db, PAWL__ST_HOST_BOOT);
    if (rc == SQLITE_OK) {
        rc = pawl__sqlite_run_int(db, PAWL__ST_LOCK_FREE_ALL, pawl__sqlite_clock_now(&db->clock));
    }
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_HOLD_DROP_ALL);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_WAIT_DROP_ALL);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_BROKEN_DROP_ALL);
    return rc;
}

/* It may be the same kernel with another id: leases that may still be valid are kept. */
static int take_over_boot(pawl__sqlite_db *db)
{
    int64_t beyond = pawl__sqlite_clock_now(&db->clock) + BEYOND_NS;
    int rc = write_boot(db, PAWL__ST_HOST_BOOT);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_int(db, PAWL__ST_LOCK_FREE_BEYOND, beyond);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_int(db, PAWL__ST_HOLD_DROP_BEYOND, beyond);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_int(db, PAWL__ST_WAIT_DROP_BEYOND, beyond);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_int(db, PAWL__ST_BROKEN_DROP_BEYOND, beyond);
    return rc;
}

static int refuse_boot(pawl__sqlite_db *db, const char *why)
{
    db->refusal.err = PAWL_ERR_UNSUPPORTED;
    pawl__sqlite_say(db->refusal.message,
                     "%s: %s under another boot id (%.36s) than this process sees (%.36s): a "
                     "container with a boot id of its own cannot share locks with the host; give "
                     "it the host's /proc/sys/kernel/random/boot_id, a file of its own, or "
                     "another store",
                     db->path, why, db->host.boot, db->clock.boot_id);
    return PAWL__SQLITE_OTHER_BOOT;
}

static void live_path(const pawl__sqlite_db *db, char *ret_path, size_t room)
{
    snprintf(ret_path, room, "%s" LIVE_SUFFIX, db->path);
}

/* Refuses while a process of the other id lives. *ret_ended: it is certain that none does. */
static int judge_other_boot(pawl__sqlite_db *db, bool *ret_ended)
{
    char path[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    pawl__live_look look;
    *ret_ended = true;
    if (db->host.boot[0] == '\0') return SQLITE_OK; /* it is new */
    live_path(db, path, sizeof(path));
    pawl__sqlite_live_look(path, &look);
    if (look.unknown) {
        return refuse_boot(db, "its -live file cannot be read, so processes may live that use it");
    }
    if (look.anybody && look.file_id != 0 && look.file_id == db->host.live_file) {
        return refuse_boot(db, "processes that live use it");
    }
    *ret_ended = pawl__sqlite_boot_is_kernels(db->host.boot) &&
                 pawl__sqlite_boot_is_kernels(db->clock.boot_id);
    return SQLITE_OK;
}

static int meet_other_boot(pawl__sqlite_db *db)
{
    bool ended;
    int rc = judge_other_boot(db, &ended);
    if (rc != SQLITE_OK) return rc;
    return ended ? drop_earlier_boot(db) : take_over_boot(db);
}

/* ---- The live file ------------------------------------------------------------- */

/* See sqlite_live.h: offsets are only good for the file whose id the database names. */
static int follow_live_file(pawl__sqlite_db *db)
{
    char path[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    int64_t file_id;
    live_path(db, path, sizeof(path));
    if (pawl__sqlite_live_open(&db->live, path, &db->identity, db->host.live_file, &file_id) < 0) {
        pawl__sqlite_live_lose(&db->live); /* the next transaction tries again; the doctor tells */
        return SQLITE_OK;
    }
    if (file_id == db->host.live_file) return SQLITE_OK;
    int rc = pawl__sqlite_run_int(db, PAWL__ST_HOST_LIVE, file_id);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_LOCK_UNTIE);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_HOLD_UNTIE);
    if (rc == SQLITE_OK) rc = pawl__sqlite_run_simple(db, PAWL__ST_WAIT_UNTIE);
    if (rc == SQLITE_OK) db->host.live_file = file_id;
    /* If this is rolled back the ids differ, and the next transaction tries again. */
    return rc;
}

bool pawl__sqlite_db_is_dead(pawl__sqlite_db *db, int64_t live)
{
    return db->live.file_id == db->host.live_file && pawl__sqlite_live_is_dead(&db->live, live);
}

/* ---- Another database in its place ----------------------------------------------- */

/* lstat: a link to our file would lead others to other files beside it. */
bool pawl__sqlite_db_is_current(const pawl__sqlite_db *db)
{
    struct stat st;
    return lstat(db->path, &st) == 0 && st.st_ino == db->identity.st_ino &&
           st.st_dev == db->identity.st_dev;
}

/*
 * Whoever opens the database after FILE-shm was removed makes another index of the log, and neither
 * side sees what the other writes; a commit or a copy of the log would even write over it.
 */
static bool find_index(const pawl__sqlite_db *db, pawl__sqlite_file *ret_index)
{
    char path[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    struct stat st;
    size_t len = strlen(db->path);
    memcpy(path, db->path, len);
    memcpy(path + len, INDEX_SUFFIX, sizeof(INDEX_SUFFIX));
    if (lstat(path, &st) < 0) return false;
    *ret_index = (pawl__sqlite_file){.dev = st.st_dev, .ino = st.st_ino};
    return true;
}

void pawl__sqlite_db_note_index(pawl__sqlite_db *db)
{
    pawl__sqlite_file index;
    if (!db->visitor.index.ino && find_index(db, &index))
        pawl__sqlite_gate_note_index(&db->visitor, index);
}

bool pawl__sqlite_db_has_index(const pawl__sqlite_db *db)
{
    const pawl__sqlite_file *ours = &db->visitor.index;
    pawl__sqlite_file found;
    return find_index(db, &found) && found.ino == ours->ino && found.dev == ours->dev;
}

/* Who may only look has no index before somebody has made one. */
bool pawl__sqlite_db_is_blind(const pawl__sqlite_db *db)
{
    return db->visitor.index.ino && !pawl__sqlite_db_has_index(db);
}

static int refuse_replaced(pawl__sqlite_db *db, int64_t until, const char *live)
{
    int name_len = (int)(strlen(live) - strlen(LIVE_SUFFIX));
    db->refused_until = until;
    db->refusal.err = PAWL_ERR_UNAVAILABLE;
    pawl__sqlite_say(db->refusal.message,
                     "%.*s was removed or replaced while locks were held in it: nothing is granted "
                     "until they have run out (if nobody works under them, remove %s)",
                     name_len, live, live);
    return PAWL__SQLITE_REPLACED;
}

static bool is_of_ours(const pawl__sqlite_db *db, const pawl__live_look *look)
{
    return look->term.inode == db->identity.st_ino && look->file_id == db->host.live_file;
}

/* Until when holders may believe in leases of the database that was there before; 0: none. */
static int64_t believed_until(const pawl__sqlite_db *db, const pawl__live_look *look)
{
    const pawl__term *term = &look->term;
    if (look->file_id == 0 || term->inode == 0) return 0; /* it tells nothing, or is a copy */
    if (!look->anybody && strcmp(term->boot, db->clock.boot_id) != 0) return 0; /* another boot */
    int64_t until = look->anybody ? pawl__instant_max(term->until, term->detached) : term->detached;
    int64_t now = pawl__sqlite_clock_now(&db->clock);
    return until > now && until < now + BEYOND_NS ? until : 0;
}

/* Who follows more links than the kernel does has not come to the database by them. */
#define LINKS_MAX 40

/*
 * Where a link leads to our database there may have been a database before: ours, moved away, or
 * another one. Who has that open writes to the log beside the link, which we do not read. live has
 * room for a path and a suffix; it receives the live file that tells so. 0: none does.
 */
static int64_t believed_beside_links(const pawl__sqlite_db *db, char *live, size_t room)
{
    char name[PATH_MAX], next[PATH_MAX];
    pawl__live_look look;
    snprintf(name, sizeof(name), "%s", db->wanted);
    for (int i = 0; i < LINKS_MAX; i++) {
        memcpy(next, name, sizeof(next));
        if (!pawl__sqlite_path_follow(next)) break;
        snprintf(live, room, "%s" LIVE_SUFFIX, name);
        pawl__sqlite_live_look(live, &look);
        int64_t until = believed_until(db, &look);
        if (until > 0) return until;
        memcpy(name, next, sizeof(name));
    }
    return 0;
}

/* Once after each opening: whether the database may be used already. */
static int meet_other_database(pawl__sqlite_db *db)
{
    char path[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    pawl__live_look look;
    live_path(db, path, sizeof(path));
    pawl__sqlite_live_look(path, &look);
    int64_t until = is_of_ours(db, &look) ? 0 : believed_until(db, &look);
    if (until == 0) until = believed_beside_links(db, path, sizeof(path));
    if (until > 0) return refuse_replaced(db, until, path);
    db->refused_until = 0;
    return SQLITE_OK;
}

/* From here on the live file describes our database. If it cannot be written, nothing is known. */
static void begin_term(pawl__sqlite_db *db)
{
    pawl__term *term = &db->term;
    db->term_begun = true;
    memset(term, 0, sizeof(*term));
    if (db->live.fd < 0) return;
    pawl__term_read(db->live.fd, term);
    if (term->inode == db->identity.st_ino && strcmp(term->boot, db->clock.boot_id) == 0) return;
    memset(term, 0, sizeof(*term));
    term->inode = db->identity.st_ino;
    snprintf(term->boot, sizeof(term->boot), "%s", db->clock.boot_id);
    (void)pawl__term_write(db->live.fd, term);
}

/* A little more than is needed, so that it need not be written each time. */
static void prolong(int64_t *at, int64_t needed, int64_t now)
{
    if (needed > *at) *at = needed + pawl__instant_min((needed - now) / 4, SLACK_NS);
}

/* Others write there, too, each before its transaction ends: it never goes back. */
static void write_term(pawl__sqlite_db *db)
{
    pawl__term *term = &db->term, found;
    int64_t now = pawl__sqlite_clock_now(&db->clock);
    pawl__term_read(db->live.fd, &found);
    if (found.inode == term->inode) {
        term->until = pawl__instant_max(term->until, found.until);
        term->detached = pawl__instant_max(term->detached, found.detached);
    }
    prolong(&term->until, db->tied_until, now);
    prolong(&term->detached, db->detached_until, now);
    (void)pawl__term_write(db->live.fd, term);
}

int pawl__sqlite_host_promise(pawl__sqlite_db *db)
{
    bool longer = db->tied_until > db->term.until || db->detached_until > db->term.detached;
    if (longer && db->live.fd >= 0) write_term(db);
    bool has_index = pawl__sqlite_db_has_index(db);
    if (has_index && db->gives_back && db->tied_until == 0 && db->detached_until == 0)
        return SQLITE_OK;
    if (has_index && pawl__sqlite_db_is_current(db)) return SQLITE_OK;
    db->refusal.err = PAWL_ERR_UNAVAILABLE;
    pawl__sqlite_say(db->refusal.message, "%s%s was removed or replaced", db->path,
                     has_index ? "" : INDEX_SUFFIX);
    return PAWL__SQLITE_REPLACED;
}

void pawl__sqlite_host_lease(pawl__sqlite_db *db, int64_t live, int64_t expires_at)
{
    int64_t *at = live == PAWL__LIVE_DETACHED ? &db->detached_until : &db->tied_until;
    *at = pawl__instant_max(*at, expires_at);
}

/* ---- Each transaction ------------------------------------------------------------ */

static int follow_live_and_term(pawl__sqlite_db *db)
{
    int rc = db->term_begun ? SQLITE_OK : meet_other_database(db);
    if (rc == SQLITE_OK && db->host.live_file != db->live.file_id) {
        rc = follow_live_file(db);
        db->term_begun = false;
    }
    if (rc == SQLITE_OK && !db->term_begun) begin_term(db);
    return rc;
}

int pawl__sqlite_host_follow(pawl__sqlite_db *db)
{
    db->tied_until = db->detached_until = 0;
    db->gives_back = false;
    int rc = db->kept.has_host ? SQLITE_OK : pawl__sqlite_host_read(db);
    if (rc == SQLITE_OK && strcmp(db->host.boot, db->clock.boot_id) != 0) {
        rc = meet_other_boot(db);
        if (rc == SQLITE_OK) rc = pawl__sqlite_host_read(db);
    }
    if (rc == SQLITE_OK && db->host.live_file == db->live.file_id) {
        pawl__sqlite_live_drop_previous(&db->live);
    }
    return rc == SQLITE_OK ? follow_live_and_term(db) : rc;
}

int pawl__sqlite_host_look(pawl__sqlite_db *db)
{
    char path[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    db->all_ended = false;
    if (strcmp(db->host.boot, db->clock.boot_id) != 0) {
        int rc = judge_other_boot(db, &db->all_ended);
        if (rc != SQLITE_OK) return rc;
    }
    live_path(db, path, sizeof(path));
    pawl__sqlite_live_open_to_look(&db->live, path, db->host.live_file);
    return SQLITE_OK;
}
