/* SPDX-License-Identifier: MIT */
/*
 * A history: a directory of text files, one for each who took part.
 *
 *   run             what was run:                "NAME VALUE", one a line
 *   worker-SLOT.N   what a worker did; N counts the processes that had this slot:
 *                   "AT WHAT LOCK FENCE NUMBER", WHAT and NUMBER by the list below
 *   faults          what was done to them:
 *                   "AT begin FAULT SLOT.N HURTS", "AT end FAULT SLOT.N 0"
 *                       SLOT.N: the worker it hit, "-" if none. HURTS: torture_hurt, below
 *                   "AT forgets FAULT - 0"
 *                       before or after this instant the store lost what it had acknowledged,
 *                       or its clock was set forward (A5 and A2 of docs/guarantees.md). Where
 *                       one instant cannot say it there are two, one on each side
 *                   "AT died - SLOT.N STATUS"    a worker's end as of wait(2)
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
    X(UP, "up")       /* began to work; process id */                                              \
    X(ASK, "ask")     /* before acquire; longest wait in ms */                                     \
    X(GOT, "got")     /* after acquire; ms until the local deadline, read after AT */              \
    X(NOT, "not")     /* after an acquire that failed; error */                                    \
    X(HELD, "held")   /* told "held"; AT before asking; ms until the deadline, read after AT */    \
    X(GONE, "gone")   /* told "not held" before any release; AT after asking; error or 0 */        \
    X(TOLD, "told")   /* the loss was signalled; error */                                          \
    X(LETGO, "letgo") /* before release; longest wait for the store's word in ms, -1: none */      \
    X(FREED, "freed") /* after release; error or 0 */                                              \
    X(READ, "read")   /* the resource let us read under our fence; value */                        \
    X(ADD, "add")     /* before a fenced write; value */                                           \
    X(ADDED, "added") /* it was accepted; value */                                                 \
    X(REFUSED, "refused") /* a larger fence was there; value, or 0 of a read */                    \
    X(FAILED, "failed")   /* the resource failed: may or may not have been done; value */          \
    X(PARTED, "parted")   /* AT before a detach: the lease lives on; ms until its deadline */      \
    X(BREAK, "break")     /* before the hold with that fence is broken, whoever has it; 0 */       \
    X(BROKE, "broke")     /* after it; error or 0 */                                               \
    X(CHILD, "child")     /* a child of fork has asked; 0: all was refused, else what was not */   \
    X(RIVAL, "rival")     /* after a try by another client of this process; error or 0 */          \
    X(DOWN, "down")       /* all closed, about to exit; 0 */

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
