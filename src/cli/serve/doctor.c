/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include "../json.h"
#include "../session.h"
#include "../store.h"

#define FRESH_MS 60000 /* an examination costs a second or two: for so long its findings do */

static void on_finding(const pawl_finding *finding, void *userdata)
{
    json_array_append_new(userdata, cli_json_of_finding(finding));
}

void serve_examine(serve *s, serve_job *job)
{
    int64_t now = cli_now_ms();
    int err = PAWL_OK;
    if (!s->findings || now - s->findings_ms >= FRESH_MS) {
        json_t *found = json_array();
        err = pawl_doctor(s->asker, CLI_NOT_WAITING, on_finding, found);
        if (!err) {
            json_decref(s->findings);
            s->findings = json_incref(found);
            s->findings_ms = now = cli_now_ms();
        }
        json_decref(found);
    }
    job->status = err ? 503 : 200;
    job->answer = err ? serve_trouble_json(s, err) : json_object();
    if (!err) /* a copy: counts of references are not for two threads */
        json_object_set_new(job->answer, "findings", json_deep_copy(s->findings));
    if (!err) json_object_set_new(job->answer, "age_ms", json_integer(now - s->findings_ms));
}
