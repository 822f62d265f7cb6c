/* SPDX-License-Identifier: MIT */
/*
 * The database file: opening, schema, transactions, prepared statements. All of
 * it blocks and runs on the worker only.
 */
#ifndef PAWL_SQLITE_DB_H
#define PAWL_SQLITE_DB_H

#include "sqlite_clock.h"
#include "sqlite_gate.h"
#include "sqlite_inbox.h"
#include "sqlite_kept.h"
#include "sqlite_live.h"
#include "sqlite_path.h"

#include <sqlite3.h>
#include <stdatomic.h>

#define PAWL__SQLITE_APPLICATION_ID 0x7061776C /* "pawl" */
#define PAWL__SQLITE_VERSION        6          /* user_version of the schema below */

#define PAWL__HOLD_COLUMNS                                                                         \
    "fence, token, client, owner, expires_at, live, pid, pid_ns, mode, units, capacity, change,"   \
    " upgrade_until, slots, published"
#define PAWL__WAIT_COLUMNS                                                                         \
    "seq, token, client, owner, since_at, until_at, ttl_ns, detached, live, pid, pid_ns, mode,"    \
    " units, capacity"

/* Every statement that is kept prepared. ?1 is the name, if the statement has one. */
#define PAWL__SQLITE_STATEMENTS(X)                                                                 \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                              \
    X(BEGIN_READ, "BEGIN")                                                                         \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(HOST_GET, "SELECT boot, live_file, fence_floor, fence_ceiling FROM host WHERE one = 1")      \
    X(HOST_BOOT, "UPDATE host SET boot = ?1, fence_floor = max(fence_floor, fence_ceiling)")       \
    X(HOST_LIVE, "UPDATE host SET live_file = ?1")                                                 \
    X(HOST_FLOOR, "UPDATE host SET fence_floor = max(fence_floor, ?1)")                            \
    X(HOST_CEILING, "UPDATE host SET fence_ceiling = max(fence_ceiling, ?1)")                      \
    X(LOCK_GET, "SELECT token, client, owner, fence, expires_at, live, pid, pid_ns"                \
                " FROM lock WHERE name = ?1")                                                      \
    X(LOCK_ADD, "INSERT INTO lock(name, token, client, owner, fence, expires_at, live, pid, "      \
                "pid_ns, look_at)"                                                                 \
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                                \
    X(LOCK_SET,                                                                                    \
      "UPDATE lock SET token = ?2, client = ?3, owner = ?4, fence = ?5, expires_at = ?6,"          \
      " live = ?7, pid = ?8, pid_ns = ?9 WHERE name = ?1")                                         \
    X(LOCK_PUBLISHED, "SELECT published FROM lock WHERE name = ?1 AND published_fence = ?2")       \
    X(LOCK_EXTEND, "UPDATE lock SET expires_at = ?2, live = ?3 WHERE name = ?1")                   \
    X(LOCK_FREE, "UPDATE lock SET token = NULL, expires_at = ?2 WHERE name = ?1")                  \
    X(LOCK_FREE_ALL, "UPDATE lock SET token = NULL, expires_at = ?1, look_at = ?1")                \
    X(LOCK_FREE_BEYOND,                                                                            \
      "UPDATE lock SET token = iif(token = '', '', NULL), expires_at = 0, look_at = 0"             \
      " WHERE expires_at > ?1")                                                                    \
    X(LOCK_UNTIE, "UPDATE lock SET live = -1 WHERE live > 0")                                      \
    X(LOCK_OLD, "SELECT name FROM lock WHERE look_at < ?1 ORDER BY look_at LIMIT ?2")              \
    X(LOCK_PUT_OFF, "UPDATE lock SET look_at = ?2 WHERE name = ?1")                                \
    X(LOCK_DELETE, "DELETE FROM lock WHERE name = ?1 AND token IS NULL"                            \
                   " AND NOT EXISTS (SELECT 1 FROM wait WHERE name = ?1)")                         \
    X(LOCK_NEXT, "SELECT name FROM lock WHERE name > ?1 ORDER BY name LIMIT 1")                    \
    X(LOCK_COUNT, "SELECT count(*), count(token), max(fence) FROM lock")                           \
    X(HOLD_OF, "SELECT " PAWL__HOLD_COLUMNS " FROM hold WHERE name = ?1 AND token = ?2")           \
    X(HOLD_AFTER, "SELECT " PAWL__HOLD_COLUMNS                                                     \
                  " FROM hold WHERE name = ?1 AND fence > ?2 ORDER BY fence LIMIT 1")              \
    X(HOLD_BEFORE, "SELECT " PAWL__HOLD_COLUMNS                                                    \
                   " FROM hold WHERE name = ?1 AND fence < ?2 ORDER BY fence DESC LIMIT 1")        \
    X(HOLD_STRONG, "SELECT " PAWL__HOLD_COLUMNS                                                    \
                   " FROM hold WHERE name = ?1 AND mode <> 1 ORDER BY fence DESC LIMIT 1")         \
    X(HOLD_FIRST_END,                                                                              \
      "SELECT " PAWL__HOLD_COLUMNS " FROM hold WHERE name = ?1 ORDER BY expires_at LIMIT 1")       \
    X(HOLD_LAST_END, "SELECT max(expires_at) FROM hold WHERE name = ?1")                           \
    X(HOLD_SLOTS, "SELECT slots, capacity FROM hold WHERE name = ?1")                              \
    X(HOLD_COUNT_NAME, "SELECT count(*) FROM hold WHERE name = ?1")                                \
    X(HOLD_ADD, "INSERT INTO hold(name, " PAWL__HOLD_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6,"    \
                " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)")                                 \
    X(HOLD_PUT, "UPDATE hold SET client = ?3, owner = ?4, expires_at = ?5, live = ?6, pid = ?7,"   \
                " pid_ns = ?8, change = ?9, upgrade_until = ?10 WHERE name = ?1 AND fence = ?2")   \
    X(HOLD_EXTEND, "UPDATE hold SET expires_at = ?3, live = ?4 WHERE name = ?1 AND fence = ?2")    \
    X(HOLD_MODE, "UPDATE hold SET mode = ?3 WHERE name = ?1 AND fence = ?2")                       \
    X(HOLD_DROP, "DELETE FROM hold WHERE name = ?1 AND fence = ?2")                                \
    X(HOLD_DROP_NAME, "DELETE FROM hold WHERE name = ?1")                                          \
    X(HOLD_DROP_ALL, "DELETE FROM hold")                                                           \
    X(HOLD_DROP_BEYOND, "DELETE FROM hold WHERE expires_at > ?1")                                  \
    X(HOLD_UNTIE, "UPDATE hold SET live = -1 WHERE live > 0")                                      \
    X(WAIT_FIRST,                                                                                  \
      "SELECT " PAWL__WAIT_COLUMNS " FROM wait WHERE name = ?1 AND seq > ?2 ORDER BY seq LIMIT 1") \
    X(WAIT_BEFORE, "SELECT " PAWL__WAIT_COLUMNS                                                    \
                   " FROM wait WHERE name = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 1")            \
    X(WAIT_OF, "SELECT " PAWL__WAIT_COLUMNS " FROM wait WHERE name = ?1 AND token = ?2")           \
    X(WAIT_ADD, "INSERT INTO wait(name, " PAWL__WAIT_COLUMNS ") VALUES(?1,"                        \
                " (SELECT coalesce(max(seq), 0) + 1 FROM wait WHERE name = ?1), ?2, ?3, ?4, ?5,"   \
                " ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) RETURNING seq")                         \
    X(WAIT_REFRESH, "UPDATE wait SET until_at = ?3, ttl_ns = ?4, detached = ?5, client = ?6,"      \
                    " live = ?7, pid = ?8, pid_ns = ?9 WHERE name = ?1 AND seq = ?2")              \
    X(WAIT_DROP, "DELETE FROM wait WHERE name = ?1 AND seq = ?2")                                  \
    X(WAIT_DROP_ALL, "DELETE FROM wait")                                                           \
    X(WAIT_DROP_BEYOND, "DELETE FROM wait WHERE until_at > ?1")                                    \
    X(WAIT_UNTIE, "UPDATE wait SET live = -1 WHERE live > 0")                                      \
    X(WAIT_RANK, "SELECT count(*) FROM wait WHERE name = ?1 AND seq < ?2")                         \
    X(WAIT_COUNT, "SELECT count(*) FROM wait")                                                     \
    X(BROKEN_ADD, "INSERT INTO broken(name, seq, token, owner, fence, at, until_at) VALUES(?1,"    \
                  " (SELECT coalesce(max(seq), 0) + 1 FROM broken WHERE name = ?1), ?2, ?3, ?4,"   \
                  " ?5, ?6)")                                                                      \
    X(BROKEN_DROP, "DELETE FROM broken WHERE name = ?1 AND seq <= (SELECT max(seq) - ?2"           \
                   " FROM broken WHERE name = ?1)")                                                \
    X(BROKEN_DROP_OLD, "DELETE FROM broken WHERE until_at <= ?1")                                  \
    X(BROKEN_DROP_BEYOND, "DELETE FROM broken WHERE until_at > ?1")                                \
    X(BROKEN_DROP_ALL, "DELETE FROM broken")                                                       \
    X(BROKEN_LATEST, "SELECT owner, fence, at FROM broken WHERE name = ?1 AND until_at > ?2"       \
                     " ORDER BY seq DESC LIMIT 1")                                                 \
    X(BROKEN_OF, "SELECT owner, fence, at FROM broken WHERE name = ?1 AND until_at > ?2"           \
                 " AND token = ?3")

typedef enum pawl__sqlite_stmt {
#define PAWL__SQLITE_STMT_ENUM(id, sql) PAWL__ST_##id,
    PAWL__SQLITE_STATEMENTS(PAWL__SQLITE_STMT_ENUM)
#undef PAWL__SQLITE_STMT_ENUM
        PAWL__ST_COUNT
} pawl__sqlite_stmt;

/* A clock in us reaches it in 2255; doubles and JSON are exact so far. */
#define PAWL__SQLITE_FENCE_MAX (UINT64_C(1) << 53)

/* A failure in words. */
typedef struct pawl__sqlite_fault {
    pawl_err err;
    bool final; /* waiting does not help, although the class of err says so */
    char message[PAWL_MESSAGE_MAX];
} pawl__sqlite_fault;

/* The one row of `host`, as read at the beginning of the present transaction. */
typedef struct pawl__sqlite_host_row {
    char boot[PAWL__BOOT_ROOM];
    int64_t live_file;
    uint64_t fence_floor; /* every fence of a deleted row is at most this */
    uint64_t
        fence_ceiling; /* every fence ever granted is below this; written through to the disk */
} pawl__sqlite_host_row;

typedef struct pawl__sqlite_db {
    pawl__sqlite_visitor visitor; /* from open to close */
    sqlite3 *handle;              /* NULL: closed */
    sqlite3_stmt *statements[PAWL__ST_COUNT];
    pawl__sqlite_clock clock;
    pawl__sqlite_live live;
    pawl__sqlite_inbox inbox;
    pawl__sqlite_host_row host;
    pawl__kept kept;
    char path[PATH_MAX];
    char wanted[PATH_MAX]; /* as it was asked for: perhaps a symbolic link to path */
    struct stat identity;  /* of the file that we opened */
    int64_t pid, pid_ns;   /* ours, for those who watch for our death */
    int64_t busy_until;    /* local instant: we stop waiting for a busy database */
    bool impatient;        /* do not wait for a busy database */
    bool gave_way;         /* since opening began, we stopped waiting because a fork waits */
    uint64_t random;       /* of the busy handler's jitter */
    atomic_bool *stop;     /* set: give up waiting now */
    uint64_t fence_wanted; /* the fence for which PAWL__SQLITE_NEEDS_CEILING was returned */
    pawl__term term;       /* the contents of the live file, as far as we know */
    bool term_begun;       /* since the file was opened, it describes our database */
    int64_t tied_until, detached_until; /* ends of leases that this transaction grants; 0: none */
    bool gives_back;                    /* nobody gets anything by it, unless one of them is set */
    int64_t refused_until;      /* REPLACED: when the leases of the other file have run out */
    int wal_pages;              /* in the log after the latest commit */
    int copied_pages;           /* in the log when we last tried to copy it back; 0: not this one */
    bool looks_only;            /* this user may read the files, but not write all of them */
    pawl__sqlite_fault lacks;   /* then this answers every request to write */
    bool all_ended;             /* with looks_only: the rows are from an earlier boot */
    pawl__sqlite_fault refusal; /* why, when the result is one of ours, not of SQLite */
} pawl__sqlite_db;

void pawl__sqlite_db_init(pawl__sqlite_db *db, atomic_bool *stop);

/*
 * Opens `wanted` (see sqlite_path.h), creates the schema if the file is empty, and locks the live
 * byte if the filesystem allows that. If the user may only read, it is open for INSPECT, LIST and
 * DOCTOR, and db->looks_only is set: nothing is written then. false: *ret_fault says why, and
 * nothing is open.
 */
bool pawl__sqlite_db_open(pawl__sqlite_db *db, const char *wanted, mode_t mode,
                          pawl__sqlite_fault *ret_fault);
/* Opens the directory of the inboxes, unless it is open. false: errno says why. */
bool pawl__sqlite_db_need_inbox(pawl__sqlite_db *db);
/* Closes all except the live file, because closing that would tell others that our leases are over.
 */
void pawl__sqlite_db_close(pawl__sqlite_db *db);

/* In a child of fork: closes its copy of the connection, see sqlite_gate.h. */
void pawl__sqlite_db_abandon(pawl__sqlite_visitor *copy);

/* Whether the path still leads to the file that we have open. */
bool pawl__sqlite_db_is_current(const pawl__sqlite_db *db);
/* Once the log is open: notes which index SQLite has for it. */
void pawl__sqlite_db_note_index(pawl__sqlite_db *db);
/* Whether others would find that index, too. If not, nothing may be written any more. */
bool pawl__sqlite_db_has_index(const pawl__sqlite_db *db);
/* Whether what is read by our index may be old, because others have another one. */
bool pawl__sqlite_db_is_blind(const pawl__sqlite_db *db);

/* These are not SQLite results. The database belongs to another run of the kernel, whose processes
 * live. */
#define PAWL__SQLITE_OTHER_BOOT (1 << 21)
/* The file at the path is not the one that we have open, or took the place of one in use. */
#define PAWL__SQLITE_REPLACED   (1 << 22)

/*
 * Begins a write transaction; waits for others until busy_until. Notices a reboot
 * (every row of an earlier boot is dropped) and a replaced live file. Returns an
 * SQLite result or PAWL__SQLITE_OTHER_BOOT or _REPLACED.
 */
int pawl__sqlite_begin_write(pawl__sqlite_db *db);
int pawl__sqlite_begin_read(pawl__sqlite_db *db);
int pawl__sqlite_commit(pawl__sqlite_db *db);
void pawl__sqlite_rollback(pawl__sqlite_db *db);

/* The row `host` (sqlite_host.c): reads it; reads it and brings boot and live file up to date. */
int pawl__sqlite_host_read(pawl__sqlite_db *db);
int pawl__sqlite_host_follow(pawl__sqlite_db *db);
/* For a user who may only look, after the row was read: what boot and live file mean for the rows.
 */
int pawl__sqlite_host_look(pawl__sqlite_db *db);
/*
 * Whether the owner of the byte in a row is known to be dead. A user who may only look does not
 * follow the database to a new live file: then nobody is known to be dead, and leases end by the
 * clock.
 */
bool pawl__sqlite_db_is_dead(pawl__sqlite_db *db, int64_t live);
/* Notes that this transaction grants or extends a lease until expires_at. */
void pawl__sqlite_host_lease(pawl__sqlite_db *db, int64_t live, int64_t expires_at);
/*
 * Before the commit: writes the instant into the live file, and looks whether the database and
 * its index are still in their place. What only gives back is right in a file that was moved away,
 * too, and to look for the file takes a tenth of the time of such a commit. SQLITE_OK or
 * PAWL__SQLITE_REPLACED.
 */
int pawl__sqlite_host_promise(pawl__sqlite_db *db);

/* The busy handler: sleeps a little; 0 when busy_until has come. */
int pawl__sqlite_on_busy(void *db, int tries);

/* Moves the ceiling above `fence` in a transaction of its own that reaches the disk. */
int pawl__sqlite_raise_ceiling(pawl__sqlite_db *db, uint64_t fence);

/* Writes to the disk without changing anything that matters. An SQLite result or one of ours. */
int pawl__sqlite_touch(pawl__sqlite_db *db);

/* Copies the log into the database when it has grown; errors do not matter. */
void pawl__sqlite_checkpoint(pawl__sqlite_db *db);
/* Whether it would copy something. */
bool pawl__sqlite_is_checkpoint_due(const pawl__sqlite_db *db);

/*
 * The disk is full: copies the log into the database, so that the log starts again in the space
 * that it has. Then changes of existing rows, above all renewals, work again. Returns whether that
 * was done.
 */
bool pawl__sqlite_make_room(pawl__sqlite_db *db);

/* Before closing: decides whether the close copies the log into the database if nobody else has it
 * open. */
void pawl__sqlite_checkpoint_if_last(const pawl__sqlite_db *db);

/* A statement, reset and ready to be bound. NULL: sqlite3_errcode says why. */
sqlite3_stmt *pawl__sqlite_use(pawl__sqlite_db *db, pawl__sqlite_stmt id);

/* Steps a statement that returns no rows, and resets it. SQLITE_OK or an error. */
int pawl__sqlite_run(sqlite3_stmt *statement);

/* Runs a kept statement without parameters, or with one number. */
int pawl__sqlite_run_simple(pawl__sqlite_db *db, pawl__sqlite_stmt id);
int pawl__sqlite_run_int(pawl__sqlite_db *db, pawl__sqlite_stmt id, int64_t value);

/* What an SQLite result means here, with the path in the message. */
void pawl__sqlite_fault_of(const pawl__sqlite_db *db, int rc, pawl__sqlite_fault *ret_fault);

#endif
