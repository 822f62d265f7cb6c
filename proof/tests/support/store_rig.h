/* SPDX-License-Identifier: MIT */
/* What the tests of one store on its real servers share. Each store's rig.h includes it. */
#ifndef PAWL_TESTS_STORE_RIG_H
#define PAWL_TESTS_STORE_RIG_H

#include "check.h"
#include "test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <sys/types.h>

#ifndef LONG_MS
#define LONG_MS 60000
#endif

extern const pawl_store_ops pawl_store_entry;

/* Ends the program with 77 and that reason unless there is a server to start. */
void rig_need(bool exists, const char *reason);
/* A name that no other case has; static storage of the program. */
const char *rig_name(void);
/* Asks and requires the outcome; failing shows both. */
const seen_reply *rig_expect(client *c, pawl_request request, pawl_outcome outcome);
/* Asks the doctor, whose words about the latency are at most what the test saw itself; and two at
 * once. */
void rig_ask_doctor(client *c);
/* Asks until there is a clear answer: what is unknown is asked again with the same token. */
const seen_reply *rig_ask_until_known(client *c, pawl_request request);
/* Asks until that is the outcome. */
const seen_reply *rig_ask_until(client *c, pawl_request request, pawl_outcome outcome);
/* Asks until the token has the lock; for as long as the store's own LONG_MS. */
static inline const seen_reply *rig_acquire_soon(client *c, const char *name, const char *token)
{
    return rig_ask_until(c, ask_queue(name, token, LONG_MS), PAWL_GRANTED);
}
/* Has half a second for each answer, as with a short lease: one of 20 tries, each on the connection
 * that is up then, is granted. */
void rig_expect_in_the_end(client *c);
/* Acquires a lock and gives it back. */
void rig_lock_and_unlock(client *c);
/* The link's latest refusal, as soon as there is one. */
const seen_link *rig_await_refusal(client *c);
/* Runs the loop until the client's latest link message has `part` in it. */
void rig_await_words(client *c, const char *part);
/* A client of this address is refused, with this error and these words. */
void rig_expect_refusal(test_loop *loop, const store_address *address, pawl_err err,
                        const char *words);

/* A process of its own, with a client of its own, that asks for "x" and then stands still; it ends
 * with the test. */
pid_t rig_start_process(const store_address *address, const char *owner, const char *token);
void rig_kill_process(pid_t child);

#endif
