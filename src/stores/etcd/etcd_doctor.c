/* SPDX-License-Identifier: MIT */
/* DOCTOR: what in the cluster's state endangers locks. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_MS     1000
#define YOUNG       INT64_C(1000)      /* revisions */
#define QUOTA_BYTES (INT64_C(2) << 30) /* the server's default */
#define FULL_BYTES  (QUOTA_BYTES / 10 * 8)

typedef struct visit {
    pawl__etcd_call call;
    pawl_store *store;
    uint64_t id;
    int64_t sent_at;
} visit;

static void find(const visit *v, pawl_severity severity, const char *topic, const char *text,
                 const char *advice)
{
    pawl_finding finding = {.size = sizeof finding,
                            .severity = severity,
                            .topic = topic,
                            .text = text,
                            .advice = advice};
    v->store->host->finding(v->store->host, v->id, &finding);
}

/* ---- Findings ------------------------------------------------------------------------------ */

static void look_at_version(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    const char *version = v->store->link.version;
    bool bugs = pawl__etcd_has_lease_bugs(version);
    snprintf(text, sizeof text, "etcd %.31s at %.300s%s", version, pawl__etcd_endpoint(v->store),
             bugs ? ", which has known faults with leases: it may answer a keep-alive well while "
                    "it revokes the lease"
                  : "");
    pawl__line_mend(text);
    find(v, bugs ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "version", text,
         bugs ? "update to 3.4.38, 3.5.23, 3.6.5 or newer, and let resources check fences" : "");
}

static void look_at_room(const visit *v, json_t *status)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t size = 0, used = 0;
    if (!pawl__etcd_number(status, "dbSize", &size)) size = 0;
    if (!pawl__etcd_number(status, "dbSizeInUse", &used)) used = 0;
    bool full = size > FULL_BYTES;
    snprintf(text, sizeof text, "the database has %" PRId64 " MB, of which %" PRId64 " MB are used",
             size >> 20, used >> 20);
    find(v, full ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "space", text,
         full ? "compact and defragment before --quota-backend-bytes is reached, or raise that: "
                "a full etcd grants no lock"
              : "");
}

static void look_at_leader(const visit *v, json_t *status)
{
    int64_t leader = 0;
    const char *id = json_string_value(json_object_get(status, "leader"));
    bool has_one = id && strcmp(id, "0") != 0;
    if (!id) has_one = pawl__etcd_number(status, "leader", &leader) && leader;
    find(v, has_one ? PAWL_SEVERITY_OK : PAWL_SEVERITY_ERROR, "leader",
         has_one ? "the cluster has a leader" : "this server knows no leader: it grants nothing",
         has_one ? "" : "see that a majority of the members runs and can reach each other");
    int64_t revision = pawl__etcd_revision(status);
    if (revision >= YOUNG) return;
    char text[PAWL_MESSAGE_MAX];
    snprintf(text, sizeof text,
             "the cluster is young (revision %" PRId64 "): fences are revisions, so those of a "
             "cluster that it replaces are larger",
             revision);
    find(v, PAWL_SEVERITY_NOTE, "fence", text,
         "if there was one before, let resources forget its fences");
}

static void look_at_members(const visit *v, json_t *answer)
{
    char text[PAWL_MESSAGE_MAX];
    size_t count = json_array_size(json_object_get(answer, "members"));
    snprintf(text, sizeof text, "the cluster has %zu member%s", count, count == 1 ? "" : "s");
    bool weak = count < 3 || count % 2 == 0;
    find(v,
         count < 3 ? PAWL_SEVERITY_WARNING
         : weak    ? PAWL_SEVERITY_NOTE
                   : PAWL_SEVERITY_OK,
         "members", text,
         count < 3 ? "three members survive the loss of one; fewer survive none"
         : weak    ? "an even number survives no more losses than one member less"
                   : "");
}

static void look_at_alarms(const visit *v, json_t *answer)
{
    json_t *alarms = json_object_get(answer, "alarms"), *each;
    size_t i;
    bool any = false;
    json_array_foreach(alarms, i, each)
    {
        const char *kind = json_string_value(json_object_get(each, "alarm"));
        bool space = kind && strcmp(kind, "NOSPACE") == 0;
        any = true;
        find(v, PAWL_SEVERITY_ERROR, "alarm",
             space ? "the alarm NOSPACE is raised: no lock is granted, and none is renewed safely"
                   : "the alarm CORRUPT is raised: a member's data differs from the others'",
             space ? "compact, defragment, then etcdctl alarm disarm"
                   : "remove the corrupt member and add it anew");
    }
    if (!any) find(v, PAWL_SEVERITY_OK, "alarm", "no alarm is raised", "");
}

static void look_at_speed(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t took_ms = (v->store->host->now() - v->sent_at) / PAWL__NS_PER_MS;
    snprintf(text, sizeof text, "three questions took %" PRId64 " ms", took_ms);
    find(v, took_ms >= SLOW_MS ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "latency", text,
         took_ms >= SLOW_MS ? "a ttl should be many times that" : "");
}

/* ---- The questions ------------------------------------------------------------------------- */

static void end(pawl_store *store, pawl_outcome outcome, pawl_err err, const char *message)
{
    visit *v = store->visit;
    pawl_reply reply = {.id = v->id, .outcome = outcome, .err = err, .message = message};
    reply.position = reply.holder_ms = -1;
    store->visit = NULL;
    store->visit_by = PAWL__NEVER;
    store->host->reply(store->host, &reply);
    pawl__etcd_call_end(store, &v->call);
    free(v);
}

typedef void answered_fn(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer);

static void ask(visit *v, const char *path, const char *body, answered_fn *answered)
{
    v->call.answered = answered;
    pawl__etcd_add(&v->call.body, "%s", body);
    pawl__etcd_ask(v->store, &v->call, path, false);
}

/* What may not be asked, with auth, is said; the other findings are told nevertheless. */
static bool is_told(const visit *v, const char *topic, const pawl__etcd_answer *answer)
{
    char text[PAWL_MESSAGE_MAX];
    if (answer->fate == PAWL__ETCD_DONE) return true;
    snprintf(text, sizeof text, "unknown: %.300s", answer->message);
    find(v, PAWL_SEVERITY_NOTE, topic, text, "");
    return false;
}

static void on_members(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    visit *v = pawl__container(call, visit, call);
    if (is_told(v, "members", answer)) look_at_members(v, answer->root);
    look_at_speed(v);
    end(store, PAWL_REPORTED, PAWL_OK, NULL);
}

static void on_alarms(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    visit *v = pawl__container(call, visit, call);
    (void)store;
    if (is_told(v, "alarm", answer)) look_at_alarms(v, answer->root);
    ask(v, "/v3/cluster/member/list", "{}", on_members);
}

static void on_status(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    visit *v = pawl__container(call, visit, call);
    (void)store;
    look_at_version(v);
    if (is_told(v, "leader", answer)) {
        look_at_leader(v, answer->root);
        look_at_room(v, answer->root);
    }
    ask(v, "/v3/maintenance/alarm", "{\"action\":\"GET\"}", on_alarms);
}

bool pawl__etcd_doctor(pawl_store *store, const pawl_request *request)
{
    visit *v = store->visit ? NULL : calloc(1, sizeof *v);
    if (!v) return false;
    v->store = store;
    v->id = request->id;
    v->sent_at = store->host->now();
    store->visit = v;
    store->visit_by = request->answer_by;
    pawl__answers_arm(&store->answers, store->visit_by);
    ask(v, "/v3/maintenance/status", "{}", on_status);
    return true;
}

void pawl__etcd_doctor_lost(pawl_store *store)
{
    if (store->visit) end(store, PAWL_FAILED, store->link.err, store->link.message);
}

void pawl__etcd_doctor_done(pawl_store *store)
{
    visit *v = store->visit;
    if (v) pawl__etcd_call_end(store, &v->call);
    free(v);
    store->visit = NULL;
    store->visit_by = PAWL__NEVER;
}
