/* SPDX-License-Identifier: MIT */
/*
 * The demo: several processes add 1 to one number in a file, first under the lock
 * of a well-known tutorial, then under pawl. Who was inside together and which
 * increments survived is measured by a witness that neither of them knows.
 */
#ifndef PAWL_DEMO_H
#define PAWL_DEMO_H

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What is asked for ------------------------------------------------------ */

#define DEMO_PROCESSES_MAX 64
#define DEMO_URL_MAX       4096
#define DEMO_NAME_MAX      64
#define DEMO_PATH_MAX      (PATH_MAX - 64) /* room for the names inside the directory */

#define DEMO_TTL_MS      300 /* how long a lock lives without renewal */
#define DEMO_OVERSTAY_MS 450 /* work that takes longer than that: one holder in ten */
#define DEMO_THINK_MS    2   /* all other work */
#define DEMO_REST_MS     5   /* outside the lock, so that others get it */

typedef struct demo_config {
    int processes;
    int rounds;               /* increments asked for where one holder in ten overstays */
    int seconds;              /* how long it runs where nobody overstays */
    bool plain;               /* no live line, even on a terminal */
    char url[DEMO_URL_MAX];   /* pawl's store */
    char name[DEMO_NAME_MAX]; /* of the lock, fresh for each run */
    char dir[DEMO_PATH_MAX];  /* temporary: the counter and, by default, the databases */
} demo_config;

typedef enum demo_exit {
    DEMO_OK = 0,
    DEMO_FAILED = 1, /* pawl lost an increment, or let two in at once */
    DEMO_USAGE = 64,
    DEMO_UNAVAILABLE = 69,
    DEMO_INTERNAL = 70,
    DEMO_CONFIG = 78,
    DEMO_SIGNAL_BASE = 128
} demo_exit;

/* 0; otherwise the exit code after one line. *ret_done: --help was answered. */
int demo_options_parse(int argc, char **argv, demo_config *ret_config, bool *ret_done);

/* ---- The witness: memory that all processes of a stage share --------------------- */

typedef struct demo_board {
    _Atomic int tickets;  /* increments begun */
    _Atomic int finished; /* increments written back */
    _Atomic int inside;   /* processes that believe they hold the lock, now */
    _Atomic int together; /* times that one came in while another was inside */
    _Atomic bool said;    /* one of them has said what is wrong: that is enough */
    _Atomic int told;     /* times that a holder was told of its loss and stopped */
    _Atomic int64_t longest_wait_ns;
    _Atomic int64_t last_done_at;
    _Atomic int64_t stop_at; /* instant; 0: the tickets decide */
} demo_board;

int64_t demo_now(void); /* CLOCK_MONOTONIC, ns: one clock for all processes */
void demo_raise(_Atomic int64_t *largest, int64_t value);

/* ---- The locks -------------------------------------------------------------------- */

typedef struct demo_lock demo_lock;

/* open returns NULL, acquire and release return false, after one line about why. */
typedef struct demo_algorithm {
    const char *title;
    demo_lock *(*open)(const demo_config *config, int *ret_code);
    bool (*acquire)(demo_lock *lock); /* waits until it is ours */
    /* Works for so long. False: the lock is lost, stop and write nothing. */
    bool (*work)(demo_lock *lock, int64_t span_ms);
    bool (*release)(demo_lock *lock);
    void (*close)(demo_lock *lock);
} demo_algorithm;

extern const demo_algorithm demo_tutorial_sqlite, demo_tutorial_redis, demo_pawl;

/* Sleeps whatever happens: what the tutorial's holders and waiters do. */
void demo_sleep_ms(int64_t span_ms);
/* The tutorial's pause between two tries: 0 to 99 ms. */
void demo_tutorial_pause(void);

/* ---- A Redis URL in its parts ----------------------------------------------------- */

typedef struct demo_redis_address {
    char host[256]; /* or the path of a socket */
    bool is_socket;
    int port, db;
    char user[128], password[256], prefix[128];
} demo_redis_address;

/* Takes apart a URL that pawl has accepted. */
void demo_redis_address_of(const char *url, demo_redis_address *ret_address);

/* ---- The number in the file ---------------------------------------------------------- */

int demo_counter_open(const demo_config *config); /* a descriptor, or -1 after one line */
long demo_counter_read(int fd);
void demo_counter_write(int fd, long value);

/* ---- A stage: all processes at work under one lock ------------------------------------- */

typedef struct demo_result {
    const demo_algorithm *algorithm;
    bool overstay; /* one holder in ten works longer than the ttl */
    int asked;
    long survived;
    int together;
    int told;
    double per_second;
    double longest_wait_s;
} demo_result;

/* 0, or an exit code after one line. */
int demo_stage_run(const demo_config *config, const demo_algorithm *algorithm, bool overstay,
                   demo_result *ret_result);

/* A process's part in it; its exit code. */
int demo_worker(const demo_config *config, const demo_algorithm *algorithm, bool overstay,
                demo_board *board, int ready_fd, int gate_fd);

/* Opens and closes both locks, so that trouble with the store is found before work. */
int demo_store_check(const demo_config *config, const demo_algorithm *tutorial);

/* Blocks the signals that a stage listens to: from here on ^C means "clean up and end". */
void demo_signals_block(sigset_t *ret_watched);

/* ---- What is shown --------------------------------------------------------------------- */

void demo_progress_begin(const demo_config *config, const demo_algorithm *algorithm, bool overstay);
void demo_progress_show(const demo_board *board, int asked);
void demo_progress_end(const demo_result *result);

/* Two stages for each lock: with and without overstaying holders. */
typedef struct demo_report {
    demo_result tutorial[2], pawl[2];
} demo_report;

void demo_table_print(const demo_report *report);
/* The verdict in words; DEMO_OK or DEMO_FAILED. */
int demo_verdict_print(const demo_report *report);

/* "demo: ..." on stderr. */
void demo_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A live line stands on the terminal: a message begins by removing it. */
void demo_say_over_line(bool is_live);

/* In a worker: says nothing once somebody who shares the flag has spoken. */
void demo_say_once(_Atomic bool *said);

/* ---- The temporary directory ------------------------------------------------------------ */

bool demo_scratch_make(demo_config *config);
void demo_scratch_remove(const demo_config *config);
/* The URL of a database in it. */
void demo_scratch_url(demo_config *config);

#endif
