/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing the database, and its schema.
 *
 *   host   one row: which boot the dates belong to, which live file the offsets
 *          belong to, and the bounds of the fences
 *   lock   one row per name that is held, waited for, or was held lately: who holds it alone,
 *          or that those who hold it together stand in hold
 *   hold   those who hold a name together, and who has changed its mode
 *   wait   the queues: per name in order of seq
 *   broken who broke which lease lately: per name in order of seq
 */
#define _GNU_SOURCE
#include "sqlite_db.h"

#include "../../base/instant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define OPEN_BUSY_NS (2000 * PAWL__NS_PER_MS) /* another process is creating it, or is stuck */

/*
 * Of a new file. Each commit writes whole pages, and adds up their bytes. In half of this size many
 * rows did not fit, and would need pages of their own.
 */
#define PAGE_SIZE "PRAGMA page_size = 2048"

static const char schema[] =
    "CREATE TABLE host("
    " one INTEGER PRIMARY KEY CHECK(one = 1),"
    " boot TEXT NOT NULL,"
    " live_file INTEGER NOT NULL,"
    " fence_floor INTEGER NOT NULL,"
    " fence_ceiling INTEGER NOT NULL);"
    "INSERT INTO host VALUES(1, '', 0, 0, 0);"
    "CREATE TABLE lock("
    " name BLOB PRIMARY KEY,"
    " token TEXT," /* NULL: free; empty: those who hold it are in hold */
    " client TEXT NOT NULL,"
    " owner TEXT NOT NULL,"
    " fence INTEGER NOT NULL,"
    " expires_at INTEGER NOT NULL," /* ns of CLOCK_BOOTTIME; when free: since then */
    " live INTEGER NOT NULL,"       /* byte in the live file; 0 detached, -1 unknown */
    " pid INTEGER NOT NULL,"
    " pid_ns INTEGER NOT NULL,"
    " published INTEGER,"        /* the number of a lease's latest publication */
    " published_fence INTEGER,"  /* of that lease, which may be over, or in hold meanwhile */
    " look_at INTEGER NOT NULL)" /* until then the row is not old */
    " WITHOUT ROWID;"
    "CREATE INDEX lock_look ON lock(look_at);" /* changes seldom, other than expires_at */
    "CREATE TABLE hold("
    " name BLOB NOT NULL,"
    " fence INTEGER NOT NULL,"
    " token TEXT NOT NULL,"
    " client TEXT NOT NULL,"
    " owner TEXT NOT NULL,"
    " expires_at INTEGER NOT NULL,"
    " live INTEGER NOT NULL,"
    " pid INTEGER NOT NULL,"
    " pid_ns INTEGER NOT NULL,"
    " mode INTEGER NOT NULL," /* pawl_mode */
    " units INTEGER NOT NULL,"
    " capacity INTEGER NOT NULL,"      /* 0: it is a lock */
    " change INTEGER NOT NULL,"        /* the latest that was carried out */
    " upgrade_until INTEGER NOT NULL," /* the end of its place to be upgraded; 0: none */
    " slots BLOB NOT NULL,"            /* a bit for each, the first is the lowest of byte 0 */
    " published INTEGER NOT NULL,"     /* the number of its latest publication */
    " PRIMARY KEY(name, fence)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX hold_token ON hold(name, token);"
    "CREATE INDEX hold_end ON hold(name, expires_at);"
    "CREATE INDEX hold_strong ON hold(name) WHERE mode <> 1;" /* all but readers */
    "CREATE TABLE wait("
    " name BLOB NOT NULL,"
    " seq INTEGER NOT NULL,"
    " token TEXT NOT NULL,"
    " client TEXT NOT NULL,"
    " owner TEXT NOT NULL,"
    " since_at INTEGER NOT NULL,"
    " until_at INTEGER NOT NULL,"
    " ttl_ns INTEGER NOT NULL,"
    " detached INTEGER NOT NULL,"
    " live INTEGER NOT NULL,"
    " pid INTEGER NOT NULL,"
    " pid_ns INTEGER NOT NULL,"
    " mode INTEGER NOT NULL,"
    " units INTEGER NOT NULL,"
    " capacity INTEGER NOT NULL,"
    " PRIMARY KEY(name, seq)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX wait_token ON wait(name, token);"
    "CREATE TABLE broken("
    " name BLOB NOT NULL,"
    " seq INTEGER NOT NULL,"
    " token TEXT NOT NULL," /* of the lease that was broken */
    " owner TEXT NOT NULL," /* who broke it */
    " fence INTEGER NOT NULL,"
    " at INTEGER NOT NULL,"
    " until_at INTEGER NOT NULL," /* the note's end */
    " PRIMARY KEY(name, seq)) WITHOUT ROWID;";

/*
 * Room for the day on which the disk is full: pages that the database has and does not use,
 * and a log that has been so long once. A lock that is held can then be renewed and released
 * in what is there (pawl__sqlite_make_room). Without it pawl works as well.
 */
static const char *const reserve[] = {
    "CREATE TABLE room(x); INSERT INTO room VALUES(zeroblob(131072))",
    "DROP TABLE room",
};

void pawl__sqlite_db_init(pawl__sqlite_db *db, atomic_bool *stop)
{
    memset(db, 0, sizeof(*db));
    pawl__sqlite_inbox_init(&db->inbox);
    db->stop = stop;
    pawl__sqlite_live_init(&db->live);
    if (getrandom(&db->random, sizeof(db->random), 0) < 0) db->random = (uint64_t)getpid();
}

/* ---- What is in the file ------------------------------------------------------- */

/* The first column of the first row of a statement without parameters. */
static int query_int(pawl__sqlite_db *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL);
    if (rc != SQLITE_OK) return sqlite3_extended_errcode(db->handle);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *ret_value = sqlite3_column_int64(st, 0);
    int final_rc = sqlite3_finalize(st);
    if (rc == SQLITE_ROW) return SQLITE_OK;
    return final_rc != SQLITE_OK ? final_rc : SQLITE_CORRUPT;
}

typedef struct header {
    int64_t application_id, version, objects;
} header;

static int read_header(pawl__sqlite_db *db, header *ret_header)
{
    int rc = query_int(db, "PRAGMA application_id", &ret_header->application_id);
    if (rc == SQLITE_OK) rc = query_int(db, "PRAGMA user_version", &ret_header->version);
    if (rc == SQLITE_OK) {
        rc = query_int(db, "SELECT count(*) FROM sqlite_schema", &ret_header->objects);
    }
    return rc;
}

/* Reads all of it at one moment, because another process may be creating it. */
static int look_at_header(pawl__sqlite_db *db, header *ret_header)
{
    int rc = sqlite3_exec(db->handle, "BEGIN", NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = read_header(db, ret_header);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    pawl__sqlite_rollback(db);
    return rc;
}

static bool header_fits(const pawl__sqlite_db *db, const header *found,
                        pawl__sqlite_fault *ret_fault)
{
    if (found->application_id != PAWL__SQLITE_APPLICATION_ID) {
        ret_fault->err = PAWL_ERR_WRONG_TYPE;
        pawl__sqlite_say(
            ret_fault->message,
            "%s is the SQLite database of another program: name a file of its own for pawl",
            db->path);
        return false;
    }
    if (found->version != PAWL__SQLITE_VERSION) {
        ret_fault->err = PAWL_ERR_VERSION;
        pawl__sqlite_say(
            ret_fault->message,
            "%s has format %lld, this pawl knows format %d: use one version of pawl per file, or "
            "move the file away while nobody holds a lock in it",
            db->path, (long long)found->version, PAWL__SQLITE_VERSION);
        return false;
    }
    return true;
}

/* In one transaction; a process that creates it at the same time waits and then finds it done. */
static int create_schema(pawl__sqlite_db *db)
{
    char ids[128];
    header found = {0};
    int rc = sqlite3_exec(db->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK) return sqlite3_extended_errcode(db->handle);
    rc = read_header(db, &found);
    if (rc == SQLITE_OK && found.objects == 0) {
        snprintf(ids, sizeof(ids), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 PAWL__SQLITE_APPLICATION_ID, PAWL__SQLITE_VERSION);
        rc = sqlite3_exec(db->handle, schema, NULL, NULL, NULL);
        if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, ids, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK) rc = sqlite3_extended_errcode(db->handle);
    pawl__sqlite_rollback(db);
    return rc;
}

/* Each step is a transaction of its own: a table that one makes and drops is never written. */
static void reserve_room(pawl__sqlite_db *db)
{
    for (size_t i = 0; i < sizeof(reserve) / sizeof(reserve[0]); i++) {
        int rc = sqlite3_exec(db->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, reserve[i], NULL, NULL, NULL);
        if (rc == SQLITE_OK) rc = sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
        pawl__sqlite_rollback(db);
        if (rc != SQLITE_OK) return;
    }
    (void)sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* ---- Opening ------------------------------------------------------------------- */

/* For the step to WAL SQLite does not ask the busy handler: it might deadlock. We ask it. */
static int enter_wal(pawl__sqlite_db *db)
{
    int rc;
    for (int tries = 0;; tries++) {
        rc = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xFF) != SQLITE_BUSY || !pawl__sqlite_on_busy(db, tries)) break;
    }
    return rc == SQLITE_OK ? rc : sqlite3_extended_errcode(db->handle);
}

static int on_commit(void *ctx, sqlite3 *handle, const char *name, int pages)
{
    pawl__sqlite_db *db = ctx;
    (void)handle;
    (void)name;
    db->wal_pages = pages;
    if (pages < db->copied_pages) db->copied_pages = 0; /* the log has started over */
    return SQLITE_OK;
}

static int configure(pawl__sqlite_db *db)
{
    int keep = 1;
    sqlite3_busy_handler(db->handle, pawl__sqlite_on_busy, db);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* Short-lived programs open and close often: the last one does not copy the log. */
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    /* Checkpoints run after the replies have left (sqlite_worker.c), not inside a commit. */
    sqlite3_wal_hook(db->handle, on_commit, db);
    return sqlite3_exec(db->handle, "PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY", NULL,
                        NULL, NULL);
}

/* In SQLite's file format. */
#define WRITE_VERSION_AT  18
#define WRITE_VERSION_WAL 2

/* Reads it from the file, through SQLite's descriptor: closing another one would drop locks. */
static bool is_in_wal_mode(const pawl__sqlite_db *db)
{
    sqlite3_file *file = NULL;
    unsigned char write_version = 0;
    int rc = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc != SQLITE_OK || !file || !file->pMethods) return false;
    rc = file->pMethods->xRead(file, &write_version, 1, WRITE_VERSION_AT);
    return rc == SQLITE_OK && write_version == WRITE_VERSION_WAL;
}

/*
 * Before anything is read. Where SQLite finds no log it makes one, if the directory lets it; the
 * files would be this user's own, and keep out those who may lock.
 */
static int check_look_makes_no_files(const pawl__sqlite_db *db)
{
    char unused[PAWL_MESSAGE_MAX];
    bool is_there = pawl__sqlite_path_check_readable(db->path, unused) == 0;
    return is_there || !is_in_wal_mode(db) ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int open_file(pawl__sqlite_db *db)
{
    int rc = sqlite3_open_v2(db->path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                 SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (db->handle)
        pawl__sqlite_gate_add(&db->visitor, (pawl__sqlite_file){.dev = db->identity.st_dev,
                                                                .ino = db->identity.st_ino});
    if (rc != SQLITE_OK) return rc;
    /* NOMUTEX is right since only the worker comes here. */
    db->looks_only = sqlite3_db_readonly(db->handle, "main") == 1;
    rc = db->looks_only ? check_look_makes_no_files(db) : SQLITE_OK;
    return rc == SQLITE_OK ? configure(db) : rc;
}

/* ---- Where one may only read --------------------------------------------------- */

#define MAY_LOOK_ONLY                                                                              \
    "only ls, show and doctor work here. To lock, this user must be able to write the file, "      \
    "those "                                                                                       \
    "beside it and their directory"

/* The answer to every request to write. A long path is cut, not the advice behind it. */
static void say_what_is_missing(pawl__sqlite_db *db, const char *wanted)
{
    char why[PAWL_MESSAGE_MAX];
    pawl__sqlite_fault *lacks = &db->lacks;
    *lacks = (pawl__sqlite_fault){.err = PAWL_ERR_PERMISSION};
    if (pawl__sqlite_path_check_writable(db->path, why) == 0)
        pawl__sqlite_say(why, "cannot write %s", db->path);
    pawl__sqlite_say(lacks->message, "%.300s: " MAY_LOOK_ONLY, why);
    pawl__sqlite_path_advise(wanted, lacks->message);
}

/*
 * SQLite reads a database in WAL mode by way of its log. The file alone (immutable=1) will not do:
 * what was committed last stands in the log only.
 */
static void explain_blindness(const pawl__sqlite_db *db, int rc, pawl__sqlite_fault *ret_fault)
{
    char why[PAWL_MESSAGE_MAX];
    pawl__sqlite_fault_of(db, rc, ret_fault);
    bool is_files = (rc & 0xFF) == SQLITE_CANTOPEN || (rc & 0xFF) == SQLITE_READONLY ||
                    (rc & 0xFF) == SQLITE_IOERR;
    if (!is_files) return;
    if (pawl__sqlite_path_check_readable(db->path, why) == 0)
        pawl__sqlite_say(why, "%s: its log is not in order", db->path);
    ret_fault->err = PAWL_ERR_PERMISSION;
    pawl__sqlite_say(ret_fault->message,
                     "%.300s: this user cannot even look; let one who may write the files run "
                     "pawl doctor on them, then look again",
                     why);
}

/* Reads once what INSPECT and LIST read: if the store comes up, they work. */
static bool open_to_look(pawl__sqlite_db *db, const char *wanted, const header *found,
                         pawl__sqlite_fault *ret_fault)
{
    db->looks_only = true;
    if (found->objects == 0 && found->application_id == 0) {
        ret_fault->err = PAWL_ERR_PERMISSION;
        pawl__sqlite_say(ret_fault->message,
                         "%s is empty, and this user may not write it: there is nothing to look "
                         "at before somebody has locked there",
                         db->path);
        return false;
    }
    if (!header_fits(db, found, ret_fault)) return false;
    int rc = pawl__sqlite_use(db, PAWL__ST_ROLLBACK) ? pawl__sqlite_begin_read(db)
                                                     : sqlite3_extended_errcode(db->handle);
    if (rc != SQLITE_OK) {
        explain_blindness(db, rc, ret_fault);
        return false;
    }
    pawl__sqlite_rollback(db);
    say_what_is_missing(db, wanted);
    return true;
}

/* ---- Where one may write ------------------------------------------------------- */

static bool open_database(pawl__sqlite_db *db, const char *wanted, pawl__sqlite_fault *ret_fault)
{
    header found = {0};
    int rc = open_file(db);
    if (rc == SQLITE_OK) rc = look_at_header(db, &found);
    if (rc == SQLITE_OK) pawl__sqlite_db_note_index(db); /* a new database has none yet */
    if (db->looks_only && rc == SQLITE_OK) return open_to_look(db, wanted, &found, ret_fault);
    if (db->looks_only) {
        explain_blindness(db, rc, ret_fault);
        return false;
    }
    if (rc == SQLITE_OK && found.objects == 0 && found.application_id == 0) {
        rc = sqlite3_exec(db->handle, PAGE_SIZE, NULL, NULL, NULL);
        if (rc == SQLITE_OK) rc = enter_wal(db);
        if (rc == SQLITE_OK) rc = create_schema(db);
        if (rc == SQLITE_OK) reserve_room(db);
        if (rc == SQLITE_OK) rc = look_at_header(db, &found);
    }
    if (rc == SQLITE_OK && !header_fits(db, &found, ret_fault)) return false;
    if (rc == SQLITE_OK) rc = enter_wal(db);
    /* Needed when memory is out: a transaction that cannot be ended locks everybody out. */
    if (rc == SQLITE_OK && !pawl__sqlite_use(db, PAWL__ST_ROLLBACK))
        rc = sqlite3_extended_errcode(db->handle);
    if (rc == SQLITE_OK) pawl__sqlite_db_note_index(db);
    /* The first write transaction: boot id and live file are brought up to date. */
    if (rc == SQLITE_OK) rc = pawl__sqlite_begin_write(db);
    if (rc == SQLITE_OK) rc = pawl__sqlite_commit(db);
    if (rc == SQLITE_OK) return true;
    /* The file may be written, and its log may not. */
    if ((rc & 0xFF) == SQLITE_READONLY && found.objects > 0)
        return open_to_look(db, wanted, &found, ret_fault);
    pawl__sqlite_fault_of(db, rc, ret_fault);
    return false;
}

/* A CANTOPEN of SQLite has many reasons: look for the one that people can mend. */
static void explain(const pawl__sqlite_db *db, pawl__sqlite_fault *fault)
{
    char message[PAWL_MESSAGE_MAX];
    if (db->looks_only) return; /* lacks says why already */
    switch (fault->err) {
    case PAWL_ERR_READONLY:
    case PAWL_ERR_PERMISSION:
    case PAWL_ERR_SYSTEM:
    case PAWL_ERR_UNAVAILABLE: {
        int err = pawl__sqlite_path_check_writable(db->path, message);
        if (err == 0) return;
        fault->err = (pawl_err)err;
        memcpy(fault->message, message, sizeof(message));
        return;
    }
    default:
        return;
    }
}

static int64_t pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (int64_t)st.st_ino : 0;
}

static int prepare_path(pawl__sqlite_db *db, const char *wanted, mode_t mode, char *reterr_message)
{
    int rc;
    for (int tries = 0;; tries++) {
        rc = pawl__sqlite_path_prepare(wanted, mode, db->path, &db->identity, reterr_message);
        if (rc != PAWL_ERR_STORE_BUSY || !pawl__sqlite_on_busy(db, tries)) return rc;
    }
}

bool pawl__sqlite_db_open(pawl__sqlite_db *db, const char *wanted, mode_t mode,
                          pawl__sqlite_fault *ret_fault)
{
    int rc = pawl__sqlite_clock_init(&db->clock, ret_fault->message);
    db->term_begun = db->gave_way = false;
    db->kept = (pawl__kept){.has_host = false};
    db->looks_only = db->all_ended = false;
    db->refused_until = 0;
    db->busy_until = pawl__sqlite_clock_local() + OPEN_BUSY_NS;
    if (rc == 0 && !sqlite3_threadsafe()) {
        rc = PAWL_ERR_UNSUPPORTED;
        pawl__sqlite_say(ret_fault->message, "libsqlite3 was built without threads");
    }
    if (rc == 0) {
        rc = pawl__sqlite_path_choose(wanted, db->wanted, ret_fault->message);
        if (rc == 0) rc = prepare_path(db, wanted, mode, ret_fault->message);
        if (rc != 0) pawl__sqlite_path_advise(wanted, ret_fault->message);
    }
    if (rc != 0) {
        ret_fault->err = (pawl_err)rc;
        /* The directory of the file does not exist. */
        ret_fault->final = rc == PAWL_ERR_UNAVAILABLE || rc == PAWL_ERR_READONLY;
        return false;
    }
    db->pid = getpid();
    db->pid_ns = pid_namespace();
    if (!open_database(db, wanted, ret_fault)) {
        explain(db, ret_fault);
        ret_fault->final = ret_fault->err == PAWL_ERR_READONLY;
        pawl__sqlite_path_advise(wanted, ret_fault->message);
        pawl__sqlite_db_close(db);
        return false;
    }
    return true;
}

bool pawl__sqlite_db_need_inbox(pawl__sqlite_db *db)
{
    char dir_path[PATH_MAX + PAWL__SQLITE_SUFFIX_ROOM];
    if (db->inbox.dir_fd >= 0) return true;
    snprintf(dir_path, sizeof(dir_path), "%s-inbox", db->path);
    return pawl__sqlite_inbox_open(&db->inbox, dir_path, &db->identity) == 0;
}

static void finalize_all(pawl__sqlite_db *db)
{
    for (size_t i = 0; i < PAWL__ST_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
}

void pawl__sqlite_db_abandon(pawl__sqlite_visitor *copy)
{
    pawl__sqlite_db *db = pawl__container(copy, pawl__sqlite_db, visitor);
    finalize_all(db);
    sqlite3_close(db->handle); /* writes nothing: SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE */
    db->handle = NULL;
}

void pawl__sqlite_db_close(pawl__sqlite_db *db)
{
    finalize_all(db);
    if (db->handle) {
        pawl__sqlite_checkpoint_if_last(db);
        sqlite3_close(db->handle);
        pawl__sqlite_gate_remove(&db->visitor);
    }
    db->handle = NULL;
    pawl__sqlite_inbox_close(&db->inbox);
    bool has_byte = db->live.offset > 0 || db->live.old_fd >= 0;
    if (db->looks_only && !has_byte) pawl__sqlite_live_close(&db->live);
}
