/* SPDX-License-Identifier: MIT */
/*
 * Planted bugs, to prove that the simulator can fail. PAWL_MUTANT(name) is the constant
 * false everywhere but in pawl-sim-mutants, where one of them is chosen at run time.
 */
#ifndef PAWL_BASE_MUTANT_H
#define PAWL_BASE_MUTANT_H

#include <stdbool.h>

#define PAWL_MUTANT_LIST(X)                                                                        \
    /* Deadlines (law 2) */                                                                        \
    X(grant_from_reply, "the deadline of a grant counts from its reply")                           \
    X(renewal_from_reply, "the deadline of a renewal counts from its reply")                       \
    X(dead_grant_given, "a grant is given although its deadline has passed")                       \
    X(no_margin, "the deadline has no margin for drift")                                           \
    X(no_deadline, "held until released, whatever the time")                                       \
    X(narrow_arithmetic, "32 bits for nanoseconds")                                                \
    X(seconds_for_ms, "the ttl is sent in the wrong unit")                                         \
    X(renew_at_two_thirds, "renewed after two thirds of the ttl")                                  \
    X(renew_at_ttl, "renewed after a whole ttl")                                                   \
    X(news_before_time, "a confirmation is read before the deadline is looked at")                 \
    X(ttl_changes_hands, "a lease that is passed on locally takes the next one's ttl")             \
    X(now_from_before_pause, "the time is read before a pause and used after it")                  \
    X(clock_stops_in_suspend, "the deadline is on a clock that stands still in suspend")           \
    X(clock_of_the_wall, "the deadline is on a clock that is set back")                            \
    X(handed_for_a_ttl, "a lease that was handed on is believed for its whole ttl at once")        \
    /* Only the owner (law 5) */                                                                   \
    X(release_without_compare, "release deletes whatever is there")                                \
    X(renew_without_compare, "renew extends whatever is there")                                    \
    X(renew_recreates, "renew takes a lock that is gone")                                          \
    X(renew_overwrites, "renew takes the lock from whoever has it")                                \
    X(token_of_client, "one token per client, not per lease")                                      \
    X(token_of_everybody, "one token for all")                                                     \
    X(renewal_answer_ignored, "a renewal that was denied counts as confirmed")                     \
    X(silence_is_consent, "a renewal without an answer counts as confirmed")                       \
    X(renewal_not_retried, "a renewal that failed once is not tried again")                        \
    X(batch_stops_at_first, "after a reconnect only the first lease is renewed")                   \
    X(grant_without_expiry, "a grant whose expiry is set by a second command")                     \
    /* Unknown is not failed (law 4) */                                                            \
    X(retry_with_new_token, "an ask without an answer is repeated with another token")             \
    X(late_grant_kept, "cancelled while asking: no release follows")                               \
    X(unknown_not_released, "given up while unknown: no release follows")                          \
    X(release_gives_up_early, "a release is tried for half a ttl only")                            \
    X(cancel_leaves_place, "a cancelled wait leaves its place in the queue")                       \
    X(left_is_failed, "a command that had left before the cut is called failed")                   \
    X(late_reply_read, "a connection with a late reply is used on")                                \
    X(noscript_is_no, "NOSCRIPT is taken for an answer")                                           \
    X(noscript_after_release, "an ask is repeated behind its release")                             \
    X(together_one_answer, "of several answers in one all get the first")                          \
    X(together_half_failed, "what a call for several names may have done is called failed")        \
    X(together_half_lost, "what a call for several names may have released is called lost")        \
    X(together_overtaken, "an ask is repeated behind a release of several names")                  \
    X(bodies_never_arrive, "a script body that was sent once counts as under way for ever")        \
    X(replica_is_kept, "the connection to a server that has become a replica is used on")          \
    X(refusal_is_released, "a server that refuses a release has done it")                          \
    X(retry_after_5ms, "what failed is tried again after 5 ms, whatever the ttl")                  \
    X(retry_without_pause, "what failed is tried again at once")                                   \
    /* The restart guard, the server's clock, keys that change (redis_guard.c, redis_watch.c) */   \
    X(guard_not_heeded, "a server that may have forgotten locks grants at once")                   \
    X(guard_hands_on, "a release hands the lock on while the restart guard is active")             \
    X(guard_half_as_long, "the restart guard lasts for half of the longest ttl")                   \
    X(guard_for_ever, "nobody asks whether the restart guard is over")                             \
    X(guard_of_new_server, "a server that is new and empty lets its first client wait")            \
    X(guard_of_old_server, "a server that has run for long counts as one that began just now")     \
    X(guard_trusts_seconds, "the uptime, told in whole seconds, is taken for exact")               \
    X(guard_forgets_record, "the record of an earlier run is no reason for the guard")             \
    X(guard_forgets_run, "a client does not tell which run of the server it knew")                 \
    X(longer_unannounced, "a lease longer than the guard's span is not announced")                 \
    X(step_unseen, "a step of the server's clock is not seen")                                     \
    X(step_asks_nobody, "a step of the server's clock is told, and no lease is asked about")       \
    X(time_as_of_answer, "a reading of the server's clock counts as of its answer")                \
    X(key_untracked, "a key is read without being tracked")                                        \
    X(key_not_compared, "a key that changed before it was tracked is not noticed")                 \
    X(invalidation_unread, "a client does not read that a key has changed")                        \
    X(own_changes_are_news, "a client is told of its own changes of a key")                        \
    /* Fences (law 3) */                                                                           \
    X(fence_without_clock, "the fence is a counter that can be lost")                              \
    X(fence_expires, "the counter dies with its lease")                                            \
    X(fence_drawn_early, "the fence is drawn when the waiter arrives")                             \
    X(old_push_believed, "a push of a grant that has run out is believed")                         \
    /* Everyone is told once (law 6) */                                                            \
    X(loss_never_told, "a loss is not told")                                                       \
    X(loss_told_twice, "a loss is told twice")                                                     \
    X(hasty_waits_on, "who does not wait waits for a store that is gone")                          \
    X(word_after_close, "waiters hear of something after close")                                   \
    X(break_not_told, "who is told that its lock was broken does not look")                        \
    X(detached_not_left, "close releases what was taken to be passed on")                          \
    X(loss_called_released, "what was lost is called released")                                    \
    X(unsure_called_lost, "a release that may have been done is called lost")                      \
    /* Nobody is forgotten (law 7), sharing */                                                     \
    X(push_without_timer, "a waiter trusts its push alone")                                        \
    X(handoff_to_expired, "a waiter whose place ran out is handed the lock")                       \
    X(handoff_to_nobody, "a waiter whose connection is gone is handed the lock")                   \
    X(monitor_taken_for_waiter, "who listens to all inboxes counts as the waiter that hears")      \
    X(cut_waiter_dropped, "a waiter whose connection is gone loses its place at once")             \
    X(handoff_extends, "who is handed the lock has it for a whole ttl, frozen or not")             \
    X(handoff_to_newest, "the last to come is served first")                                       \
    X(asker_barges_in, "who asks at the right moment overtakes the queue")                         \
    X(refresh_loses_place, "refreshing a place moves it to the end")                               \
    X(cached_kept_after_yield, "an unused lease is kept though others wait")                       \
    X(idle_in_the_way, "an unused lease keeps out another mode of its own client")                 \
    X(yield_not_repeated, "a yield request that was lost is not repeated")                         \
    X(yield_for_nobody, "a holder is told to yield with each renewal, though nobody waits")        \
    X(sharing_without_budget, "a busy client passes its lease on locally for ever")                \
    /* Several holders, at the store */                                                            \
    X(reader_passes_writer, "a reader comes in although a writer waits before it")                 \
    X(one_reader_woken, "a release lets in one of the readers who wait")                           \
    X(two_updaters, "a second one comes in mode update: two upgrades would wait for each other")   \
    X(upgrade_beside_reader, "an upgrade is granted although a reader holds")                      \
    X(upgrade_stops_nobody, "readers come in although an upgrade waits")                           \
    X(upgrade_draws_no_fence, "an upgrade keeps the fence")                                        \
    X(reader_draws_no_fence, "a reader gets the fence of who came before it")                      \
    X(late_change_done, "a change that comes late is done")                                        \
    X(downgrade_wakes_nobody, "a downgrade lets nobody in")                                        \
    X(dead_reader_counts, "a reader whose lease ran out counts until all have run out")            \
    X(cut_reader_is_gone, "a reader whose connection is gone counts as dead")                      \
    X(renewal_prolongs_others, "the renewal of one reader prolongs the others' leases")            \
    X(marker_ends_first, "the lock key ends with the first of the readers")                        \
    X(entry_extends, "who is let in beside others has it for a whole ttl, frozen or not")          \
    X(reader_releases_all, "the release of one reader ends them all")                              \
    X(readers_release_without_compare, "a stranger's release takes the lease of a reader")         \
    X(reader_renewal_recreates, "the renewal of a reader that is gone takes the lock")             \
    X(kinds_are_mixed, "a name is a lock and a semaphore, or has two capacities")                  \
    X(permits_leak, "the permits of a holder that ran out are not free again")                     \
    X(record_is_holder, "what is left of a holder's record makes it a holder again")               \
    X(slot_given_twice, "a permit is given to two")                                                \
    X(highest_slot_first, "the highest free permit is given, not the lowest")                      \
    X(small_ones_pass, "who asks for one permit passes who waits for many")                        \
    /* Values beside names */                                                                      \
    X(value_without_compare, "who does not hold leaves a value")                                   \
    X(value_of_the_dead, "a reader whose lease ran out leaves a value")                            \
    X(value_with_last_fence, "a value has the fence that was drawn last, not its writer's")        \
    X(value_stays, "a value is not replaced")                                                      \
    X(late_publication_counts, "a value that comes late replaces a newer one of its lease")        \
    X(publications_have_one_number, "all values of a lease have one number")                       \
    X(value_tells_nobody, "who watches is not told of a value")                                    \
    /* Several holders, in the client */                                                           \
    X(upgrade_believed_early, "an upgrade counts as granted when the store has queued it")         \
    X(upgrade_push_believed, "the push of an upgrade is believed, also of one taken back")         \
    X(change_not_repeated, "a change without an answer is not repeated")                           \
    X(change_numbers_repeat, "all changes of a lease have one number")                             \
    X(upgrade_not_taken_back, "the store does not hear of an upgrade that was given up")           \
    X(downgrade_not_told, "the store does not hear of a downgrade")                                \
    X(weaker_lease_passed, "a writer gets a lease whose mode was changed")                         \
    X(readers_not_told, "one of the readers by a lease is told of its loss, the others are not")   \
    X(join_renews, "a reader who joins a lease makes its deadline count anew")                     \
    X(joined_without_budget, "readers join a lease for ever though others wait")                   \
    X(first_reader_ends_all, "the first reader who is done gives back the lease of all")           \
    X(permits_not_told, "whoever has permits takes them for the first ones")

#ifdef PAWL_MUTATION
typedef enum pawl__mutant_name {
    PAWL__MUTANT_NONE = 0,
#define PAWL_MUTANT_ENUM(name, text) PAWL__MUTANT_##name,
    PAWL_MUTANT_LIST(PAWL_MUTANT_ENUM)
#undef PAWL_MUTANT_ENUM
} pawl__mutant_name;

extern pawl__mutant_name pawl__mutant;
#define PAWL_MUTANT(name) (pawl__mutant == PAWL__MUTANT_##name)
#else
#define PAWL_MUTANT(name) false
#endif

#endif
