/* SPDX-License-Identifier: MIT */
/*
 * What the engine remembers, and the moves that a lease may make.
 *
 *   ABSENT → REQUESTING → QUEUED → HELD ⇄ IDLE → RELEASING → (gone)
 *               └ UNKNOWN ┘         └ DOUBT ┘→ LOST ┘
 *
 * A lease is one token's life. It is born with a fresh token in REQUESTING and
 * ends in RELEASING, or at once when the store never heard of it. While an old
 * lease of a name is still RELEASING the next one may already be REQUESTING: the
 * store takes requests in order.
 *
 * Invariants. At the end of each step the engine checks the leases that the step has touched,
 * the first PAWL__TOUCHED_MAX of them; pawl__engine_check checks all:
 *  L1 HELD and DOUBT have a holder in state HOLDING that points back; others have none. Only a
 *     shared lease has several.
 *  L2 REQUESTING, QUEUED and UNKNOWN have a waiting want.
 *  L3 a group's lease is in none of LOST and RELEASING.
 *  L4 a held lease has a fence, and its deadline (base + span, or what is left of its place)
 *     lies ahead; one that waits has none yet.
 *  L5 at most one ACQUIRE or RENEW is in flight, and none is planned until it is answered.
 *  L6 a waiting want waits for the living lease of its name.
 *  L7 no ask of a lease in REQUESTING has gone unanswered.
 *  L8 IDLE is in nobody's way here: no want of another group of its name waits, for the lock or to
 *     be upgraded, that has no room beside it.
 */
#ifndef PAWL_ENGINE_LEASE_H
#define PAWL_ENGINE_LEASE_H

#include "../base/hex.h"
#include "../base/mutant.h"
#include "../base/random.h"
#include "../base/table.h"
#include "engine.h"
#include "plan.h"

typedef enum pawl__lease_state {
    PAWL__LEASE_ABSENT = 0,
    PAWL__LEASE_REQUESTING, /* asked, or about to ask; no answer yet */
    PAWL__LEASE_QUEUED,     /* a place in the store's queue */
    PAWL__LEASE_UNKNOWN,    /* an ask went unanswered (law 4) */
    PAWL__LEASE_HELD,       /* a local want has it */
    PAWL__LEASE_IDLE,       /* cached: held, and nobody here uses it */
    PAWL__LEASE_DOUBT,      /* held, and a renewal is overdue */
    PAWL__LEASE_LOST,       /* on the way out, the holder has been told */
    PAWL__LEASE_RELEASING,  /* the store is being told */
    PAWL__LEASE_STATES
} pawl__lease_state;

/* What a lease wants to tell the store next (bits). */
#define PAWL__SEND_ASK     0x1u
#define PAWL__SEND_RENEW   0x2u
#define PAWL__SEND_RELEASE 0x4u
#define PAWL__SEND_CHANGE  0x8u

#define PAWL__TOKEN_BYTES (PAWL_TOKEN_LEN / 2)
#define PAWL__TOUCHED_MAX 64u /* leases that one step checks: a step stays short (law 8) */

typedef struct pawl__name_state pawl__name_state;

/* The readers that share one lease, except its first holder. */
typedef struct pawl__readers {
    uint32_t count, room;
    pawl__want *wants[];
} pawl__readers;

/* `units` of the semaphore's permits; `slots` is filled in when they are granted. */
typedef struct pawl__permits {
    uint16_t units, capacity;
    uint16_t slots[];
} pawl__permits;

/* A client may have 100 000 of them: so what can be computed is not stored, and some members have
 * several uses. */
struct pawl__lease {
    pawl__group *group;
    pawl__want *want; /* HELD, DOUBT: the holder, of several the first one. RELEASING: who awaits
                         the store's word, or NULL */
    union {
        pawl__readers *readers; /* SHARED: the other holders; NULL: there never were any */
        pawl__permits *permits; /* PERMIT: what was asked for, and what was granted */
    };
    pawl__timer timer;
    uint64_t fence;  /* 0 until granted */
    int64_t base_at; /* just before the last confirmed request left (law 2) */
    int64_t sent_at; /* of the request in flight or about to leave */
    int64_t next_at; /* when to ask, renew or release again; NEVER while in flight */
    int64_t until; /* HELD, after a yield request: end of the local passing. IDLE: end of retention.
                      RELEASING: when it has run out at the store */
    const char *owner; /* of the want that it was asked for: its own copy, or the
                          engine's. A want that inherits the place of one that gave up
                          inherits the label, too */
    uint32_t index;    /* in engine->leases */
    uint32_t out_next; /* index + 1 of its neighbours among those with something to send */
    uint32_t out_prev;
    uint32_t request;        /* sequence of the request in flight; 0: none */
    uint32_t share_count;    /* local passes since the yield request */
    uint32_t change;         /* the number of the latest CHANGE (rule 10 of pawl/store.h) */
    int32_t ttl_ms;          /* of every request: one token, one ttl */
    int16_t err;             /* of the latest failed request */
    uint8_t state;           /* pawl__lease_state */
    uint8_t verb;            /* pawl_verb of the request in flight */
    uint8_t send;            /* PAWL__SEND_... bits not yet fetched */
    bool changing : 1;       /* the latest CHANGE has no final answer yet */
    bool change_sent : 1;    /* the request in flight is that CHANGE, not an older one */
    uint8_t flags : 2;       /* of the want that it was asked for */
    uint8_t dead_grants : 2; /* grants in a row that came after their deadline */
    uint8_t mode : 2;        /* the mode that its holder may rely on */
    uint8_t change_to : 2;   /* the mode of the latest CHANGE */
    uint8_t sent_to : 2;     /* the mode of the CHANGE in flight */
    bool alone : 1;          /* as far as the store has said, it is exclusive there */
    bool asked : 1;          /* some ask has left: the store may know the token */
    bool answered : 1;       /* the store has answered an ask with a decision */
    bool silent : 1;         /* the store has decided nothing since it was asked or went away */
    bool queued : 1;         /* it has stood in the store's queue */
    bool yield : 1;          /* somebody else waits for it */
    bool wanted_early : 1;   /* the same, heard before the grant itself */
    bool late_request : 1;   /* an ask went unanswered and may still arrive late */
    bool release_unsure : 1; /* a release went unanswered and may have been done */
    bool out_of_touch : 1;   /* a grant may have come and gone unnoticed: a push may tell of it */
    bool recheck : 1;        /* ask again as soon as the present ask is answered */
    bool handed : 1; /* granted by a push, and not confirmed since: it ends with its place */
    uint8_t token[PAWL__TOKEN_BYTES];
};

/*
 * The wants of one name that can share a lease: those of one mode; each want for permits is a
 * group of its own. Lives while anything refers to it.
 */
struct pawl__group {
    pawl__group *next;   /* of the same name */
    pawl__link wants;    /* pawl__waiting: those who wait, in order */
    pawl__lease *lease;  /* the living one, or NULL */
    uint64_t last_fence; /* that this group has heard of: the next one is larger */
    uint32_t refs;       /* leases that refer to it */
    uint8_t mode;
    bool in_use;
    bool is_first; /* of its name, in the name itself; else in a pawl__more_group */
    bool first_in_use;
    pawl__lease first; /* the lease that needs no allocation */
};

/* All that the engine knows of one name. Lives while it has groups. */
struct pawl__name_state {
    pawl__entry entry;
    pawl__group first; /* the group that needs no allocation, and the head of the others */
    char name[];       /* NUL-terminated */
};

typedef struct pawl__more_group {
    pawl__group group;
    pawl__name_state *of;
} pawl__more_group;

static inline pawl__name_state *pawl__group_name(const pawl__group *group)
{
    if (group->is_first) return pawl__container(group, pawl__name_state, first);
    return pawl__container(group, const pawl__more_group, group)->of;
}

struct pawl__engine {
    pawl__engine_opts opts;
    int64_t now;
    pawl__heap timers;
    pawl__table names;
    pawl__lease **leases; /* by index; NULL where free */
    size_t lease_room, lease_count;
    size_t confirmed_count; /* of the leases: see pawl__lease_is_confirmed */
    size_t tended_count;    /* of the leases: see pawl__lease_is_tended */
    size_t want_count;      /* wants that wait, and so may have a timer */
    uint32_t next_request;
    uint32_t free_hint;           /* where to look for a free index */
    uint32_t out_first, out_last; /* index + 1 of the first and last lease that sends; 0: none */
    uint32_t touched_count;       /* in touched */
    uint32_t touched[PAWL__TOUCHED_MAX];    /* indexes of leases that moved or were planned anew */
    pawl__want *out_wants, **out_wants_end; /* wants with an action to fetch */
    char token[PAWL_TOKEN_LEN + 1];         /* of the action that was fetched */
    uint64_t random;
    bool link_up;
    bool link_tried;                     /* it is down, and a try to connect has failed */
    bool link_final;                     /* it is down, and waiting does not help */
    bool closing;                        /* nothing new is asked for */
    bool keeps_nothing;                  /* no lease is kept for a next caller */
    const char *broken;                  /* the invariant that broke: nothing is granted any more */
    int16_t link_err;                    /* why the link is down; 0 if it never was up */
    char message[PAWL_MESSAGE_MAX];      /* goes with the next refusal, doubt or loss */
    char link_message[PAWL_MESSAGE_MAX]; /* why the link is down */
};

enum { PAWL__TIMER_WANT = 1, PAWL__TIMER_LEASE = 2 };

#define PAWL__ASTRAY "a lease is in a state that it cannot be in"

/* L2: it has been asked for, and somebody here waits for it. */
static inline bool pawl__lease_waits(const pawl__lease *lease)
{
    return lease->state == PAWL__LEASE_REQUESTING || lease->state == PAWL__LEASE_QUEUED ||
           lease->state == PAWL__LEASE_UNKNOWN;
}

static inline bool pawl__lease_is_held(const pawl__lease *lease)
{
    return lease->state == PAWL__LEASE_HELD || lease->state == PAWL__LEASE_DOUBT;
}

/* It does not wait for the lock, only for an answer of its own. */
static inline bool pawl__waiting_is_hasty(const pawl__waiting *waiting)
{
    return waiting->wait_until == 0 || waiting->only_tries;
}

/* Nobody here waits for an answer of the store about it. */
static inline bool pawl__lease_is_confirmed(const pawl__lease *lease)
{
    return lease->state == PAWL__LEASE_HELD || lease->state == PAWL__LEASE_IDLE;
}

/* It is renewed. */
static inline bool pawl__lease_is_tended(const pawl__lease *lease)
{
    return pawl__lease_is_held(lease) || lease->state == PAWL__LEASE_IDLE;
}

/* HELD, DOUBT; else NULL. */
static inline pawl__want *pawl__lease_holder(const pawl__lease *lease)
{
    return pawl__lease_is_held(lease) ? lease->want : NULL;
}

/* All holders: i from 0 while it is not NULL. */
static inline pawl__want *pawl__lease_holder_at(const pawl__lease *lease, uint32_t i)
{
    if (i == 0) return lease->want;
    bool has_more = lease->group->mode == PAWL_MODE_SHARED && lease->readers;
    return has_more && i <= lease->readers->count ? lease->readers->wants[i - 1] : NULL;
}

/* The local deadline (law 2), of a lease that is held or idle. */
static inline int64_t pawl__lease_deadline(const pawl__lease *lease)
{
    int64_t span =
        lease->handed ? pawl__plan_place_ns(lease->ttl_ms) : pawl__plan_span_ns(lease->ttl_ms);
    return pawl__instant_add(lease->base_at, span);
}

/* If the lock is handed to its place now, the grant is believed until then. */
static inline int64_t pawl__lease_place_end(const pawl__lease *lease)
{
    return pawl__instant_add(lease->base_at, pawl__plan_place_ns(lease->ttl_ms));
}

/* ---- states.c: moves ------------------------------------------------------ */

/* Makes a move if the table allows it; otherwise the engine breaks (law 10). */
void pawl__lease_move(pawl__engine *e, pawl__lease *lease, pawl__lease_state to);
/* Tells the observer of the leases, if there is one, of a move. */
static inline void pawl__lease_tell_move(const pawl__engine *e, const pawl__lease *lease,
                                         pawl__lease_state from, pawl__lease_state to)
{
    if (!e->opts.moved) return;
    e->opts.moved(e->opts.moved_ctx, pawl__group_name(lease->group)->name, (pawl_lease_state)from,
                  (pawl_lease_state)to);
}
/* Notes that this step has changed the lease: it is checked at the end of the step. */
static inline void pawl__lease_touch(pawl__engine *e, const pawl__lease *lease)
{
    if (e->touched_count < PAWL__TOUCHED_MAX) e->touched[e->touched_count++] = lease->index;
}
/* The engine breaks if a lease that this step has touched breaks an invariant (law 10). */
void pawl__leases_check_touched(pawl__engine *e);
/* NULL, or the broken invariant. */
const char *pawl__lease_check(const pawl__engine *e, const pawl__lease *lease);
/* An invariant is broken: the engine fails closed at the end of this step (law 10). */
void pawl__engine_break(pawl__engine *e, const char *what);
/* Every holder is told that it lost, every waiter that pawl is broken; nothing is kept. */
void pawl__engine_fail_closed(pawl__engine *e);

/* ---- groups.c: making and freeing --------------------------------------- */

pawl__name_state *pawl__name_find(const pawl__engine *e, const char *name, size_t name_len);
/* The group of the mode; NULL: there is none. A group for permits is never found by others. */
pawl__group *pawl__group_of(const pawl__name_state *name, pawl_mode mode);
/* The group that the want belongs to, found or made; NULL when out of memory. */
pawl__group *pawl__group_get(pawl__engine *e, const pawl__want *want);
/* Frees the group if nothing refers to it, and its name with the last one. */
void pawl__group_put(pawl__engine *e, pawl__group *group);
/* A lease with a fresh token, in the group, ABSENT; NULL when out of memory. */
pawl__lease *pawl__lease_new(pawl__engine *e, pawl__group *group, const pawl__want *first);
/* Forgets a lease altogether. */
void pawl__lease_free(pawl__engine *e, pawl__lease *lease);
pawl__lease *pawl__lease_of_request(const pawl__engine *e, uint64_t id);
/* The first waiting want of a group or NULL. */
pawl__want *pawl__group_first_want(const pawl__group *group);
/* The token as text, in e->token; valid until the next call. */
const char *pawl__lease_token(pawl__engine *e, const pawl__lease *lease);
void pawl__lease_draw_token(pawl__engine *e, pawl__lease *lease);

/* ---- send.c: what the store is to be told ----------------------------------- */

/* Marks a request to be sent in this step; sent_at is now. Without a link it becomes due later. */
void pawl__lease_ask(pawl__engine *e, pawl__lease *lease);
void pawl__lease_renew(pawl__engine *e, pawl__lease *lease);
void pawl__lease_send_release(pawl__engine *e, pawl__lease *lease);
/* It has nothing to send any more. */
void pawl__lease_unmark(pawl__engine *e, pawl__lease *lease);
/* Fetches one request; false if none is marked. */
bool pawl__send_next(pawl__engine *e, pawl__action *ret_action);
/* Tries again a little later. */
void pawl__lease_retry(pawl__engine *e, pawl__lease *lease);
/* Asks, renews or releases again at an instant. */
void pawl__lease_plan(pawl__engine *e, pawl__lease *lease, int64_t at);
/* Sets the one timer of the lease from its state. */
void pawl__lease_arm(pawl__engine *e, pawl__lease *lease);

/* ---- wants.c: what callers are told ------------------------------------------ */

void pawl__want_tell(pawl__engine *e, pawl__want *want, pawl__action_kind kind, pawl_err err);
/* Fetches one notice; false if none is marked. */
bool pawl__tell_next(pawl__engine *e, pawl__action *ret_action);
/* The want waits no more. */
void pawl__want_decided(pawl__engine *e, pawl__want *want);
/* Ends a waiting want with err. */
void pawl__want_refuse(pawl__engine *e, pawl__want *want, pawl_err err);
/* If the want waits to be upgraded, it is told how that ended. */
void pawl__upgrade_ends(pawl__engine *e, pawl__want *want, pawl_err err);
/* The store owes an answer, or is away: waiting wants end after unreachable_ms. */
void pawl__lease_silent(pawl__engine *e, pawl__lease *lease);
/* The store has decided something about the lease: only the callers' own time counts again. */
void pawl__lease_heard(pawl__engine *e, pawl__lease *lease);
/* When a store that is silent from now on is out of reach. */
int64_t pawl__silence_end(const pawl__engine *e);
/* Sets the one timer of a want that waits. */
void pawl__waiting_arm(pawl__engine *e, pawl__waiting *waiting);
/* Ends the hasty wants (only_impatient), or all that wait. */
void pawl__group_refuse(pawl__engine *e, pawl__group *group, pawl_err err, bool only_impatient);
void pawl__engine_set_message(pawl__engine *e, const char *message);

/* ---- grant.c: having, passing, losing ------------------------------------------ */

/* What a grant says, whether it comes as a reply or as a push. */
typedef struct pawl__grant {
    uint64_t fence;
    bool waiting;
    const uint16_t *slots;
    size_t slot_count;
} pawl__grant;

/* The store granted; base_at is set. Gives the lease to those who wait, or asks again. */
void pawl__lease_granted(pawl__engine *e, pawl__lease *lease, const pawl__grant *grant);
/* A request sent at sent_at was confirmed: the deadline moves. */
void pawl__lease_extended(pawl__engine *e, pawl__lease *lease, int64_t sent_at);
void pawl__lease_doubted(pawl__engine *e, pawl__lease *lease, pawl_err err);
/* Somebody else waits for the lock: an idle lease is released at once, a holder is told once. */
void pawl__lease_wanted(pawl__engine *e, pawl__lease *lease);
void pawl__lease_lost(pawl__engine *e, pawl__lease *lease, pawl_err err);
/*
 * Whether a want may have this lease: flags and ttl are its own. The ttl never changes in
 * a token's life: an answer would not say which of two it confirms, and a late request
 * with a shorter one would cut the lease at the store behind the holder's back (law 2).
 */
bool pawl__lease_suits(const pawl__engine *e, const pawl__lease *lease, const pawl__want *want);
/* The holder has given it back: pass on, keep, or release. */
void pawl__lease_returned(pawl__engine *e, pawl__lease *lease, const pawl__want *by,
                          bool ends_lease);
/* Makes the want a holder. If it is not the first one, room among the readers has been reserved. */
void pawl__lease_give(pawl__engine *e, pawl__lease *lease, pawl__want *want);
/* Makes room for so many holders; false: out of memory. */
bool pawl__lease_reserve_readers(pawl__lease *lease, uint32_t count);
/* The want no longer holds the lease. */
void pawl__lease_remove_holder(pawl__lease *lease, pawl__want *want);
/* Whether somebody holds it in a mode that allows others, and the want may hold it as well. */
bool pawl__lease_may_be_joined(pawl__engine *e, pawl__lease *lease, const pawl__want *want);
/*
 * The lease is over, or the store says so: the holders are told. broken_by is the label of who
 * broke it; NULL: nobody did, or the store does not know.
 */
void pawl__lease_not_ours(pawl__engine *e, pawl__lease *lease, const char *broken_by);
/* Takes the lease out of its group, and tells the store if the store may know it. */
void pawl__lease_leave(pawl__engine *e, pawl__lease *lease);
/* Forgets the lease without telling the store; those who still wait begin anew. */
void pawl__lease_drop(pawl__engine *e, pawl__lease *lease);
/* Those who wait and have no lease get a new one, with a new token (law 5). */
void pawl__group_start(pawl__engine *e, pawl__group *group);
/* Whether the lease leaves no room for one more in this mode. */
bool pawl__lease_bars(const pawl__lease *lease, pawl_mode wanted);
/* Whether it bars somebody of another group of its name, who waits here or waits to be upgraded. */
bool pawl__lease_is_in_the_way(const pawl__lease *lease);
/* Gives up what nobody uses of the other groups of the name, and what would bar this mode. The
 * store takes requests in order, so even a caller that does not wait gets the name. */
void pawl__group_clear_way(pawl__engine *e, const pawl__group *group, pawl_mode wanted);
/* Gives up a lease that nobody waits for any more. */
void pawl__lease_leave_if_unneeded(pawl__engine *e, pawl__lease *lease);

/* ---- change.c: another mode for a holder (rule 10 of pawl/store.h) ---------------- */

/* Whether its holder waits to be upgraded. */
static inline bool pawl__lease_upgrades(const pawl__lease *lease)
{
    return lease->changing && lease->mode == PAWL_MODE_UPDATE &&
           lease->change_to == PAWL_MODE_EXCLUSIVE;
}
void pawl__on_change(pawl__engine *e, const pawl__event *event);
/* The link is back: the lease is renewed, and a downgrade told again. */
void pawl__change_again(pawl__engine *e, pawl__lease *lease);
/* The caller's time is over, or it has canceled. */
void pawl__upgrade_given_up(pawl__engine *e, pawl__want *want, pawl_err err);
void pawl__upgrade_is_due(pawl__engine *e, pawl__want *want);
void pawl__on_change_answer(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply);

/* ---- One file per event kind ----------------------------------------------------- */

void pawl__on_time(pawl__engine *e);
void pawl__on_want(pawl__engine *e, pawl__want *want);
void pawl__on_cancel(pawl__engine *e, pawl__want *want);
void pawl__on_release(pawl__engine *e, pawl__want *want, bool await_store, bool ends_lease);
void pawl__on_detach(pawl__engine *e, pawl__want *want);
void pawl__on_reply(pawl__engine *e, const pawl_reply *reply);
void pawl__on_push(pawl__engine *e, const pawl_push *push);
void pawl__on_link(pawl__engine *e, const pawl__event *event);
/* A store that refuses us for good must not make callers wait for their time-out. */
bool pawl__link_is_final(const pawl__engine *e);
void pawl__on_keep_nothing(pawl__engine *e);
void pawl__on_close(pawl__engine *e);

#endif
