/* SPDX-License-Identifier: MIT */
#include "answers.h"

#include "../../base/instant.h"

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    pawl__answers *answers = arg;
    (void)fd, (void)what;
    pawl__answers_rest(answers);
    int64_t next = answers->next(answers->store);
    if (next > answers->now())
        pawl__answers_arm(answers, next);
    else
        answers->late(answers->store);
}

bool pawl__answers_init(pawl__answers *answers, pawl_store *store, const pawl_host *host,
                        int64_t (*next)(pawl_store *), void (*late)(pawl_store *))
{
    *answers = (pawl__answers){
        .at = PAWL__NEVER, .store = store, .now = host->now, .next = next, .late = late};
    return pawl__timer_add(&answers->timer, host->base, on_due, answers);
}

void pawl__answers_arm(pawl__answers *answers, int64_t answer_by)
{
    if (answer_by >= answers->at) return;
    answers->at = answer_by;
    pawl__timer_set(&answers->timer, answer_by - answers->now());
}

void pawl__answers_rest(pawl__answers *answers)
{
    answers->at = PAWL__NEVER;
    pawl__timer_set(&answers->timer, PAWL__NEVER);
}

void pawl__answers_done(pawl__answers *answers)
{
    event_del(&answers->timer);
}
