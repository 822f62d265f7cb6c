/* SPDX-License-Identifier: MIT */
/*
 * What fake:scripted does is said by the test, which finds this in the module by its name. The
 * functions run in the client's loop and may block there. A request's name and token may be
 * gone when it is answered; its verb and id are not.
 */
#ifndef PAWL_TESTS_RUNTIME_STORE_FAKE_H
#define PAWL_TESTS_RUNTIME_STORE_FAKE_H

#include "pawl/store.h"

#include <stdatomic.h>

/* Atomic members: a test writes its script while the client's loop runs already. */
typedef struct fake_script {
    /* Before a request is answered; may change the reply. false: it never is. */
    bool (*_Atomic answers)(pawl_host *host, const pawl_request *request, pawl_reply *reply);
    /* Each millisecond. */
    void (*_Atomic ticks)(pawl_host *host);
    atomic_int submitted[PAWL_VERB_COUNT]; /* by verb, and flushed */
} fake_script;

#define FAKE_SCRIPT_NAME "pawl_fake_script"

#endif
