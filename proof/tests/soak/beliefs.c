/* SPDX-License-Identifier: MIT */
/*
 * Who may believe to hold what. A promise reaches from the return of the acquisition to the latest
 * deadline that the holder was told of, or until just before it lets go. No two overlap.
 */
#define _GNU_SOURCE
#include "soak.h"

#define NOBODY_SINCE INT64_MAX

typedef struct belief {
    const void *who;
    int fleet, generation;
    int64_t since, until;
    uint64_t fence;  /* the largest that was granted */
    uint64_t broken; /* holds up to this one may have been broken: their holders learn it late */
} belief;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static belief beliefs[NAMES];
static int closing[CLIENTS]; /* the latest generation that is being closed */

uint64_t belief_before(int name)
{
    pthread_mutex_lock(&mutex);
    uint64_t fence = beliefs[name].fence;
    pthread_mutex_unlock(&mutex);
    return fence;
}

static bool is_closing(const believer *c)
{
    return c->generation <= closing[c->fleet];
}

/* Between the return of its call and this line the holder may have lost it, and another got it. */
static bool overlaps(const belief *k, const believer *c, int64_t at, int64_t until)
{
    if (!k->who || k->who == c->who || until <= at) return false; /* lost before it was seen */
    return k->since <= at ? k->until > at : until > k->since;
}

void belief_granted(const believer *c, uint64_t fence, uint64_t fence_before, int64_t at,
                    int64_t until)
{
    pthread_mutex_lock(&mutex);
    belief *k = &beliefs[c->name];
    bool counts = !is_closing(c) && fence > k->broken;
    if (counts && overlaps(k, c, at, until))
        FAIL_TEST("%s: two at once: fence %llu from %lld to %lld ns, the other from %lld to %lld, "
                  "the largest fence was %llu",
                  soak_names[c->name], (unsigned long long)fence, (long long)at, (long long)until,
                  (long long)k->since, (long long)k->until, (unsigned long long)k->fence);
    if (counts && fence < fence_before) /* a kept lease that was broken may not know it yet */
        FAIL_TEST("%s: fence %llu was granted after %llu", soak_names[c->name],
                  (unsigned long long)fence, (unsigned long long)fence_before);
    if (fence > k->fence) k->fence = fence;
    if (counts && until > at && (!k->who || k->since <= at)) {
        k->who = c->who;
        k->fleet = c->fleet;
        k->generation = c->generation;
        k->since = at;
        k->until = until;
    }
    pthread_mutex_unlock(&mutex);
}

void belief_looked(const believer *c, uint64_t fence, int64_t until)
{
    pthread_mutex_lock(&mutex);
    belief *k = &beliefs[c->name];
    if (k->who == c->who) {
        if (until > k->until && !is_closing(c)) k->until = until;
    } else if (k->who && until > k->since && !is_closing(c) && fence > k->broken) {
        FAIL_TEST("%s: two at once: fence %llu is still promised, and fence %llu was granted %lld "
                  "us before that ends",
                  soak_names[c->name], (unsigned long long)fence, (unsigned long long)k->fence,
                  (long long)(until - k->since) / 1000);
    }
    pthread_mutex_unlock(&mutex);
}

static void free_belief(belief *k)
{
    k->who = NULL;
    k->since = NOBODY_SINCE;
    k->until = 0;
}

void belief_letgo(const believer *c)
{
    pthread_mutex_lock(&mutex);
    if (beliefs[c->name].who == c->who) free_belief(&beliefs[c->name]);
    pthread_mutex_unlock(&mutex);
}

void belief_closes(int which, int generation)
{
    pthread_mutex_lock(&mutex);
    closing[which] = generation;
    for (int name = 0; name < NAMES; name++) {
        belief *k = &beliefs[name];
        if (k->who && k->fleet == which && k->generation <= generation) free_belief(k);
    }
    pthread_mutex_unlock(&mutex);
}

/* Its holder may not even have come to say that it has it. */
void belief_breaks(int name, uint64_t fence)
{
    pthread_mutex_lock(&mutex);
    belief *k = &beliefs[name];
    if (fence > k->broken) k->broken = fence;
    if (k->fence <= fence) free_belief(k);
    pthread_mutex_unlock(&mutex);
}
