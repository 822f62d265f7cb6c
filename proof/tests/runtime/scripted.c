/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "scripted.h"

#include "check.h"

#include <dlfcn.h>
#include <stdlib.h>

fake_script *script;

void scripted_load(const char *dir)
{
    char path[600];
    snprintf(path, sizeof path, "%s/pawl-store-fake.so", dir);
    void *module = dlopen(path, RTLD_NOW | RTLD_NODELETE);
    if (!module) FAIL_TEST("%s", dlerror());
    script = dlsym(module, FAKE_SCRIPT_NAME);
    CHECK(script && setenv("PAWL_MODULES", dir, 1) == 0);
}

void scripted_opts(pawl_open_opts *opts)
{
    pawl_open_opts_init(opts);
    opts->store_timeout_ms = 1000;
    opts->close_timeout_ms = 100;
}

pawl_client *scripted_client(const pawl_open_opts *given)
{
    pawl_open_opts opts;
    scripted_opts(&opts);
    if (given) opts = *given;
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    script->answers = NULL;
    script->ticks = NULL;
    for (int i = 0; i < PAWL_VERB_COUNT; i++) script->submitted[i] = 0;
    if (pawl_client_open("fake:scripted", &opts, &client, message)) FAIL_TEST("%s", message);
    return client;
}

bool scripted_not_the_owner(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb == PAWL_VERB_RENEW) reply->outcome = PAWL_NOT_OWNER;
    return true;
}

bool scripted_renewal_fails_once(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_RENEW || script->submitted[PAWL_VERB_RENEW] > 1) return true;
    reply->outcome = PAWL_FAILED;
    reply->err = PAWL_ERR_STORE_BUSY;
    reply->message = "come\nback later";
    return true;
}
