/* SPDX-License-Identifier: MIT */
/* A program from a seed: each has a flavour, so that what belongs together comes together. */
#include "run.h"

#include <stdio.h>
#include <string.h>

typedef struct source {
    uint64_t state;
} source;

static uint32_t draw(source *s, uint32_t below)
{
    s->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = s->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((x ^ (x >> 31)) % below); /* NOLINT: nobody asks for below 0 */
}

static bool one_in(source *s, uint32_t n)
{
    return draw(s, n) == 0;
}

/* How often each kind comes in a flavour. */
typedef struct weight {
    uint8_t kind, times;
} weight;

static const weight plain[] = {{OP_ACQUIRE, 8}, {OP_RELEASE, 6},      {OP_RELEASE_WAIT, 2},
                               {OP_CANCEL, 1},  {OP_HELD, 2},         {OP_TOKEN, 2},
                               {OP_HOLD, 2},    {OP_DETACH, 1},       {OP_FREE, 1},
                               {OP_START, 2},   {OP_RELEASE_START, 2}};
static const weight asynchronous[] = {{OP_START, 8},   {OP_RELEASE_START, 4}, {OP_RELEASE, 4},
                                      {OP_CANCEL, 4},  {OP_FREE, 2},          {OP_HOLD, 1},
                                      {OP_ACQUIRE, 2}, {OP_HELD, 1},          {OP_DETACH, 1}};
static const weight looking[] = {{OP_ACQUIRE, 4},       {OP_RELEASE, 4},     {OP_CAPS, 2},
                                 {OP_INSPECT, 3},       {OP_LIST, 3},        {OP_DOCTOR, 1},
                                 {OP_BREAK, 1},         {OP_TOKEN_CHECK, 2}, {OP_TOKEN_RENEW, 2},
                                 {OP_TOKEN_RELEASE, 1}, {OP_MESSAGE, 2},     {OP_DETACH, 1}};
static const weight closing[] = {{OP_ACQUIRE, 5},       {OP_START, 4},   {OP_RELEASE, 4},
                                 {OP_CLOSE, 3},         {OP_INSPECT, 2}, {OP_TOKEN_RENEW, 1},
                                 {OP_RELEASE_START, 2}, {OP_FREE, 2},    {OP_CANCEL, 1},
                                 {OP_CLOSE_LAST, 2},    {OP_MESSAGE, 1}, {OP_CAPS, 1}};
static const weight forking[] = {{OP_ACQUIRE, 5},      {OP_RELEASE, 5}, {OP_FORK, 2},
                                 {OP_BARE_FORK, 1},    {OP_SIGNAL, 1},  {OP_CANCEL_THREAD, 1},
                                 {OP_TOKEN, 1},        {OP_START, 2},   {OP_HOLD, 1},
                                 {OP_RELEASE_START, 1}};
static const weight exiting[] = {{OP_ACQUIRE, 5}, {OP_RELEASE, 6}, {OP_EXIT, 2},
                                 {OP_HOLD, 3},    {OP_START, 2},   {OP_INSPECT, 1}};
static const weight interrupted[] = {{OP_ACQUIRE, 5},       {OP_RELEASE, 4},     {OP_SIGNAL, 4},
                                     {OP_HOLD, 2},          {OP_HELD, 1},        {OP_INSPECT, 1},
                                     {OP_CANCEL_THREAD, 1}, {OP_RELEASE_WAIT, 2}};

static const weight reading[] = {{OP_ACQUIRE, 5}, {OP_RELEASE, 5}, {OP_TOKEN, 8}, {OP_HOLD, 1}};
static const weight retained[] = {{OP_ACQUIRE, 8}, {OP_RELEASE, 8}, {OP_HOLD, 3}, {OP_EXIT, 1}};
static const weight all_in_one[] = {{OP_WITH_LOCK, 6}, {OP_ACQUIRE, 4}, {OP_RELEASE, 4},
                                    {OP_HOLD, 2},      {OP_INSPECT, 1}, {OP_START, 1},
                                    {OP_FORK, 1},      {OP_EXIT, 1}};
static const weight stalled[] = {{OP_ACQUIRE, 6}, {OP_HOLD, 4}, {OP_SIGNAL, 4}, {OP_INSPECT, 1}};

/* A child of _Fork() finds everything in the middle of what it was. */
static const weight bare[] = {
    {OP_ACQUIRE, 6}, {OP_RELEASE, 6}, {OP_BARE_FORK, 5}, {OP_START, 1}, {OP_TOKEN, 1}};

/* Few handles, each of them re-entrant, in many hands. */
static const weight reentrant[] = {{OP_ACQUIRE, 8}, {OP_RELEASE, 7},       {OP_RELEASE_WAIT, 1},
                                   {OP_START, 3},   {OP_RELEASE_START, 2}, {OP_CANCEL, 1},
                                   {OP_HOLD, 2},    {OP_DETACH, 1},        {OP_HELD, 1}};

/* Handles on one name and on both. */
static const weight several[] = {{OP_ACQUIRE, 8}, {OP_RELEASE, 6},       {OP_RELEASE_WAIT, 2},
                                 {OP_START, 4},   {OP_RELEASE_START, 2}, {OP_CANCEL, 2},
                                 {OP_HOLD, 2},    {OP_DETACH, 1},        {OP_FREE, 1},
                                 {OP_HELD, 1},    {OP_TOKEN, 1}};
static const weight several_end[] = {
    {OP_ACQUIRE, 12}, {OP_RELEASE, 8},   {OP_START, 7},  {OP_CLOSE, 2}, {OP_CLOSE_LAST, 2},
    {OP_FORK, 1},     {OP_BARE_FORK, 1}, {OP_EXIT, 1},   {OP_HOLD, 2},  {OP_SIGNAL, 3},
    {OP_BREAK, 1},    {OP_CANCEL, 2},    {OP_DETACH, 1}, {OP_FREE, 2},  {OP_CANCEL_THREAD, 1}};

/* Readers, writers, and who reads now and writes later. */
static const weight changing[] = {
    {OP_ACQUIRE, 8}, {OP_DOWNGRADE, 10},    {OP_UPGRADE, 8}, {OP_UPGRADE_START, 3}, {OP_RELEASE, 2},
    {OP_CANCEL, 6},  {OP_RELEASE_START, 1}, {OP_START, 1},   {OP_DETACH, 1},        {OP_CLOSE, 1}};

/* The same of handles on both names, which cannot upgrade. */
static const weight changing_all[] = {
    {OP_ACQUIRE, 8}, {OP_DOWNGRADE, 8}, {OP_RELEASE, 1}, {OP_CANCEL, 1}, {OP_UPGRADE, 1}};
static const weight permits[] = {{OP_ACQUIRE, 8},       {OP_RELEASE, 6}, {OP_START, 4},
                                 {OP_RELEASE_START, 2}, {OP_CANCEL, 2},  {OP_HOLD, 2},
                                 {OP_DETACH, 1},        {OP_FREE, 1},    {OP_CLOSE, 1}};

/* Those of one client beside each other, mostly. */
static const weight readers[] = {{OP_ACQUIRE, 10}, {OP_RELEASE, 10}, {OP_HOLD, 3}, {OP_START, 2},
                                 {OP_DETACH, 1},   {OP_FREE, 1},     {OP_HELD, 1}, {OP_BREAK, 2},
                                 {OP_TOKEN, 1},    {OP_EXIT, 1},     {OP_CLOSE, 1}};

/* Calls that look for their end before they go on by themselves. */
static const weight ends[] = {
    {OP_LOOK, 12}, {OP_RELEASE_LOOK, 6}, {OP_RELEASE, 3}, {OP_ACQUIRE, 3}, {OP_CANCEL, 4},
    {OP_START, 2}, {OP_DETACH, 1},       {OP_FREE, 2},    {OP_CLOSE, 1},   {OP_CLOSE_LAST, 1},
    {OP_FORK, 1},  {OP_EXIT, 1},         {OP_SIGNAL, 1},  {OP_INSPECT, 1}};

/* What is made of locks, beside calls on a client. */
static const weight composed[] = {{OP_ONCE, 6},    {OP_LEAD, 6}, {OP_OBSERVE, 5}, {OP_LATCH, 3},
                                  {OP_BARRIER, 5}, {OP_HOLD, 2}, {OP_GATHER, 5},  {OP_CLOSE, 1},
                                  {OP_INSPECT, 1}, {OP_LIST, 1}, {OP_ACQUIRE, 1}, {OP_RELEASE, 1},
                                  {OP_SIGNAL, 1}};

/* The same, asynchronously, and freed at any moment. */
static const weight composed_start[] = {
    {OP_ONCE_START, 5},   {OP_LEAD_START, 4}, {OP_LATCH_START, 5}, {OP_BARRIER_START, 7},
    {OP_GATHER_START, 5}, {OP_BARRIER, 3},    {OP_LATCH, 2},       {OP_HOLD, 2},
    {OP_CLOSE, 1},        {OP_SIGNAL, 1},     {OP_INSPECT, 1},     {OP_ACQUIRE, 1},
    {OP_RELEASE, 1},      {OP_CLOSE_LAST, 2}};

#define FLAVOUR(list)                                                                              \
    {                                                                                              \
#list, list, sizeof(list) / sizeof(list)[0]                                                \
    }
static const struct flavour {
    const char *name;
    const weight *weights;
    size_t count;
} flavours[] = {FLAVOUR(plain),   FLAVOUR(asynchronous), FLAVOUR(looking),     FLAVOUR(closing),
                FLAVOUR(forking), FLAVOUR(exiting),      FLAVOUR(interrupted), FLAVOUR(stalled),
                FLAVOUR(reading), FLAVOUR(retained),     FLAVOUR(all_in_one),  FLAVOUR(bare)};

/* Newer flavours have seeds of their own, so that older seeds keep their programs. */
static const struct flavour later[] = {FLAVOUR(reentrant),    FLAVOUR(several),
                                       FLAVOUR(several_end),  FLAVOUR(changing),
                                       FLAVOUR(changing_all), FLAVOUR(permits)};
#define LATER_SEED 7 /* of 8 */
static const struct flavour latest = FLAVOUR(composed);
#define LATEST_SEED 22 /* of 32 */
static const struct flavour readers_flavour = FLAVOUR(readers);
#define READERS_SEED 6 /* of 32 */
static const struct flavour ends_flavour = FLAVOUR(ends);
#define ENDS_SEED 10 /* of 32 */
static const struct flavour started_flavour = FLAVOUR(composed_start);
#define STARTED_SEED 28 /* of 32 */
#define GUARDED_SEED 20 /* of 32: of any flavour, and the store may tell of its guard */

static uint8_t draw_kind_of(source *s, const struct flavour *f)
{
    uint32_t all = 0;
    for (size_t i = 0; i < f->count; i++) all += f->weights[i].times;
    uint32_t at = draw(s, all);
    for (size_t i = 0; i < f->count; i++) {
        if (at < f->weights[i].times) return f->weights[i].kind;
        at -= f->weights[i].times;
    }
    return OP_NOTHING;
}

static int16_t draw_wait(source *s)
{
    static const int16_t waits[] = {0, 0, 5, 40, 300, -1};
    return waits[draw(s, 6)];
}

static uint8_t draw_target(source *s, const program *p, uint8_t kind)
{
    switch (kind) {
    case OP_CAPS:
    case OP_INSPECT:
    case OP_LIST:
    case OP_DOCTOR:
    case OP_MESSAGE:
    case OP_CLOSE:
    case OP_CLOSE_LAST:
    case OP_DISPATCH:
    case OP_WAIT:
    case OP_ONCE:
    case OP_LEAD:
    case OP_OBSERVE:
    case OP_LATCH:
    case OP_BARRIER:
    case OP_GATHER:
    case OP_ONCE_START:
    case OP_LEAD_START:
    case OP_LATCH_START:
    case OP_BARRIER_START:
    case OP_GATHER_START:
        return (uint8_t)draw(s, (uint32_t)p->clients);
    case OP_SIGNAL:
    case OP_CANCEL_THREAD:
        return (uint8_t)draw(s, (uint32_t)p->users);
    default:
        return (uint8_t)draw(s, (uint32_t)p->handles);
    }
}

/* A callback may fork as well. */
static uint8_t draw_then(source *s, bool forks)
{
    if (forks && one_in(s, 4)) return one_in(s, 3) ? OP_BARE_FORK : OP_FORK;
    static const uint8_t kinds[] = {OP_NOTHING, OP_NOTHING, OP_RELEASE, OP_RELEASE,      OP_START,
                                    OP_FREE,    OP_CANCEL,  OP_HELD,    OP_RELEASE_START};
    return kinds[draw(s, sizeof kinds)];
}

static op draw_op(source *s, const program *p, const struct flavour *f)
{
    op o = {.kind = draw_kind_of(s, f)};
    bool pumped = p->client[0].callbacks != PAWL_CALLBACKS_THREAD && one_in(s, 3);
    if (pumped) o.kind = p->client[0].callbacks == PAWL_CALLBACKS_WAIT ? OP_WAIT : OP_DISPATCH;
    o.target = draw_target(s, p, o.kind);
    o.ms = draw_wait(s);
    o.then = draw_then(s, f->weights == forking);
    return o;
}

static void draw_habits(source *s, store_habits *h)
{
    h->late = one_in(s, 2) ? (int)draw(s, 500) : 0;
    h->late_max_ms = 1 + (int)draw(s, 80);
    h->lost = one_in(s, 2) ? (int)draw(s, 200) : 0;
    h->push_lost = one_in(s, 3) ? (int)draw(s, 500) : 0;
    h->push_late = one_in(s, 3) ? (int)draw(s, 500) : 0;
    h->link_down = one_in(s, 4) ? (int)draw(s, 100) : 0;
    h->yield = one_in(s, 4) ? (int)draw(s, 300) : 0;
    if (!one_in(s, 4)) return;
    h->never = (int)draw(s, 100);
    h->twice = (int)draw(s, 200);
    h->wrong_id = (int)draw(s, 200);
}

static void draw_clients(source *s, program *p)
{
    p->clients = one_in(s, 3) ? 2 : 1;
    for (int i = 0; i < p->clients; i++) {
        p->client[i].spied = !one_in(s, 3);
        p->client[i].callbacks = one_in(s, 4)   ? PAWL_CALLBACKS_DISPATCH
                                 : one_in(s, 6) ? PAWL_CALLBACKS_WAIT
                                                : PAWL_CALLBACKS_THREAD;
        p->client[i].log = one_in(s, 6);
    }
}

static void draw_handles(source *s, program *p, bool forks)
{
    static const int16_t ttls[] = {60, 300, 300, 3000};
    p->handles = p->clients + (int)draw(s, 2) + (p->clients == 1);
    bool retains = one_in(s, 3);
    int16_t ttl = ttls[draw(s, 4)];
    for (int i = 0; i < p->handles; i++) {
        p->handle[i].client = (uint8_t)(i % p->clients);
        p->handle[i].name = (uint8_t)one_in(s, 4);
        p->handle[i].ttl_ms = ttl;
        p->handle[i].retain_ms =
            retains && one_in(s, 2) ? (int16_t)(1 + draw(s, RETAIN_MAX_MS)) : 0;
        p->handle[i].events = one_in(s, 2);
        p->handle[i].on_event = one_in(s, 2) ? draw_then(s, forks) : OP_NOTHING;
    }
}

/* A caller waits long for each answer, and stands still meanwhile: the leases are not his matter.
 */
static void draw_slow_store(source *s, program *p)
{
    p->habits = (store_habits){.late = 300 + (int)draw(s, 700), .late_max_ms = 55};
    for (int i = 0; i < p->handles; i++) {
        p->handle[i].ttl_ms = 300;
        p->handle[i].events = true;
    }
    for (int i = 0; i < p->clients; i++) p->client[i].spied = true;
    p->stall_ms = 450;
}

/* A thread stands still wherever it is, the loop included, until long after the end of a lease. */
static void draw_long_stalls(program *p)
{
    for (int i = 0; i < p->handles; i++) {
        p->handle[i].ttl_ms = 300;
        p->handle[i].events = true;
    }
    p->stall_ms = 1500;
    p->stalls_anywhere = true;
}

static uint8_t draw_mode(source *s)
{
    static const uint8_t modes[] = {PAWL_MODE_UPDATE, PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE,
                                    PAWL_MODE_EXCLUSIVE};
    return modes[draw(s, 4)];
}

static void draw_reader(source *s, program *p, int handle)
{
    p->handle[handle].mode = one_in(s, 6) ? PAWL_MODE_EXCLUSIVE : PAWL_MODE_SHARED;
    p->handle[handle].name = 0;
}

static const struct flavour *draw_flavour(source *s, uint64_t seed)
{
    s->state = seed * UINT64_C(0xd1342543de82ef95) + 1;
    if (seed % 32 == READERS_SEED) return &readers_flavour;
    if (seed % 32 == ENDS_SEED) return &ends_flavour;
    if (seed % 32 == LATEST_SEED) return &latest;
    if (seed % 32 == STARTED_SEED) return &started_flavour;
    if (seed % 8 == LATER_SEED) return &later[draw(s, sizeof later / sizeof later[0])];
    return &flavours[draw(s, sizeof flavours / sizeof flavours[0])];
}

const char *program_flavour(uint64_t seed)
{
    source s;
    return draw_flavour(&s, seed)->name;
}

void program_generate(uint64_t seed, program *p)
{
    source s;
    memset(p, 0, sizeof *p);
    const struct flavour *f = draw_flavour(&s, seed);
    draw_clients(&s, p);
    draw_handles(&s, p, f->weights == forking);
    p->users = 2 + (int)draw(&s, 3);
    for (int u = 0; u < p->users; u++) {
        p->user[u].count = 2 + (int)draw(&s, OPS_MAX - 2);
        for (int i = 0; i < p->user[u].count; i++) p->user[u].ops[i] = draw_op(&s, p, f);
    }
    if (one_in(&s, 3)) draw_habits(&s, &p->habits);
    p->stall_ms = one_in(&s, 2) ? p->handle[0].ttl_ms * 3 / 2 : 0;
    p->watched = one_in(&s, 2);
    p->one_cpu = one_in(&s, 3);
    p->close_timeout_ms = one_in(&s, 3) ? 0 : 200;
    if (f->weights == stalled && one_in(&s, 2)) draw_slow_store(&s, p);
    if (f->weights == stalled && one_in(&s, 3)) draw_long_stalls(p);
    bool is_composed = f->weights == composed || f->weights == composed_start;
    if (is_composed && one_in(&s, 3))
        p->habits = (store_habits){.late = 300 + (int)draw(&s, 700), .late_max_ms = 20};
    for (int i = 0; i < p->clients; i++) p->client[i].traced = one_in(&s, 4);
    bool has_both = f->weights == several || f->weights == several_end;
    for (int i = 0; i < p->handles; i++) {
        p->handle[i].reentrant = f->weights == reentrant || (has_both && one_in(&s, 4));
        p->handle[i].several = has_both && !one_in(&s, 3);
        if (f->weights == changing) p->handle[i].mode = draw_mode(&s);
        if (f->weights == readers) draw_reader(&s, p, i);
        if (f->weights == changing_all) p->handle[i].mode = one_in(&s, 2) ? PAWL_MODE_SHARED : 0;
        if (f->weights == changing_all) p->handle[i].several = one_in(&s, 2);
        if (f->weights != permits) continue;
        p->handle[i].mode = PAWL_MODE_PERMIT;
        p->handle[i].units = (uint8_t)(1 + draw(&s, 2));
    }
    bool is_of_moments =
        f->weights == bare || f->weights == reading; /* what is left is not asked */
    p->probed = !is_of_moments && one_in(&s, 4);
    bool tells_guard = seed % 32 == GUARDED_SEED || f->weights == composed_start;
    if (tells_guard && one_in(&s, 2)) p->habits.guarded = (int)draw(&s, 300);
}

/* ---- For people
 * ---------------------------------------------------------------------------------------- */

const char *op_name(unsigned kind)
{
    static const char *const names[] = {
#define OP_TEXT(name) #name,
        OP_LIST(OP_TEXT)
#undef OP_TEXT
    };
    return kind < OP_COUNT ? names[kind] : "?";
}

static void print_clients(const program *p)
{
    static const char *const modes[] = {"thread", "dispatch", "wait"};
    static const char *const kinds[] = {"exclusive", "shared", "update", "permits"};
    for (int i = 0; i < p->clients; i++)
        printf("  client %d: callbacks %s, %s%s%s\n", i, modes[p->client[i].callbacks],
               p->client[i].spied ? "hostile:" : "memory:", p->client[i].log ? ", log" : "",
               p->client[i].traced ? ", traced" : "");
    for (int i = 0; i < p->handles; i++)
        printf("  handle %d: client %d, name%s %c, %s, ttl %d ms, retain %d ms%s%s%s%s\n", i,
               p->handle[i].client, p->handle[i].several ? "s both, token of" : "",
               'a' + p->handle[i].name, kinds[p->handle[i].mode], p->handle[i].ttl_ms,
               p->handle[i].retain_ms, p->handle[i].reentrant ? ", re-entrant" : "",
               p->handle[i].events ? ", events" : "", p->handle[i].on_event ? ": " : "",
               p->handle[i].on_event ? op_name(p->handle[i].on_event) : "");
}

void program_print(const program *p)
{
    print_clients(p);
    const store_habits *h = &p->habits;
    if (h->late || h->lost || h->push_lost || h->push_late || h->link_down || h->yield ||
        h->guarded || h->never || h->twice || h->wrong_id)
        printf("  store: late %d (%d ms) lost %d push lost %d late %d link down %d yield %d "
               "guarded %d never %d twice %d wrong id %d (of 1024)\n",
               h->late, h->late_max_ms, h->lost, h->push_lost, h->push_late, h->link_down, h->yield,
               h->guarded, h->never, h->twice, h->wrong_id);
    printf("  a close waits for %d ms\n", p->close_timeout_ms);
    if (p->probed) printf("  at the end all is given back, and acquired by another client\n");
    if (p->stall_ms)
        printf("  a signal's handler stands still for %d ms%s\n", p->stall_ms,
               p->stalls_anywhere ? ", anywhere" : "");
    for (int u = 0; u < p->users; u++) {
        printf("  user %d:", u);
        for (int i = 0; i < p->user[u].count; i++) {
            const op *o = &p->user[u].ops[i];
            printf(" %s(%d", op_name(o->kind), o->target);
            if (o->kind == OP_ACQUIRE || o->kind == OP_START || o->kind == OP_RELEASE_WAIT ||
                o->kind == OP_HOLD || o->kind == OP_WAIT || o->kind >= OP_UPGRADE)
                printf(", %d ms", o->ms);
            bool calls_back = o->kind == OP_START || o->kind == OP_RELEASE_START ||
                              o->kind == OP_UPGRADE_START || o->kind == OP_LOOK ||
                              o->kind == OP_RELEASE_LOOK || o->kind >= OP_ONCE_START;
            if (calls_back && o->then) printf(", then %s", op_name(o->then));
            printf(")");
        }
        printf("\n");
    }
}
