/* SPDX-License-Identifier: MIT */
/*
 * Calls from a floor to those above: the tables of the pump and the calls, and the functions in
 * them. (The pump itself has the table of the gate.)
 */
#include "../base/instant.h"
#include "client.h"

/* ---- The pump: acquisitions and queries -------------------------------------------------------
 */

static bool is_asked(const pawl_client *c)
{
    return !pawl__list_empty(&c->acquisitions.asked) || !pawl__list_empty(&c->queries.asked);
}

static void take_asked(pawl_client *c)
{
    pawl__acquisitions_tell(&c->acquisitions);
    pawl__queries_take(&c->queries);
}

static void on_action(pawl_client *c, const pawl__action *action)
{
    pawl__acquisitions_act(&c->acquisitions, action);
}

static bool on_reply(pawl_client *c, const pawl_reply *reply)
{
    return pawl__queries_reply(&c->queries, reply);
}

static void on_row(pawl_client *c, uint64_t id, const pawl_info *info)
{
    pawl__queries_row(&c->queries, id, info);
}

static void on_finding(pawl_client *c, uint64_t id, const pawl_finding *finding)
{
    pawl__queries_finding(&c->queries, id, finding);
}

static bool on_push(pawl_client *c, const pawl_push *push)
{
    if (push->kind != PAWL_PUSH_NEWS) return false;
    pawl__queries_push(&c->queries, push);
    return true;
}

static void on_link(pawl_client *c)
{
    pawl__queries_link(&c->queries);
}

static bool awaits_link(const pawl_client *c)
{
    return pawl__queries_are_awaited(&c->queries);
}

static int64_t due(const pawl_client *c)
{
    return pawl__instant_min(pawl__queries_deadline(&c->queries),
                             pawl__retention_deadline(&c->acquisitions));
}

static void on_time(pawl_client *c, int64_t now)
{
    pawl__queries_time(&c->queries, now);
    pawl__retention_time(&c->acquisitions, now);
}

static void end_all(pawl_client *c, int err)
{
    pawl__acquisitions_end(&c->acquisitions, err);
    pawl__queries_end(&c->queries, err);
}

/* In a callback on our own thread of them. */
static bool comes_back(const pawl_client *c)
{
    return c->calls.has_runner && pawl__calls_is_inside(&c->calls);
}

static void on_overdue(pawl_client *c)
{
    pawl__acquisitions_tell_overdue(&c->acquisitions);
}

static const pawl__pump_ops pump_ops = {.is_asked = is_asked,
                                        .take_asked = take_asked,
                                        .action = on_action,
                                        .reply = on_reply,
                                        .row = on_row,
                                        .finding = on_finding,
                                        .push = on_push,
                                        .link = on_link,
                                        .awaits_link = awaits_link,
                                        .due = due,
                                        .time = on_time,
                                        .end = end_all,
                                        .overdue = on_overdue,
                                        .comes_back = comes_back};

/* ---- The calls: acquisitions, and who is in pawl_client_wait ----------------------------------
 */

static bool run_call(pawl_client *c, pawl__link *entry)
{
    return pawl__acquisition_run_call(&c->calls,
                                      pawl__container(entry, pawl__acquisition, in_calls));
}

static bool run_note(pawl_client *c, pawl__link *note)
{
    return pawl__trace_run(&c->trace, note);
}

static bool run_answer(pawl_client *c, pawl__link *answer)
{
    return pawl__query_run(&c->calls, answer);
}

static void announce_call(pawl_client *c)
{
    if (c->in_wait) c->in_wait->complete = true;
    if (c->calls.has_runner) pawl__gate_call(&c->gate);
}

static bool await_call(pawl_client *c)
{
    return pawl__gate_own_for_calls(&c->gate);
}

static const pawl__calls_ops calls_ops = {.run = run_call,
                                          .run_note = run_note,
                                          .run_answer = run_answer,
                                          .announce = announce_call,
                                          .await = await_call};

void pawl__floors_init(pawl_client *c, const pawl_store_ops *store_ops)
{
    pawl__gate_init(&c->gate, &pawl__pump_gate_ops, &c->pump);
    pawl__calls_init(&c->calls, &calls_ops, c, &c->gate.mutex, &c->opts);
    pawl__trace_init(&c->trace, &c->calls, &c->opts);
    pawl__pump_init(&c->pump, &pump_ops, c, store_ops);
    c->pump.gate = &c->gate;
    c->pump.trace = &c->trace;
    c->pump.messages = &c->messages;
    pawl__queries_init(&c->queries, &c->pump, &c->calls);
    pawl__acquisitions_init(&c->acquisitions, &c->gate, &c->calls, &c->trace, &c->pump,
                            &c->messages);
}
