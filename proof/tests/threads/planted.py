# SPDX-License-Identifier: MIT
"""Mistakes that scripts/mutants-threads plants in src/: (name, what is wrong, changes), and
how to look for it if not by all seeds: arguments of pawl-threads. With --explore the number of the
small program stands for the seed.

A change is (file, text, instead of it); the text occurs once. Where code moves, move these along:
a text that is not found fails the script.
"""

GATE, ASK, ACTIONS = "src/runtime/gate.c", "src/runtime/ask.c", "src/runtime/actions.c"
CALLS, CLIENT, LOCK = "src/runtime/calls.c", "src/runtime/client.c", "src/runtime/lock.c"
QUERY, FORK, WAITER = "src/runtime/query.c", "src/runtime/fork.c", "src/runtime/waiter.c"
HELD, THREAD = "src/runtime/held.c", "src/runtime/thread.c"
FLUSH, GATE_THREAD = "src/runtime/gate_flush.c", "src/runtime/gate_thread.c"
ACQUISITION, TRACE = "src/runtime/acquisition.c", "src/runtime/trace.c"
RETENTION, BEGIN = "src/runtime/retention.c", "src/runtime/begin.c"
REENTRY, DELIVER = "src/runtime/reentry.c", "src/runtime/deliver.c"
SEVERAL = "src/runtime/several.c"
VISIT, FLOORS, PUMP = "src/runtime/visit.c", "src/runtime/floors.c", "src/runtime/pump.c"
HELD_H = "src/runtime/held.h"
# What only an order of memory shows: looked for by the strategy that has such orders.
WEAK = ("--strategy", "weak", "--flavour", "reading")
# What a program on one floor of the runtime shows, and what a small program shows in some schedule.
FLOOR, SMALL = ("--floors", "20", "--only"), ("--explore", "1", "--only")

PLANTED = [
    # ---- What a review found, planted again ----
    ("exit_without_loop", "exit() sends nothing if another thread has the loop",
     [(FORK, "if (!c->gate.closing && pawl__gate_take(&c->gate, until)) {",
       "if (!c->gate.closing && !c->gate.owned && pawl__gate_take(&c->gate, until)) {")], "--flavour", "exiting"),
    ("exit_of_bare_child", "a child of _Fork() that exits takes its parent's clients for its own",
     [(FORK, "    if (!pawl__process_is(atomic_load(&watching))) return;\n", ""),
      (FORK, "if (pawl__client_is_forked(c) || !pawl__gate_lock_in_time(",
       "if (!pawl__gate_lock_in_time(")]),
    ("tell_after_end", "an acquisition that ended at the first wish is told the second",
     [(ASK, "    a->telling = true;\n", "")]),
    ("thread_after_close", "a client that closes starts a thread for callbacks",
     [(CALLS, "    if (calls->closed) return PAWL_ERR_CLOSED; /* nobody would join it */\n", "")], "--flavour", "closing"),
    ("dispatch_beside_close", "close runs callbacks while another thread runs one",
     [(CALLS, "count < max && !calls->running && !pawl__calls_none(calls)",
       "count < max && !pawl__calls_none(calls)"),
      (CALLS, "    while (calls->running) pthread_cond_wait(&calls->ended, calls->mutex); /* on another "
       "thread */\n", "")]),
    ("close_without_visitors", "close frees what a call of another thread still looks at",
     [(CLIENT, "    pawl__visitors_await(c);\n", "")], "--flavour", "closing"),
    ("canceled_inside", "a thread can be canceled inside a call",
     [(THREAD, "    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);\n    return state;",
       "    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);\n    return state;")]),
    ("canceled_in_fork", "a thread can be canceled in the handler of fork",
     [(FORK, "    int state = pawl__cancel_off();\n    int64_t until = pawl__instant_add(pawl__now(), "
       "FORK_WAIT_MS", "    int state = PTHREAD_CANCEL_ENABLE;\n    int64_t until = "
       "pawl__instant_add(pawl__now(), FORK_WAIT_MS")], "--flavour", "forking"),
    ("fork_handler_hangs", "a program's own handler of fork that asks pawl waits for itself",
     [(FORK, "    forking = true;\n", "")]),
    ("cache_survives_exit", "a retained lease survives the exit",
     [(FORK, "        pawl__retention_recall_all(&c->acquisitions);\n        pthread_mutex_unlock(&c->gate.mutex);\n"
       "        pawl__pump_feed(&c->pump, &keep_nothing);", "        pthread_mutex_unlock(&c->gate.mutex);")], "--flavour", "retained"),
    ("query_for_ever", "a query that the store never answers hangs its caller",
     [(QUERY, "    give_up_asking(queries, now);\n", "")], "--flavour", "looking"),
    # ---- What the scheduler itself found first ----
    ("close_releases_first", "a close gives leases back while their handles say held",
     [(CLIENT, "    pawl__acquisitions_let_go(&c->acquisitions);\n", "")]),
    ("waiter_retakes_loop", "pawl_client_wait takes the loop back before fork or exit can have it",
     [(GATE, "(gate->owned || gate->owner_wanted > 1) && !gate->closing", "gate->owned && !gate->closing")]),
    ("started_unguarded", "the client's thread reads whether it was started while that is written",
     [(GATE_THREAD, "    gate->has_thread = true; /* it reads this */\n", ""),
      (GATE_THREAD, "    if (err) gate->has_thread = false;\n    return err;",
       "    if (!err) gate->has_thread = true;\n    return err;")]),
    ("thread_spins", "the client's thread spins while another thread is about to take the loop",
     [(GATE_THREAD, "    if (!pawl__gate_may_own(gate)) return patience;", "    if (gate->owned) return patience;")]),
    # ---- Others ----
    ("driver_not_woken", "who asks does not wake the driver that sleeps",
     [(GATE, "    if (!gate->asleep) return;\n", "    if (gate->asleep || !gate->asleep) return;\n")]),
    ("thread_not_woken", "the client's thread is not woken when it is needed",
     [(GATE, "    pthread_cond_signal(&gate->thread_cond);\n", "")],
     "--flavour", "plain", "--seconds", "60"),
    ("role_to_nobody", "who gives up the loop passes it to no caller",
     [(GATE, "        call_to_own(gate);\n    else if (needs_thread(gate))\n",
       "        (void)call_to_own;\n    else if (needs_thread(gate))\n")], "--flavour", "looking"),
    ("role_wanters_not_told", "who gives up the loop does not tell those who want it before all",
     [(GATE, "        pthread_cond_broadcast(&gate->owner_cond);\n        return;", "        return;")]),
    ("post_before_unlink", "a waiter is woken first and unlinked afterwards",
     [(GATE, "        pawl__list_remove(first);\n        pawl__waiter_post(waiter_of(first));",
       "        pawl__waiter_post(waiter_of(first));\n        pawl__list_remove(first);")]),
    ("two_drivers", "a caller drives for a moment without taking the loop",
     [(FLUSH, "    gate->takes++;\n    gate->owned = true;\n", "    gate->takes++;\n")]),
    ("close_without_loop", "close does not take the loop",
     [(CLIENT, "    pawl__gate_take(&c->gate, PAWL__NEVER); /* and never gives it back */\n", "")]),
    ("unlocked_completion", "a query is completed without the mutex",
     [(QUERY, "    pthread_mutex_lock(&queries->pump->gate->mutex);\n    complete_held(queries, query, err, message);\n"
       "    pthread_mutex_unlock(&queries->pump->gate->mutex);", "    complete_held(queries, query, err, message);")]),
    ("flag_unlocked", "who finds its lock gone reads without the mutex whether the client closes",
     [(LOCK, "    pthread_mutex_lock(&c->gate.mutex);\n    bool closing = c->gate.closing;\n    "
       "pthread_mutex_unlock(&c->gate.mutex);", "    bool closing = c->gate.closing;")], "--flavour", "closing"),
    ("reference_early", "an acquisition has no reference of its own",
     [(ACQUISITION, "    lock->refs++;\n", "")]),
    ("callbacks_not_joined", "close does not end the thread of the callbacks",
     [(CALLS, "    if (calls->thread_started) pthread_join(calls->thread, NULL);\n", "")]),
    ("end_not_told", "a release that is under way at a close is told to nobody",
     [(ACTIONS, "    pawl__end_release(home, a, PAWL_ERR_UNKNOWN);\n", "")]),
    ("held_after_release", "a release leaves the deadline where it is",
     [(BEGIN, "    bool held = pawl__held_end(&lock->held) && !told_lost;",
       "    bool held = pawl_lock_is_held(lock) && !told_lost;")]),
    ("weak_post", "what a post orders is not ordered for who sees the flag",
     [(WAITER, "    sem_post(&waiter->posts);\n}", "    sem_post(&waiter->posts);\n    sem_post(&waiter->posts);\n}")]),
    ("trace_unlocked", "an event is queued without the mutex",
     [(TRACE, "    pthread_mutex_lock(trace->calls->mutex);\n    pawl__trace_tell(trace, event);\n"
       "    pthread_mutex_unlock(trace->calls->mutex);", "    pawl__trace_tell(trace, event);")]),
    ("hold_without_end", "a hold that ends with the close is not told to end",
     [(ACTIONS, "        a->let_go = true;\n        pawl__hold_given_up(lock);",
       "        a->let_go = true;\n        pawl__held_clear(&lock->held);")]),
    ("loan_without_end", "a loan that is recalled is not told to end",
     [("src/runtime/retention.c", "    pawl__hold_is_recalled(lock, is_held);\n", "")]),
    ("loan_not_recalled", "a retained lease is not recalled when another handle wants it",
     [(HELD, "        if (pawl__held_pin(held)) return false;\n",
       "        if (pawl__held_pin(held) || held) return false;\n")], "--flavour", "retained"),
    ("caller_keeps_loop", "a caller sleeps in the loop while the client holds leases",
     [(GATE, "gate->handed_over = mine && !spins && must_be_reliable(gate);", "gate->handed_over = false;")], "--flavour", "stalled"),
    ("overdue_untold", "nobody tells a loss while a thread stands still in the loop",
     [(GATE_THREAD, "        if (gate->owned && !busy) gate->ops->overdue(gate->ctx);\n", "")], "--flavour", "stalled"),
    ("rows_doubled", "a list that is asked again keeps the rows of the first try",
     [(QUERY, "        pawl__query_free_rows(query); /* and is told all anew */\n", "")], "--flavour", "looking"),
    ("token_in_child", "a child waits for a token that its parent was writing",
     [(LOCK, "    if (pawl__lock_is_forked(lock)) return;      /* perhaps half written there, for ever */\n", "")], "--flavour", "bare"),
    ("weak_token_write", "the words of a token may be seen before the version says that they change",
     [(ACTIONS, "atomic_store_explicit(&lock->token[i], words[i], memory_order_release);",
       "atomic_store_explicit(&lock->token[i], words[i], memory_order_relaxed);")], *WEAK),
    ("weak_token_read", "the version may be looked at before the words of the token",
     [(LOCK, "words[i] = atomic_load_explicit(&lock->token[i], memory_order_acquire);",
       "words[i] = atomic_load_explicit(&lock->token[i], memory_order_relaxed);")], *WEAK),
    ("weak_token_version", "the version says whole before the words are there",
     [(ACTIONS, "atomic_store_explicit(&lock->token_version, version + 2, memory_order_release);",
       "atomic_store_explicit(&lock->token_version, version + 2, memory_order_relaxed);")], *WEAK),
    ("extended_blindly", "an extension revives a lock whose deadline somebody has seen pass",
     [(HELD, "        if (word == PAWL__HELD_BY_NOBODY || word == PAWL__HELD_EXPIRED) return false;\n", "")], *FLOOR, "5"),
    ("closer_not_told", "the last visitor does not tell close that it has left",
     [(VISIT, "if (atomic_fetch_sub(&c->visitors, 1) == (CLOSING | 1u)) sem_post(&c->visitors_left);",
       "atomic_fetch_sub(&c->visitors, 1);")]),
    ("calls_not_announced", "the thread of the callbacks is not woken",
     [(CALLS, "        pthread_cond_signal(&calls->added);\n        return;", "        return;")]),
    ("waits_for_itself", "a callback that frees its handle waits for its own end",
     [(CALLS, "calls->running_of == of && !pawl__calls_is_inside(calls))", "calls->running_of == of)")]),
    ("put_back_blindly", "a lent lease is put back without comparing",
     [(HELD_H, "    atomic_store_explicit(ret_at, now, memory_order_relaxed);\n"
       "    return atomic_compare_exchange_strong(&held->word, &word, -word);",
       "    atomic_store_explicit(ret_at, now, memory_order_relaxed);\n    atomic_store(&held->word, -word);\n"
       "    return true;")], *FLOOR, "7"),
    ("taken_blindly", "a retained lease is taken although it was recalled",
     [(HELD_H, "        return false; /* law 2 */\n    return atomic_compare_exchange_strong(&held->word, &word, -word);",
       "        return false; /* law 2 */\n    atomic_store(&held->word, -word);\n    return true;")], *FLOOR, "6"),
    ("queries_forgotten", "a query that comes while the owner works is not taken",
     [(FLOORS, "    return !pawl__list_empty(&c->acquisitions.asked) || !pawl__list_empty(&c->queries.asked);",
       "    return !pawl__list_empty(&c->acquisitions.asked);")], "--flavour", "looking"),
    ("asked_forgotten", "what is asked while the owner works is not told",
     [(PUMP, "    } while (pump->ops->is_asked(pump->client));", "    } while (false);")]),
    ("asleep_unguarded", "an owner says that it sleeps after it has let go of the mutex",
     [(GATE, "    gate->asleep = how == PAWL__REST_SLEEP;\n    gate->ops->rest(gate->ctx, until, how);",
       "    pthread_mutex_unlock(&gate->mutex);\n    gate->asleep = how == PAWL__REST_SLEEP;\n"
       "    pthread_mutex_lock(&gate->mutex);\n    gate->ops->rest(gate->ctx, until, how);")]),
    ("time_not_counted", "a deadline that comes while the owner works is slept over",
     [(PUMP, "    if (pump->time_due) return EVLOOP_NONBLOCK;\n", "    if (at <= now) return flags;\n")]),
    ("stop_not_told", "close does not wake the thread that it joins",
     [(GATE, "    pthread_cond_broadcast(&gate->thread_cond);\n", "")]),
    # ---- What is left behind, and what comes too late or too early ----
    ("free_beside_callback", "a freed handle's callback is not waited for",
     [(LOCK, "    pawl__calls_wait_for(&c->calls, lock);\n", "")], *SMALL, "15"),
    ("abandoned_held", "what is granted to a freed handle stays held",
     [(ACTIONS, "    if (a->abandoned) {\n        a->let_go = true;",
       "    if (a->abandoned && !a) {\n        a->let_go = true;")], "--flavour", "asynchronous"),
    ("retention_forgotten", "a retention never ends",
     [(RETENTION, "        pawl__heap_set(&home->timers, &extras->timer, retention_end(lock));\n        return;\n    }\n    pthread",
       "        return;\n    }\n    pthread")], *SMALL, "14"),
    ("event_after_end", "events of a lock that was given back are told",
     [(BEGIN, "    a->calls &= (uint8_t) ~(PAWL__CALL_EVENTS & ~PAWL__CALL_LOST);\n", "")]),
    ("loss_after_end", "the loss of a lock that was given back is told",
     [(ACTIONS, "    if (!a->let_go) tell_loss(home, a, action->err, action->message);\n",
       "    tell_loss(home, a, action->err, action->message);\n")]),
    ("fence_late", "the fence is shown after the lock is held",
     [(ACTIONS, "    atomic_store(&lock->fence, action->fence);\n    atomic_store(&lock->mode, a->want.mode);\n",
       "    atomic_store(&lock->mode, a->want.mode);\n"),
      (ACTIONS, "    lock->state = PAWL__LOCK_HELD;\n    pawl__hold_begins(lock);\n",
       "    lock->state = PAWL__LOCK_HELD;\n    atomic_store(&lock->fence, action->fence);\n    pawl__hold_begins(lock);\n")]),
    ("unflushed_release", "a release for which others wait leaves with the next request only",
     [(LOCK, "    else if (lent || a)\n        pawl__gate_flush_release(&c->gate);\n", "")]),
    # ---- Re-entrant handles ----
    ("inner_not_pinned", "an inner acquisition of a retained lease does not end the loan",
     [(REENTRY, "lock->state != PAWL__LOCK_HELD || !pawl__held_pin(&lock->held)",
       "lock->state != PAWL__LOCK_HELD")], "--flavour", "reentrant"),
    ("inner_release_releases", "an inner release gives the lock back",
     [(REENTRY, "    if (!full) extras->nested++;\n", "")], "--flavour", "reentrant"),
    ("one_answer_for_two", "of two calls that ended at once one is answered",
     [(DELIVER, "    if (pawl__acquisition_has_over(a, call)) pawl__acquisition_call(a, call);"
       " /* one at a time */\n", "")], "--flavour", "reentrant"),
    # ---- Modes ----
    ("downgrade_is_told", "the end of a downgrade is taken for that of the upgrade after it",
     [("src/engine/change.c", "    if (!event->waiting) return;\n    pawl__engine_set_message",
       "    pawl__engine_set_message"),
      ("src/engine/change.c", "    want->waiting = waiting;\n", "    if (!waiting) return;\n    want->waiting = waiting;\n"),
      ("src/engine/change.c", "    if (!e->link_up && waiting->wait_until == 0) {",
       "    if (!e->link_up && waiting && waiting->wait_until == 0) {")],
     "--flavour", "changing"),
    ("upgrade_without_grant", "an upgrade that is refused leaves the handle in the larger mode",
     [(ACTIONS, "    if (!err) {\n        atomic_store(&lock->fence, action->fence);\n        atomic_store(&lock->mode, PAWL_MODE_EXCLUSIVE);\n    }\n",
       "    if (!err) atomic_store(&lock->fence, action->fence);\n    atomic_store(&lock->mode, PAWL_MODE_EXCLUSIVE);\n")],
     "--flavour", "changing"),
    ("downgraded_late", "a handle is downgraded when the store knows it, and others share it before",
     [("src/runtime/mode.c", "    atomic_store(&lock->mode, (uint8_t)to);\n    ask_change(lock, to);\n",
       "    ask_change(lock, to);\n    pawl__gate_flush_now(lock->home->gate);\n    atomic_store(&lock->mode, (uint8_t)to);\n")], "--flavour", "changing"),
    ("part_downgraded_first", "the store may hear of a downgrade of one name while the handle of all says more",
     [("src/runtime/mode.c", "        atomic_store(&lock->mode, (uint8_t)to);\n        err = downgrade_parts(lock->extras->several, to);",
       "        err = downgrade_parts(lock->extras->several, to);\n        pawl__gate_flush_now(lock->home->gate);\n"
       "        atomic_store(&lock->mode, (uint8_t)to);")],
     *SMALL, "16"),
    ("cancel_kept", "a cancel that came too late for the acquisition cancels the upgrade after it",
     [("src/runtime/mode.c", "    a->asked &= (uint8_t)~PAWL__ASK_CANCEL; /* it was meant for what has ended meanwhile */\n", "")],
     "--flavour", "changing", "--seed", "1566001"),  # one in 200,000 programs: the search begins close to it
    ("close_is_cancel", "an upgrade that the close ends is told to be canceled",
     [(ACTIONS, "    if (err == PAWL_ERR_CANCELED && home->gate->closing) err = PAWL_ERR_CLOSED;\n", "")],
     "--flavour", "changing"),
    ("slots_not_told", "a handle keeps the slots of an earlier acquisition",
     [(ACTIONS, "        atomic_store(&lock->extras->slots[i], action->slots[i]);",
       "        if (!atomic_load(&lock->fence)) atomic_store(&lock->extras->slots[i], action->slots[i]);")],
     "--flavour", "permits"),
    # ---- Several names ----
    ("part_keeps_whole", "a part that outlives its handle looks at what is freed",
     [(ACQUISITION, "        several->parts[i]->extras->whole = NULL;\n", "")],
     "--seed", "94560655"),  # a callback frees the handle at the moment at which a part is lost
    ("doubt_without_round", "a doubt of an earlier lease is looked up in a round that has asked for no part",
     [(SEVERAL, "    bool first = !any_in_doubt(round_of(a));", "    bool first = !any_in_doubt(part_in_round(part)->round);")],
     "--seed", "60023287"),  # it needs a late answer at the moment between two acquisitions
    ("refusal_keeps", "an acquisition of several names that ends leaves some of them taken",
     [(SEVERAL, "    give_back(round, 0);\n    a->let_go = true;", "    a->let_go = true;")],
     "--flavour", "several"),
]
