# SPDX-License-Identifier: MIT
"""Mistakes that scripts/mutants-threads plants in src/: (name, what is wrong, changes), and
how to look for it if not by seeds: as small programs, whose number then stands for the seed.

A change is (file, text, instead of it); the text occurs once. Where code moves, move these along:
a text that is not found fails the script.
"""

DRIVE, TURN, CLAIMS = "src/runtime/drive.c", "src/runtime/turn.c", "src/runtime/claims.c"
CALLS, CLIENT, LOCK = "src/runtime/calls.c", "src/runtime/client.c", "src/runtime/lock.c"
QUERY, FORK, SLEEPER = "src/runtime/query.c", "src/runtime/fork.c", "src/runtime/sleeper.c"
CACHED, THREAD = "src/runtime/cached.c", "src/runtime/thread.c"

PLANTED = [
    # ---- What a review found, planted again ----
    ("exit_without_loop", "exit() sends nothing if another thread has the loop",
     [(DRIVE, "if (!c->closing && pawl__role_take(c, until)) {",
       "if (!c->closing && may_drive(c) && pawl__role_take(c, until)) {")]),
    ("exit_of_bare_child", "a child of _Fork() that exits takes its parent's clients for its own",
     [(FORK, "    if (!pawl__process_is(atomic_load(&watching))) return;\n", ""),
      (DRIVE, "if (pawl__client_forked(c) || !lock_in_time(", "if (!lock_in_time(")]),
    ("tell_after_end", "a claim that ended at the first wish is told the second",
     [(TURN, "    claim->telling = true;\n", "")]),
    ("thread_after_close", "a client that closes starts a thread for callbacks",
     [(CALLS, "    if (calls->closed) return PAWL_ERR_CLOSED; /* nobody would join it */\n", "")]),
    ("dispatch_beside_close", "close runs callbacks while another thread runs one",
     [(CALLS, "count < max && !calls->running && !pawl__calls_none(calls)",
       "count < max && !pawl__calls_none(calls)"),
      (CALLS, "    while (calls->running) pthread_cond_wait(&calls->ended, calls->mutex); /* on another "
       "thread */\n", "")]),
    ("close_without_visitors", "close frees what a call of another thread still looks at",
     [(CLIENT, "    pawl__visitors_await(c);\n", "")]),
    ("canceled_inside", "a thread can be canceled inside a call",
     [(THREAD, "    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);\n    return state;",
       "    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);\n    return state;")]),
    ("canceled_in_fork", "a thread can be canceled in the handler of fork",
     [(FORK, "    int state = pawl__cancel_off();\n    int64_t until = pawl__instant_add(pawl__now(), "
       "FORK_WAIT_MS", "    int state = PTHREAD_CANCEL_ENABLE;\n    int64_t until = "
       "pawl__instant_add(pawl__now(), FORK_WAIT_MS")]),
    ("fork_handler_hangs", "a program's own handler of fork that asks pawl waits for itself",
     [(FORK, "    forking = true;\n", "")]),
    ("cache_survives_exit", "a cached lease survives the exit",
     [(DRIVE, "        pawl__cached_end_all(c);\n        pthread_mutex_unlock(&c->mutex);\n"
       "        pawl__turn_feed(c, &keep_nothing);", "        pthread_mutex_unlock(&c->mutex);")]),
    ("query_for_ever", "a query that the store never answers hangs its caller",
     [(QUERY, "    give_up_asking(c, now);\n", "")]),
    # ---- What the scheduler itself found first ----
    ("close_releases_first", "a close gives leases back while their handles say held",
     [(CLIENT, "    let_go_all(c);\n", "")]),
    ("waiter_retakes_loop", "pawl_client_wait takes the loop back before fork or exit can have it",
     [(DRIVE, "(c->driven || c->role_wanted > 1) && !c->closing", "c->driven && !c->closing")]),
    ("started_unguarded", "the client's thread reads whether it was started while that is written",
     [(CLIENT, "    c->thread_started = !err; /* it reads this */\n", ""),
      (CLIENT, "    if (!err) return PAWL_OK;\n    c->thread_started = false;\n    return fail(message, "
       "err, \"threads\");", "    c->thread_started = !err;\n    if (!err) return PAWL_OK;\n    return "
       "fail(message, err, \"threads\");")]),
    ("thread_spins", "the client's thread spins while another thread is about to take the loop",
     [(DRIVE, "    if (!may_drive(c)) return patience;", "    if (c->driven) return patience;")]),
    # ---- Others ----
    ("driver_not_woken", "who asks does not wake the driver that sleeps",
     [(DRIVE, "    if (!c->asleep) return;\n", "    if (c->asleep || !c->asleep) return;\n")]),
    ("thread_not_woken", "the client's thread is not woken when it is needed",
     [(DRIVE, "    pthread_cond_signal(&c->thread_cond);\n", "")]),
    ("role_to_nobody", "who gives up the loop passes it to no caller",
     [(DRIVE, "        pawl__sleeper_call(c);\n    else if (needs_thread(c))\n",
       "        (void)c;\n    else if (needs_thread(c))\n")]),
    ("role_wanters_not_told", "who gives up the loop does not tell those who want it before all",
     [(DRIVE, "        pthread_cond_broadcast(&c->role_cond);\n        return;", "        return;")]),
    ("post_before_unlink", "a sleeper is woken first and unlinked afterwards",
     [(SLEEPER, "        pawl__list_remove(first);\n        post(sleeper_of(first));",
       "        post(sleeper_of(first));\n        pawl__list_remove(first);")]),
    ("two_drivers", "a caller drives for a moment without taking the loop",
     [(DRIVE, "    c->drives++;\n    c->driven = true;\n", "    c->drives++;\n")]),
    ("close_without_loop", "close does not take the loop",
     [(CLIENT, "    pawl__role_take(c, PAWL__NEVER); /* and never gives it back */\n", "")]),
    ("unlocked_completion", "a query is completed without the mutex",
     [(QUERY, "    pthread_mutex_lock(&c->mutex);\n    complete_held(c, query, err, message);\n"
       "    pthread_mutex_unlock(&c->mutex);", "    complete_held(c, query, err, message);")]),
    ("flag_unlocked", "who finds its lock gone reads without the mutex whether the client closes",
     [(LOCK, "    pthread_mutex_lock(&c->mutex);\n    bool closing = c->closing;\n    "
       "pthread_mutex_unlock(&c->mutex);", "    bool closing = c->closing;")]),
    ("reference_early", "a claim has no reference of its own",
     [(CLAIMS, "    lock->refs++;\n", "")]),
    ("callbacks_not_joined", "close does not end the thread of the callbacks",
     [(CALLS, "    if (calls->thread_started) pthread_join(calls->thread, NULL);\n", "")]),
    ("end_not_told", "a release that is under way at a close is told to nobody",
     [(CLAIMS, "    end_release(c, claim, PAWL_ERR_UNKNOWN);\n", "")]),
    ("held_after_release", "a release leaves the deadline where it is",
     [(LOCK, "    bool held = pawl__lock_let_go(lock) && !told_lost;",
       "    bool held = pawl_lock_is_held(lock) && !told_lost;")]),
    ("weak_post", "what a post orders is not ordered for who sees the flag",
     [(SLEEPER, "    sem_post(&sleeper->posts);\n}\n\nvoid pawl__sleeper_complete",
       "    sem_post(&sleeper->posts);\n    sem_post(&sleeper->posts);\n}\n\nvoid pawl__sleeper_complete")]),
    ("loan_not_recalled", "a cached lease is not recalled when another handle wants it",
     [(CACHED, "        if (pawl__cached_pin(lock)) return NULL;\n        word",
       "        if (pawl__cached_pin(lock) || lock) return NULL;\n        word")]),
]
