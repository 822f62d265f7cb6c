/* SPDX-License-Identifier: MIT */
/* Clients of a store that does what the test says, at the moment that it chooses (store_fake.h). */
#ifndef PAWL_TESTS_RUNTIME_SCRIPTED_H
#define PAWL_TESTS_RUNTIME_SCRIPTED_H

#include "pawl/pawl.h"
#include "store_fake.h"

extern fake_script *script; /* of the module that was loaded */

/* dir: where the module is; clients look for it there from now on. */
void scripted_load(const char *dir);
/* A client of that store, whose script is empty again. opts NULL: short time-outs. */
pawl_client *scripted_client(const pawl_open_opts *opts);
/* The options that it has then. */
void scripted_opts(pawl_open_opts *opts);

/* For script->answers: the store says of each renewal that the lease is not ours. */
bool scripted_not_the_owner(pawl_host *host, const pawl_request *request, pawl_reply *reply);
/* The first renewal fails, the next ones do not; with a message of two lines. */
bool scripted_renewal_fails_once(pawl_host *host, const pawl_request *request, pawl_reply *reply);

#endif
