/* SPDX-License-Identifier: MIT */
/* What the proxy does to connections. */
#include "faults.h"

#define NAME(fault) torture_fault_net_##fault.name

/* Nobody is connected: there is nothing to hurt. */
static bool is_idle(torture_rig *rig)
{
    return torture_proxy_order(rig, "count") <= 0;
}

/* ---- Slow, silent ---------------------------------------------------------------------- */

static bool begin_delay(torture_rig *rig, torture_active *active)
{
    if (is_idle(rig)) return false;
    int64_t ms = torture_between(&rig->rng, 1, rig->options->ttl_ms / 3);
    torture_lasts(rig, active, 50, 3 * rig->options->ttl_ms);
    torture_note_begin(rig, NAME(delay), NULL, TORTURE_HURTS_ALL);
    torture_proxy_order(rig, "delay %d", (int)ms);
    return true;
}

static void end_delay(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_proxy_order(rig, "delay 0");
    torture_note_end(rig, NAME(delay), NULL);
}

const torture_fault torture_fault_net_delay = {
    .name = "net-delay",
    .what = "everything takes up to a third of the ttl longer, each way",
    .needs = TORTURE_SERVER,
    .begin = begin_delay,
    .end = end_delay,
};

static bool begin_hold(torture_rig *rig, torture_active *active)
{
    if (is_idle(rig)) return false;
    torture_lasts(rig, active, 10, 2 * rig->options->ttl_ms);
    torture_note_begin(rig, NAME(hold), NULL, TORTURE_HURTS_ALL);
    torture_proxy_order(rig, "hold %s", torture_chance(&rig->rng, 50) ? "up" : "down");
    return true;
}

static void end_hold(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_proxy_order(rig, "flow");
    torture_note_end(rig, NAME(hold), NULL);
}

const torture_fault torture_fault_net_hold = {
    .name = "net-hold",
    .what = "silence in one direction; then everything arrives, late",
    .needs = TORTURE_SERVER,
    .begin = begin_hold,
    .end = end_hold,
};

static bool begin_lose(torture_rig *rig, torture_active *active)
{
    if (is_idle(rig)) return false;
    torture_lasts(rig, active, 10, rig->options->ttl_ms);
    torture_note_begin(rig, NAME(lose), NULL, TORTURE_HURTS_ALL);
    torture_proxy_order(rig, "lose down");
    return true;
}

static void end_lose(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_proxy_order(rig, "cut");
    torture_note_end(rig, NAME(lose), NULL);
}

const torture_fault torture_fault_net_lose = {
    .name = "net-lose",
    .what = "the server does what it is asked, its answers vanish, then a reset",
    .needs = TORTURE_SERVER,
    .begin = begin_lose,
    .end = end_lose,
};

/* ---- Broken ------------------------------------------------------------------------------- */

static bool begin_cut(torture_rig *rig, torture_active *active)
{
    (void)active;
    if (is_idle(rig)) return false;
    torture_note_begin(rig, NAME(cut), NULL, TORTURE_HURTS_ALL);
    torture_proxy_order(rig, "cut");
    return true;
}

const torture_fault torture_fault_net_cut = {
    .name = "net-cut",
    .what = "every connection is reset",
    .needs = TORTURE_SERVER,
    .begin = begin_cut,
};

static bool begin_half(torture_rig *rig, torture_active *active)
{
    (void)active;
    if (is_idle(rig)) return false;
    torture_note_begin(rig, NAME(half), NULL, TORTURE_HURTS_ALL);
    torture_proxy_order(rig, "half");
    return true;
}

const torture_fault torture_fault_net_half = {
    .name = "net-half",
    .what = "every connection is closed in one direction only",
    .needs = TORTURE_SERVER,
    .begin = begin_half,
};

static bool begin_refuse(torture_rig *rig, torture_active *active)
{
    if (is_idle(rig)) return false;
    torture_lasts(rig, active, 10, 2 * rig->options->ttl_ms);
    torture_note_begin(rig, NAME(refuse), NULL, TORTURE_HURTS_ALL);
    torture_proxy_order(rig, "refuse");
    torture_proxy_order(rig, "cut");
    return true;
}

static void end_refuse(torture_rig *rig, torture_active *active)
{
    (void)active;
    if (torture_proxy_order(rig, "accept") < 0) rig->broken = true;
    torture_note_end(rig, NAME(refuse), NULL);
}

const torture_fault torture_fault_net_refuse = {
    .name = "net-refuse",
    .what = "every connection is reset, and new ones are refused for a while",
    .needs = TORTURE_SERVER,
    .begin = begin_refuse,
    .end = end_refuse,
};
