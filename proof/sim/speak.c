/* SPDX-License-Identifier: MIT */
/*
 * Values beside names, as the flows of src/runtime use them: who holds leaves one, by the token of
 * its lease, and repeats the request until the store has answered, or it gives that up; its release
 * ends the lease. While it holds it may leave another one, also while the first is still on its
 * way: each has a larger number than the one before. Readers of one client do so by a lease that
 * they have together. Others read, and watch.
 */
#include "sim.h"

#include "../../src/base/mutant.h"

#include <inttypes.h>
#include <string.h>

#define SPOKEN_OF_THOUSAND 500
#define AGAIN_OF_THOUSAND  600
#define READ_OF_THOUSAND   300
#define TRIES_MAX          6
#define KEEP_TTLS          2

static sim_client *client_of(sim *s, const sim_caller *caller)
{
    return &s->clients[caller->client];
}

static void ask(sim *s, sim_caller *caller, pawl_request request)
{
    sim_client *client = client_of(s, caller);
    request.id = SIM_VALUE_ID + (uint64_t)caller->number;
    request.name = sim_names[caller->name];
    request.name_len = strlen(request.name);
    request.answer_by = sim_client_now(s, client) + s->config.ttl_ms * SIM_MS / 6;
    sim_link_ask(s, client, &request);
    sim_link_flush(s, client);
}

static void publish(sim *s, sim_caller *caller)
{
    sim_speech *speech = &caller->speech;
    speech->tries++;
    ask(s, caller,
        (pawl_request){.verb = PAWL_VERB_PUBLISH,
                       .token = speech->token,
                       .value = speech->text,
                       .value_len = strlen(speech->text),
                       .keep_ms = s->config.ttl_ms * KEEP_TTLS,
                       .publication = (uint64_t)speech->number});
}

static void speak(sim *s, sim_caller *caller, const char *token, int of_thousand)
{
    sim_speech *speech = &caller->speech;
    if (!s->config.values || speech->asks || !sim_link_is_up(client_of(s, caller))) return;
    if (!sim_chance(&caller->random, of_thousand)) return;
    int64_t serial = ++s->seen.speeches;
    *speech = (sim_speech){.asks = true,
                           .number = PAWL_MUTANT(publications_have_one_number) ? 1 : serial,
                           .incarnation = client_of(s, caller)->incarnation};
    snprintf(speech->token, sizeof speech->token, "%s", token);
    snprintf(speech->text, sizeof speech->text, "%d %" PRId64, sim_token_number(s, token), serial);
    caller->spoke = true;
    SIM_NOTE(s, caller->client, "caller %d publishes \"%s\"", caller->number, speech->text);
    publish(s, caller);
}

void sim_value_granted(sim *s, sim_caller *caller, const char *token)
{
    caller->spoke = false;
    speak(s, caller, token, SPOKEN_OF_THOUSAND);
}

/* Perhaps what it has published before is still on its way. */
void sim_value_speak_again(sim *s, sim_caller *caller)
{
    char token[PAWL_TOKEN_LEN + 1];
    if (caller->state != SIM_CALLER_HOLDING || !caller->spoke) return;
    snprintf(token, sizeof token, "%s", caller->speech.token);
    speak(s, caller, token, AGAIN_OF_THOUSAND);
}

void sim_value_look(sim *s, sim_caller *caller)
{
    if (!s->config.values || caller->speech.asks || !sim_link_is_up(client_of(s, caller))) return;
    if (!sim_chance(&caller->random, READ_OF_THOUSAND)) return;
    caller->speech =
        (sim_speech){.asks = true, .reads = true, .incarnation = client_of(s, caller)->incarnation};
    ask(s, caller,
        (pawl_request){.verb = PAWL_VERB_READ,
                       .token = "",
                       .flags = PAWL_ASK_WATCH,
                       .ttl_ms = (int32_t)s->config.ttl_ms});
}

/* The store, or the link, has answered. */
void sim_value_answered(sim *s, sim_client *client, const pawl_reply *reply)
{
    sim_caller *caller = &s->callers[reply->id - SIM_VALUE_ID];
    sim_speech *speech = &caller->speech;
    if (!speech->asks || speech->incarnation != client->incarnation) return;
    bool again = reply->outcome == PAWL_UNKNOWN || reply->outcome == PAWL_FAILED;
    bool holds = caller->state == SIM_CALLER_HOLDING && caller->spoke;
    speech->doubt |= reply->outcome == PAWL_UNKNOWN;
    if (!speech->reads && again && holds && speech->tries < TRIES_MAX && sim_link_is_up(client)) {
        SIM_REACHED(s, published_again);
        publish(s, caller);
        return;
    }
    speech->asks = false;
    if (speech->reads) return;
    if (reply->outcome == PAWL_CONFIRMED) SIM_REACHED(s, published);
    check_speech_told(s, speech->text, reply->outcome, speech->doubt);
    if (holds) sim_value_speak_again(s, caller);
}

/* Its program is gone. */
void sim_value_ended(sim_caller *caller)
{
    caller->speech.asks = false;
    caller->spoke = false;
}
