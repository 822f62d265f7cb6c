/* SPDX-License-Identifier: MIT */
/*
 * A history: a directory of text files, one for each who took part.
 *
 *   run             what was run:                "NAME VALUE", one a line
 *   worker-SLOT.N   what a worker did; N counts the processes that had this slot:
 *                   "AT WHAT LOCK FENCE NUMBER", WHAT and NUMBER by the list below; in the
 *                   note "as" FENCE is how many permits are wanted
 *   faults          what was done to them:
 *                   "AT begin FAULT SLOT.N HURTS", "AT end FAULT SLOT.N 0"
 *                       SLOT.N: the worker it hit, "-" if none. HURTS: torture_hurt, below
 *                   "AT forgets FAULT - 0"
 *                       before or after this instant the store lost what it had acknowledged,
 *                       or its clock was set forward (A5 and A2 of docs/guarantees.md). Where
 *                       one instant cannot say it there are two, one on each side
 *                   "AT loses FAULT - 0"         the same, but a guard lets no lease be
 *                       granted again before its time: only what stood beside the names is lost
 *                   "AT died - SLOT.N STATUS"    a worker's end as of wait(2)
 *                   "AT stood - - NS"            the machine stood still for NS, until AT
 *                   "AT starved - - NS"          of the time since some 100 ms before AT a thread
 *                       of a server, a proxy or a worker waited NS for a processor
 *                   "AT hurt - - COMMANDS"       until here nothing was hurt
 *                   "AT calm - - COMMANDS"       from here on nothing is hurt
 *                   "AT over - - COMMANDS"       all workers have left. COMMANDS: executed by
 *                       the server since it started, -1 if that is not known
 *   resource        each write that the protected resource accepted, in its order:
 *                   "LOCK KIND FENCE VALUE SLOT.N", KIND fenced or plain
 *   after           what was left at the store when all had gone; empty is good
 *
 * AT is CLOCK_BOOTTIME in ns. What was begun and has no end stays open: it may or may not have
 * been done.
 */
#ifndef PAWL_TORTURE_HISTORY_H
#define PAWL_TORTURE_HISTORY_H

#include "torture.h"

/* name, word; then what NUMBER is, and whether AT is before or after the call */
#define TORTURE_NOTE_LIST(X)                                                                       \
    X(UP, "up")         /* began to work; process id */                                            \
    X(AS, "as")         /* before ask, unless it is exclusive; the mode, a pawl_mode */            \
    X(ASK, "ask")       /* before acquire; longest wait in ms */                                   \
    X(SLOTS, "slots")   /* before got: which permits; bit N: slot N */                             \
    X(GOT, "got")       /* after acquire; ms until the local deadline, read after AT */            \
    X(NOT, "not")       /* after an acquire that failed; error */                                  \
    X(HELD, "held")     /* told "held"; AT before asking; ms until the deadline, read after AT */  \
    X(GONE, "gone")     /* told "not held" before any release; AT after asking; error or 0 */      \
    X(TOLD, "told")     /* the loss was signalled; error */                                        \
    X(RAISE, "raise")   /* before an upgrade to exclusive; longest wait in ms */                   \
    X(RAISED, "raised") /* after it, and AT after the call; error or 0; FENCE is the new one */    \
    X(LOWER, "lower")   /* before a downgrade; the mode */                                         \
    X(LOWERED, "lowered") /* after it; error or 0 */                                               \
    X(LETGO, "letgo")     /* before release; longest wait for the store's word in ms, -1: none */  \
    X(FREED, "freed")     /* after release; error or 0 */                                          \
    X(READ, "read")       /* the resource let us read under our fence; value */                    \
    X(ADD, "add")         /* before a fenced write; value */                                       \
    X(ADDED, "added")     /* it was accepted; value */                                             \
    X(REFUSED, "refused") /* a larger fence was there; value, or 0 of a read */                    \
    X(FAILED, "failed")   /* the resource failed: may or may not have been done; value */          \
    X(PARTED, "parted")   /* AT before a detach: the lease lives on; ms until its deadline */      \
    X(BREAK, "break")     /* before the hold with that fence is broken, whoever has it; 0 */       \
    X(BROKE, "broke")     /* after it; error or 0 */                                               \
    X(AGAIN, "again")     /* another client gave back a permit, and asked anew; torture_again */   \
    X(CHILD, "child")     /* a child of fork has asked; 0: all was refused, else what was not */   \
    X(RIVAL, "rival")     /* after a try by another client of this process; error or 0 */          \
    X(SAY, "say")         /* before a value is published by the lease; which value */              \
    X(SAID, "said")       /* after it; error or 0 */                                               \
    X(LISTEN, "listen")   /* before the value beside the name is read; 0 */                        \
    X(HEARD, "heard")     /* after it; which value, 0: none. FENCE: of the lease that holds, by    \
                             which it was published */                                             \
    X(STOOD, "stood")     /* did not get to run until AT, for whatever reason; for so many ns */   \
    X(JOB_BEGINS, "job")  /* before a run of the job is begun; longest wait in ms */               \
    X(RUN, "run")         /* after it; error or 0. FENCE: the number of the period */              \
    X(ENDING, "ending")   /* before it is told how the run went; longest wait in ms. FENCE:        \
                             whether it counts */                                                  \
    X(ENDED, "ended")     /* after it; error or 0 */                                               \
    X(COUNT_BEGINS, "count") /* before a latch is counted down by one; longest wait in ms. FENCE,  \
                              of all notes of a latch: which one */                                \
    X(AWAIT, "await")        /* before a wait for a latch; longest wait in ms */                   \
    X(LEFT, "left")          /* before the end of both, if the store has told it; how many are to  \
                                come */                                                            \
    X(COUNTED, "counted")    /* after a count; error or 0 */                                       \
    X(AWAITED, "awaited")    /* after a wait; error or 0 */                                        \
    X(MEET, "meet")          /* before a barrier; longest wait in ms */                            \
    X(MET, "met")            /* after it; error or 0. FENCE: the generation, if it was passed */   \
    X(CLOSES, "closes") /* before all is closed, which ends events that were not told yet; 0 */    \
    X(DOWN, "down")     /* all closed, about to exit; 0 */

typedef enum torture_note {
#define TORTURE_NOTE_ENUM(name, word) TORTURE_##name,
    TORTURE_NOTE_LIST(TORTURE_NOTE_ENUM)
#undef TORTURE_NOTE_ENUM
        TORTURE_NOTE_COUNT
} torture_note;

extern const char *const torture_note_words[TORTURE_NOTE_COUNT];

/* Who may lose a lock by a fault, or wait longer. */
typedef enum torture_hurt {
    TORTURE_HURTS_ALL = 0,
    TORTURE_HURTS_ITS_WORKER,
    TORTURE_HURTS_NOBODY
} torture_hurt;

/* The error of a release whose client was closed instead: no word from the store. */
#define TORTURE_NO_WORD (-1000)

#endif
