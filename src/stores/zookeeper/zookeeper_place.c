/* SPDX-License-Identifier: MIT */
/*
 * The nodes that are ours, by token: when they end, which node they wait for, who waits for them.
 * Whatever a watch says is a hint: only a list of the children decides.
 */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LOOK_NS (100 * PAWL__NS_PER_MS)  /* of a holder, for who waits; sooner if its */
#define LOOKS         8                        /* lease is shorter than so many of these */
#define NEXT_LOOK_NS  (1000 * PAWL__NS_PER_MS) /* while somebody waits */
#define AGAIN_NS      (20 * PAWL__NS_PER_MS)
#define END           0u /* kinds of timers */
#define LOOK_AGAIN    1u

typedef struct lost_name {
    pawl__link in_lost;
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
} lost_name;

static pawl__zk_place *place_of(pawl__link *link)
{
    return pawl__container(link, pawl__zk_place, in_places);
}

pawl__zk_place *pawl__zk_place_find(const pawl_store *store, const char *token)
{
    pawl__entry *entry = pawl__table_find(&store->places, token, strlen(token));
    return entry ? pawl__container(entry, pawl__zk_place, entry) : NULL;
}

bool pawl__zk_waits_for(const pawl_store *store, const char *parent)
{
    for (const pawl__link *l = store->place_list.prev; l != &store->place_list; l = l->prev) {
        const pawl__zk_place *p = pawl__container(l, const pawl__zk_place, in_places);
        if (!p->holds && strcmp(p->parent, parent) == 0) return true;
    }
    return false;
}

/* ---- Times ---------------------------------------------------------------------------------- */

static void set_timer(pawl_store *store)
{
    pawl__timer *first = pawl__heap_first(&store->place_times);
    pawl__timer_set(&store->place_timer,
                    first && pawl__zk_is_up(store) ? first->at - store->host->now() : PAWL__NEVER);
}

static void set_time(pawl_store *store, pawl__timer *timer, uint32_t kind, int64_t at)
{
    pawl__heap_set(&store->place_times, timer, at);
    timer->kind = kind & 3u;
    set_timer(store);
}

static void clear_time(pawl_store *store, pawl__timer *timer)
{
    if (pawl__timer_is_set(timer)) pawl__heap_clear(&store->place_times, timer);
}

/* ---- Life ---------------------------------------------------------------------------------- */

void pawl__zk_place_drop(pawl_store *store, pawl__zk_place *p)
{
    pawl__zk_asker_end(&p->asker);
    clear_time(store, &p->end);
    clear_time(store, &p->look_again);
    pawl__list_remove(&p->in_places);
    pawl__table_remove(&store->places, &p->entry);
    explicit_bzero(p->token, sizeof p->token);
    free(p);
}

pawl__zk_place *pawl__zk_place_note(pawl_store *store, const pawl__zk_op *op,
                                    const pawl__zk_node *node)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p) pawl__zk_place_drop(store, p);
    if (!pawl__heap_reserve(&store->place_times, 2 * (store->places.count + 1))) return NULL;
    p = calloc(1, sizeof *p);
    if (!p) return NULL;
    pawl__zk_asker_init(&p->asker);
    p->want = node->want;
    p->has_slots = node->ours && node->has_slots;
    p->slots = node->slots;
    p->fence = (uint64_t)node->created;
    p->in_session = node->session != 0;
    p->version = node->version;
    p->since_us = node->ours ? node->since_us : op->since_us;
    p->name_len = op->name_len;
    memcpy(p->name, op->name, sizeof p->name);
    memcpy(p->parent, op->parent, sizeof p->parent);
    memcpy(p->child, node->child, sizeof p->child);
    snprintf(p->owner, sizeof p->owner, "%s", node->ours ? node->owner : op->owner);
    memcpy(p->token, op->token, sizeof p->token);
    if (!pawl__table_add(&store->places, &p->entry, p->token, strlen(p->token))) {
        free(p);
        return NULL;
    }
    pawl__list_append(&store->place_list, &p->in_places);
    return p;
}

void pawl__zk_place_written(pawl_store *store, pawl__zk_place *p, const pawl__zk_node *node,
                            int64_t life_ms)
{
    p->is_written = false;
    p->version = node->version;
    p->changed = node->changed;
    p->changed_ms = node->changed_ms;
    p->life_ns = pawl__ms_to_ns(life_ms);
    set_time(store, &p->end, END,
             pawl__instant_add(store->host->now(), pawl__ms_to_ns(life_ms + 1)));
}

bool pawl__zk_place_was_over(const pawl__zk_place *p, const pawl__zk_node *node)
{
    bool same_leader = p->changed >> 32 == node->changed >> 32;
    return same_leader && node->changed_ms - p->changed_ms >= p->life_ns / PAWL__NS_PER_MS;
}

static void push(pawl_store *store, const pawl__zk_place *p, pawl_push_kind kind, bool waiting)
{
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl_push push = {.kind = kind,
                      .name = p->name,
                      .name_len = p->name_len,
                      .token = kind == PAWL_PUSH_RECHECK ? NULL : p->token,
                      .fence = p->fence,
                      .waiting = waiting};
    if (kind == PAWL_PUSH_GRANT && p->has_slots) {
        push.slot_count = pawl__zk_slots_list(&p->slots, slots);
        push.slots = slots;
    }
    store->host->push(store->host, &push);
}

/* ---- Looking ------------------------------------------------------------------------------- */

static void look(pawl_store *store, pawl__zk_place *p);

/* Somebody waits, or nobody does. */
static void heed_queue(pawl_store *store, pawl__zk_place *p, bool waiting)
{
    if (waiting && !p->told) push(store, p, PAWL_PUSH_YIELD, false);
    p->told = waiting;
}

/* Its time is over by our clock. If another client with our token has written it since, it stays.
 */
static void end(pawl_store *store, pawl__zk_place *p)
{
    if (p->is_written) { /* the answer to that shows whether it came in time */
        set_time(store, &p->end, END, store->host->now() + AGAIN_NS);
        return;
    }
    pawl__zk_delete(store, p->parent, p->child, p->version);
    pawl__zk_place_drop(store, p);
}

static bool is_over(const pawl_store *store, const pawl__zk_place *p)
{
    return pawl__timer_is_set(&p->end) && p->end.at <= store->host->now();
}

static void decide(pawl_store *store, pawl__zk_place *p, const pawl__zk_view *view)
{
    if (!view->has_own) {
        push(store, p, PAWL_PUSH_RECHECK, false);
        pawl__zk_place_drop(store, p);
    } else if (!p->holds && is_over(store, p)) {
        end(store, p);
    } else if (view->has_before && !p->holds) {
        pawl__zk_place_waits(store, p, view);
    } else if (!p->holds && p->want.mode == PAWL_MODE_PERMIT) {
        if (!p->takes_turn) store->take_turn(store, p);
    } else if (!p->holds) {
        pawl__zk_place_granted(store, p, view->count > view->holders);
    } else {
        heed_queue(store, p, view->count > view->holders);
    }
}

static void on_look(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl_store *store = call->store;
    pawl__zk_place *p = pawl__container(call->asker, pawl__zk_place, asker);
    pawl__zk_view view;
    p->looks = false;
    if (p->is_asked)
        p->missed = true;
    else if (answer->rc != ZOK && answer->rc != ZNONODE)
        set_time(store, &p->look_again, LOOK_AGAIN, store->host->now() + NEXT_LOOK_NS);
    else if (p->stale)
        look(store, p);
    else if (pawl__zk_view_read(answer->rc == ZOK ? answer->names : NULL, p->token, &p->want,
                                &view) == PAWL_OK)
        decide(store, p, &view);
    else
        set_time(store, &p->look_again, LOOK_AGAIN, store->host->now() + NEXT_LOOK_NS);
}

static void look(pawl_store *store, pawl__zk_place *p)
{
    p->missed = p->is_asked;
    if (p->is_asked) return;
    p->stale = p->looks;
    if (p->looks || !pawl__zk_is_up(store)) return;
    p->looks = true;
    clear_time(store, &p->look_again);
    pawl__zk_ask(
        store, &p->asker,
        &(pawl__zk_question){.kind = p->holds || p->awaits_any ? PAWL__ZK_WATCH : PAWL__ZK_CHILDREN,
                             .path = p->parent},
        0, on_look);
}

/* The watch of the node before ours is set, or that node is gone, or holds now. */
static void on_watching(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_place *p = pawl__container(call->asker, pawl__zk_place, asker);
    pawl__zk_node node = {0};
    if (call->kind == PAWL__ZK_WATCH_DATA && answer->rc == ZOK)
        pawl__zk_data_read(answer->data, answer->data_len, &node);
    if (answer->rc == ZOK && !(node.ours && node.is_lease)) return;
    p->before[0] = '\0';
    look(call->store, p);
}

/* Of permits it counts as well that the node before ours begins to hold. */
static void watch(pawl_store *store, pawl__zk_place *p)
{
    char path[PAWL__ZK_FULL_MAX + 1];
    bool permits = p->want.mode == PAWL_MODE_PERMIT;
    pawl__zk_path_join(path, p->parent, p->before);
    pawl__zk_ask(
        store, &p->asker,
        &(pawl__zk_question){.kind = permits ? PAWL__ZK_WATCH_DATA : PAWL__ZK_WATCH, .path = path},
        0, on_watching);
}

void pawl__zk_place_waits(pawl_store *store, pawl__zk_place *p, const pawl__zk_view *view)
{
    bool watched = p->awaits_any || strcmp(p->before, view->before.child) == 0;
    if (!p->holds && p->awaits_any == view->is_next && watched) return;
    p->holds = p->told = false;
    p->before[0] = '\0';
    p->awaits_any = view->is_next;
    if (p->awaits_any) { /* any of those who hold may make room: this one alone looks at all */
        look(store, p);
        return;
    }
    snprintf(p->before, sizeof p->before, "%s", view->before.child);
    watch(store, p);
}

void pawl__zk_place_answered(pawl_store *store, pawl__zk_place *p)
{
    bool missed = p->missed;
    p->is_asked = p->missed = false;
    if (missed && !p->holds) look(store, p);
}

void pawl__zk_place_holds(pawl_store *store, pawl__zk_place *p, bool waiting)
{
    if (!p->holds) {
        p->before[0] = '\0';
        p->awaits_any = false;
        set_time(store, &p->look_again, LOOK_AGAIN,
                 store->host->now() + pawl__instant_min(FIRST_LOOK_NS, p->life_ns / LOOKS));
    }
    p->holds = true;
    p->told = waiting;
}

void pawl__zk_place_granted(pawl_store *store, pawl__zk_place *p, bool waiting)
{
    pawl__zk_place_holds(store, p, waiting);
    push(store, p, PAWL_PUSH_GRANT, waiting);
}

/* ---- What comes ----------------------------------------------------------------------------- */

/* True: that path is PARENT, or PARENT/CHILD. */
static bool is_path_of(const char *path, const char *parent, const char *child)
{
    size_t len = strlen(parent);
    if (strncmp(path, parent, len) != 0) return false;
    return child ? path[len] == '/' && strcmp(path + len + 1, child) == 0 : path[len] == '\0';
}

/* Something has become of the node before ours. Of permits that may be a renewal of its place. */
static void on_before(pawl_store *store, pawl__zk_place *p)
{
    if (p->want.mode == PAWL_MODE_PERMIT) {
        watch(store, p);
        return;
    }
    p->before[0] = '\0';
    look(store, p);
}

void pawl__zk_places_heard(pawl_store *store, const char *path)
{
    pawl__link *next;
    for (pawl__link *l = store->place_list.next; l != &store->place_list; l = next) {
        pawl__zk_place *p = place_of(l);
        next = l->next;
        if (!p->holds && p->awaits_any) {
            if (is_path_of(path, p->parent, NULL)) look(store, p);
        } else if (!p->holds && is_path_of(path, p->parent, p->before)) {
            on_before(store, p);
        } else if (p->holds && is_path_of(path, p->parent, NULL)) {
            /* Many may share it, who shall not all look at each who comes. */
            if (p->told || p->want.mode != PAWL_MODE_EXCLUSIVE)
                set_time(store, &p->look_again, LOOK_AGAIN, store->host->now() + NEXT_LOOK_NS);
            else
                look(store, p);
        }
    }
}

pawl__zk_place *pawl__zk_place_find_live(pawl_store *store, const char *token)
{
    pawl__zk_place *p = pawl__zk_place_find(store, token);
    if (p && is_over(store, p)) end(store, p);
    return pawl__zk_place_find(store, token);
}

static void on_place_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__timer *first;
    (void)fd, (void)what;
    while (pawl__zk_is_up(store) && (first = pawl__heap_first(&store->place_times)) &&
           first->at <= store->host->now()) {
        unsigned kind = first->kind;
        pawl__heap_clear(&store->place_times, first);
        if (kind == END)
            end(store, pawl__container(first, pawl__zk_place, end));
        else
            look(store, pawl__container(first, pawl__zk_place, look_again));
    }
    set_timer(store);
}

/* ---- The link ------------------------------------------------------------------------------ */

void pawl__zk_places_down(pawl_store *store)
{
    for (pawl__link *l = store->place_list.next; l != &store->place_list; l = l->next) {
        pawl__zk_place *p = place_of(l);
        pawl__zk_asker_end(&p->asker);
        p->looks = p->stale = p->is_written = p->takes_turn = p->awaits_any = false;
        p->is_asked = p->missed = false;
        p->before[0] = '\0';
    }
    set_timer(store);
}

static void tell_lost(pawl_store *store)
{
    while (!pawl__list_empty(&store->lost)) {
        lost_name *lost = pawl__container(store->lost.next, lost_name, in_lost);
        pawl_push push = {
            .kind = PAWL_PUSH_RECHECK, .name = lost->name, .name_len = lost->name_len};
        pawl__list_remove(&lost->in_lost);
        store->host->push(store->host, &push);
        free(lost);
    }
}

void pawl__zk_places_up(pawl_store *store)
{
    tell_lost(store);
    for (pawl__link *l = store->place_list.next; l != &store->place_list; l = l->next)
        look(store, place_of(l));
    set_timer(store);
}

/* Without memory the next renewal finds out. */
void pawl__zk_places_lost(pawl_store *store)
{
    pawl__link *next;
    for (pawl__link *l = store->place_list.next; l != &store->place_list; l = next) {
        pawl__zk_place *p = place_of(l);
        next = l->next;
        if (!p->in_session) continue;
        lost_name *lost = calloc(1, sizeof *lost);
        if (lost) {
            lost->name_len = p->name_len;
            memcpy(lost->name, p->name, sizeof lost->name);
            pawl__list_append(&store->lost, &lost->in_lost);
        }
        pawl__zk_place_drop(store, p);
    }
}

void pawl__zk_places_leave(pawl_store *store)
{
    for (pawl__link *l = store->place_list.next; l != &store->place_list; l = l->next) {
        const pawl__zk_place *p = place_of(l);
        if (!p->holds || p->in_session) pawl__zk_delete(store, p->parent, p->child, p->version);
    }
}

bool pawl__zk_places_init(pawl_store *store)
{
    pawl__list_init(&store->place_list);
    pawl__list_init(&store->lost);
    store->places.seed = store->link.random;
    return pawl__timer_add(&store->place_timer, store->host->base, on_place_timer, store);
}

void pawl__zk_places_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->place_list))
        pawl__zk_place_drop(store, place_of(store->place_list.next));
    while (!pawl__list_empty(&store->lost)) {
        lost_name *lost = pawl__container(store->lost.next, lost_name, in_lost);
        pawl__list_remove(&lost->in_lost);
        free(lost);
    }
    pawl__heap_done(&store->place_times);
    pawl__table_done(&store->places);
}
