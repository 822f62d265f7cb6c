# SPDX-License-Identifier: MIT
"""Builds pawl._native, the part in C, against the libpawl that pkg-config finds."""
import os
import shlex
import subprocess

import cffi

HERE = os.path.dirname(os.path.abspath(__file__))

DECLARATIONS = """
#define PAWL_MESSAGE_MAX ...
#define PAWL_WAIT_FOREVER ...
#define PAWL_LOCK_DETACHED ...
#define PAWL_WAITERS_SHOWN_MAX ...
#define PAWLPY_NOT_YET ...
#define PAWLPY_DEFAULT ...
#define PAWLPY_DONE ...
#define PAWLPY_LOG ...
#define PAWLPY_UPGRADED ...
#define PAWLPY_SAID ...
#define PAWLPY_LEADER ...
#define PAWL_NAMES_MAX ...
#define PAWL_LATCH_COUNT_MAX ...
#define PAWL_BARRIER_PARTIES_MAX ...
#define PAWL_HOLDERS_SHOWN_MAX ...
#define PAWL_CAPACITY_MAX ...
#define PAWL_REENTRY_MAX ...

enum { PAWL_ERR_BUSY, PAWL_ERR_TIMEOUT, PAWL_ERR_LOST, PAWL_ERR_NOT_HELD, PAWL_ERR_UNKNOWN,
       PAWL_ERR_ARGUMENT, PAWL_ERR_FORKED, PAWL_ERR_CLOSED, PAWL_ERR_CANCELED, PAWL_ERR_OWNER,
       PAWL_ERR_URL, PAWL_ERR_NO_MEMORY, PAWL_ERR_UNITS, PAWL_ERR_MODE, PAWL_ERR_STATE, PAWL_ERR_REENTRY,
       PAWL_ERR_DONE, PAWL_ERR_NAME, PAWL_ERR_NAMES, PAWL_ERR_PARTIES, PAWL_ERR_BROKEN, ... };
enum { PAWL_ONCE_NEVER, PAWL_ONCE_SUCCEEDED, PAWL_ONCE_FAILED, PAWL_ONCE_FAILED_KEPT, ... };
enum { PAWL_MODE_EXCLUSIVE, PAWL_MODE_SHARED, PAWL_MODE_UPDATE, PAWL_MODE_PERMIT, ... };
enum { PAWL_FENCE_NONE, PAWL_FENCE_BEST_EFFORT, PAWL_FENCE_DURABLE, ... };
enum { PAWL_CLASS_BUSY, PAWL_CLASS_RETRY, PAWL_CLASS_LOST, PAWL_CLASS_UNKNOWN, PAWL_CLASS_USAGE,
       PAWL_CLASS_DENIED, PAWL_CLASS_CANCELED, PAWL_CLASS_INTERNAL, ... };
enum { PAWL_EVENT_DOUBT, PAWL_EVENT_HELD, PAWL_EVENT_LOST, PAWL_EVENT_YIELD, ... };

typedef struct pawl_client pawl_client;
typedef struct pawl_lock pawl_lock;
typedef struct pawl_once pawl_once;
typedef struct pawl_latch pawl_latch;
typedef struct pawl_barrier pawl_barrier;
typedef struct pawlpy_observer pawlpy_observer;
typedef struct pawlpy_wait pawlpy_wait;
typedef struct pawlpy_inbox pawlpy_inbox;
typedef struct pawlpy_teller pawlpy_teller;
typedef struct { char text[...]; ...; } pawl_token;
typedef struct { const char *owner; int64_t age_ms, place_ms; int mode; uint32_t units; ...; } pawl_waiter_info;
typedef struct { const char *owner; int64_t remaining_ms; uint64_t fence; int mode; uint32_t units;
                 ...; } pawl_holder_info;
typedef struct { int fence; bool fair, push, list, instant_release; unsigned modes; ...; } pawl_caps;
typedef struct { const char *name; size_t name_len; bool held, foreign; const char *owner;
                 int64_t remaining_ms; uint64_t fence; size_t waiter_count;
                 const pawl_waiter_info *waiters; size_t waiters_shown; int mode; uint32_t capacity;
                 size_t holder_count; const pawl_holder_info *holders; size_t holders_shown;
                 const char *broken_by; int64_t broken_ms; uint64_t broken_fence; ...; } pawl_info;
typedef struct { int severity; const char *topic, *text, *advice; ...; } pawl_finding;
typedef struct { const char *owner; int64_t store_timeout_ms, close_timeout_ms;
                 int dispatch, logs; } pawlpy_open_opts;
typedef struct { int64_t ttl_ms, retain_ms; const char *owner; int detached, reentrant, mode;
                 uint32_t capacity, units; } pawlpy_lock_opts;
typedef struct { uint64_t id; int kind, err; int64_t remaining_ms; char message[...]; } pawlpy_news;

typedef struct { int err, leads, has_value; uint64_t fence; int64_t remaining_ms; char owner[...];
                 size_t value_len; char value[...]; } pawlpy_leader;
typedef struct { int outcome; bool due; int64_t began_us, ended_us, now_us, next_us; uint64_t fence;
                 char owner[...]; ...; } pawl_once_info;

typedef struct { uint32_t count; int64_t keep_ms; ...; } pawl_latch_opts;
typedef struct { uint32_t parties; int64_t ttl_ms; ...; } pawl_barrier_opts;

const char *pawl_version(void);
const char *pawl_err_text(int err);
const char *pawl_err_name(int err);
int pawl_err_class_of(int err);
pawl_client *pawl_client_close(pawl_client *client);
int pawl_client_fd(const pawl_client *client);
int pawl_client_dispatch(pawl_client *client);
void pawl_client_reason(const pawl_client *client, int err, char *ret_message);
const char *pawl_client_owner(const pawl_client *client);
const char *pawl_client_url(const pawl_client *client);
pawl_lock *pawl_lock_free(pawl_lock *lock);
int pawl_lock_acquire(pawl_lock *lock, int64_t wait_ms);
int pawl_lock_cancel(pawl_lock *lock);
int pawl_lock_release(pawl_lock *lock);
int pawl_lock_detach(pawl_lock *lock);
bool pawl_lock_is_held(const pawl_lock *lock);
int64_t pawl_lock_remaining_ms(const pawl_lock *lock);
uint64_t pawl_lock_fence(const pawl_lock *lock);
void pawl_lock_token(const pawl_lock *lock, pawl_token *ret_token);
int pawl_lock_mode(const pawl_lock *lock);
size_t pawl_lock_slots(const pawl_lock *lock, uint16_t *ret_slots, size_t room);
int pawl_lock_upgrade(pawl_lock *lock, int64_t wait_ms);
int pawl_lock_downgrade(pawl_lock *lock, int mode);
int pawl_token_renew(pawl_client *client, const char *name, size_t name_len, const char *token,
                     int64_t ttl_ms, int64_t wait_ms, uint64_t *ret_fence);
int pawl_token_release(pawl_client *client, const char *name, size_t name_len, const char *token,
                       int64_t wait_ms);
int pawl_token_check(pawl_client *client, const char *name, size_t name_len, const char *token,
                     int64_t wait_ms, int64_t *ret_remaining_ms);
int pawl_inspect(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                 bool (*fn)(const pawl_info *, void *), void *userdata);
int pawl_list(pawl_client *client, const char *prefix, size_t prefix_len, int64_t wait_ms,
              bool (*fn)(const pawl_info *, void *), void *userdata);
int pawl_break(pawl_client *client, const char *name, size_t name_len, uint64_t fence,
               int64_t wait_ms);
int pawl_doctor(pawl_client *client, int64_t wait_ms,
                void (*fn)(const pawl_finding *, void *), void *userdata);

size_t pawl_lock_count(const pawl_lock *lock);
const pawl_lock *pawl_lock_part(const pawl_lock *lock, size_t at);
const char *pawl_lock_name(const pawl_lock *lock);
pawl_once *pawl_once_free(pawl_once *once);
int pawl_once_begin(pawl_once *once, int64_t wait_ms);
int pawl_once_end(pawl_once *once, bool success, int64_t wait_ms);
int pawl_once_look(pawl_once *once, int64_t wait_ms);
void pawl_once_last_sized(const pawl_once *once, pawl_once_info *ret_info, size_t size);
pawl_lock *pawl_once_lock(const pawl_once *once);
int pawl_election_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms);
int pawl_election_resign(pawl_lock *lock, int64_t wait_ms);

void pawl_latch_opts_init_sized(pawl_latch_opts *opts, size_t size);
int pawl_latch_new(pawl_client *client, const char *name, size_t name_len, const pawl_latch_opts *opts,
                   pawl_latch **ret_latch);
pawl_latch *pawl_latch_free(pawl_latch *latch);
int pawl_latch_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms);
int pawl_latch_wait(pawl_latch *latch, int64_t wait_ms);
int pawl_latch_look(pawl_latch *latch, int64_t wait_ms);
uint32_t pawl_latch_left(const pawl_latch *latch);
void pawl_barrier_opts_init_sized(pawl_barrier_opts *opts, size_t size);
int pawl_barrier_new(pawl_client *client, const char *name, size_t name_len,
                     const pawl_barrier_opts *opts, pawl_barrier **ret_barrier);
pawl_barrier *pawl_barrier_free(pawl_barrier *barrier);
int pawl_barrier_wait(pawl_barrier *barrier, int64_t wait_ms);
uint64_t pawl_barrier_generation(const pawl_barrier *barrier);

int pawlpy_try(pawl_lock *lock);
int pawlpy_wait_acquire(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_release(pawl_lock *lock, pawlpy_wait **ret_wait);
int pawlpy_wait_upgrade(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait);
void pawlpy_give_up_upgrade(pawl_lock *lock, pawlpy_wait *wait);
int pawlpy_wait_begin(pawl_once *once, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_end(pawl_once *once, int success, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms,
                         pawlpy_wait **ret_wait);
int pawlpy_wait_resign(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_latch(pawl_latch *latch, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_barrier(pawl_barrier *barrier, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_for(pawlpy_wait *wait, int slice_ms);
void pawlpy_wait_free(pawlpy_wait *wait);
void pawlpy_give_up(pawl_lock *lock, pawlpy_wait *wait);
pawlpy_inbox *pawlpy_inbox_new(void);
void pawlpy_inbox_free(pawlpy_inbox *inbox);
int pawlpy_inbox_take(pawlpy_inbox *inbox, pawlpy_news *ret_news, int max);
int pawlpy_inbox_wait(pawlpy_inbox *inbox);
void pawlpy_inbox_end(pawlpy_inbox *inbox);
pawlpy_teller *pawlpy_teller_new(pawlpy_inbox *inbox, uint64_t id);
void pawlpy_teller_free(pawlpy_teller *teller);
int pawlpy_open(const char *url, const pawlpy_open_opts *given, pawlpy_inbox *inbox,
                pawl_client **ret_client, char *reterr_message);
int pawlpy_lock_new(pawl_client *client, const char *name, size_t name_len,
                    const pawlpy_lock_opts *given, pawlpy_teller *teller, pawl_lock **ret_lock);
int pawlpy_lock_new_all(pawl_client *client, const char *const *names, size_t count,
                        const pawlpy_lock_opts *given, pawlpy_teller *teller, pawl_lock **ret_lock);
int pawlpy_once_new(pawl_client *client, const char *name, size_t name_len, int64_t every_ms,
                    int keeps_failures, const pawlpy_lock_opts *given, pawlpy_teller *teller,
                    pawl_once **ret_once);
int pawlpy_tell_begin(pawl_once *once, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_end(pawl_once *once, int success, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_latch(pawl_latch *latch, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_barrier(pawl_barrier *barrier, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_resign(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms,
                         pawlpy_teller *teller);
int pawlpy_observer_new(pawl_client *client, const char *name, size_t name_len,
                        pawlpy_teller *teller, pawlpy_observer **ret_observer);
void pawlpy_observer_take(pawlpy_observer *observer, pawlpy_leader *ret_leader);
void pawlpy_observer_free(pawlpy_observer *observer);
int pawlpy_leader_now(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                      pawlpy_leader *ret_leader);
int pawlpy_tell_acquire(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_release(pawl_lock *lock, pawlpy_teller *teller);
int pawlpy_tell_upgrade(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_caps(pawl_client *client, int64_t wait_ms, pawl_caps *ret_caps);

extern "Python" bool pawlpy_info(const pawl_info *info, void *userdata);
extern "Python" void pawlpy_finding(const pawl_finding *finding, void *userdata);
"""


def pkg_config(*arguments):
    command = [os.environ.get("PKG_CONFIG", "pkg-config"), *arguments, "pawl"]
    try:
        return shlex.split(subprocess.run(command, check=True, text=True,
                                          stdout=subprocess.PIPE).stdout)
    except (OSError, subprocess.CalledProcessError) as why:
        raise SystemExit(f"{shlex.join(command)}: {why}\nInstall libpawl first (make && sudo make "
                         "install in a checkout of pawl); below a prefix of your own set "
                         "PKG_CONFIG_PATH=PREFIX/lib/.../pkgconfig") from None


ffi = cffi.FFI()
ffi.cdef(DECLARATIONS)
ffi.set_source(
    "pawl._native",
    '#include "native.h"',
    sources=[f"native/{name}.c" for name in ("guard", "inbox", "observer", "wait")],
    include_dirs=[os.path.join(HERE, "native")],
    extra_compile_args=["-std=c11", *pkg_config("--cflags")],
    extra_link_args=[*pkg_config("--libs"), "-pthread"],
)

if __name__ == "__main__":
    ffi.compile(verbose=True)
