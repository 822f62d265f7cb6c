/* SPDX-License-Identifier: MIT */
/*
 * pawl/composed.hpp - composed.h for C++17 and newer: a job that runs once in a period, the
 * election of a leader, a latch that opens when enough have come, a barrier that all pass together.
 * What pawl.hpp says of objects and results holds here as well.
 *
 *     auto nightly = pawl::once::make(client, "nightly", 24h);
 *     if (!nightly) return complain(nightly.error().what());
 *     auto ran = nightly->run([](pawl::once &) { return backup(); });
 *     if (!ran) complain(ran.error().what());
 *     else if (!*ran) std::puts("somebody has done it");
 *
 * Since 0.2.
 */
#ifndef PAWL_COMPOSED_HPP
#define PAWL_COMPOSED_HPP

#include "composed.h"
#include "pawl.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <type_traits>

namespace pawl
{

/* ---- Once ----------------------------------------------------------------------------------- */

/* See pawl_once_info. The label is bytes that others have chosen. */
struct once_info {
    pawl_once_outcome outcome = PAWL_ONCE_NEVER;
    bool due = false;
    std::chrono::microseconds began{0}, ended{0}, now{0}, next{0}; /* since 1970, by the store */
    uint64_t fence = 0;
    std::string owner;
};

/*
 * At most one successful run of a job in each period, among all who name it: see composed.h. Its
 * destructor gives back the lock: a run that was begun and not ended does not count. One thread at
 * a time, except cancel().
 */
class once
{
  public:
    /* No I/O. The lock's options: exclusive, neither re-entrant nor retained. keep_on_failure: a
       run that failed counts as well. Errors as pawl_once_new. */
    static result<once> make(const client &client, std::string_view name,
                             std::chrono::milliseconds every, bool keep_on_failure = false,
                             lock_options options = {})
    {
        once made(client.home_);
        pawl_lock_opts lock;
        if (int wrong = detail::fill(options, made.listener_, lock)) return error(wrong);
        pawl_once_opts opts;
        pawl_once_opts_init(&opts);
        opts.every_ms = int64_t(every.count());
        if (keep_on_failure) opts.flags |= PAWL_ONCE_KEEP_ON_FAILURE;
        opts.lock = &lock;
        int code = pawl_once_new(made.home_->client, name.data(), name.size(), &opts, &made.once_);
        if (code) return made.home_->error(code);
        return made;
    }
    once(once &&other) noexcept
        : home_(std::move(other.home_)), listener_(std::move(other.listener_)),
          once_(std::exchange(other.once_, nullptr))
    {
    }
    once &operator=(once &&other) noexcept
    {
        if (this == &other) return *this;
        pawl_once_free(once_);
        once_ = std::exchange(other.once_, nullptr);
        listener_ = std::move(other.listener_);
        home_ = std::move(other.home_);
        return *this;
    }
    once(const once &) = delete;
    once &operator=(const once &) = delete;
    ~once()
    {
        pawl_once_free(once_);
    }

    /*
     * Runs the job, unless it has been done in this period: work(once &) returns nothing, or
     * whether it succeeded; if it throws it has failed. true: it ran, and the store knows how it
     * went. false: it has been done. Other errors as pawl_once_begin and pawl_once_end: is_lost()
     * after work has run means that another one may have run as well.
     */
    template <typename Work> result<bool> run(Work &&work, wait_time wait = forever)
    {
        if (auto begun = begin(wait); !begun) {
            if (begun.error() == PAWL_ERR_DONE) return false;
            return begun.error();
        }
        result<void> ended;
        try {
            ended = end(succeeds(std::forward<Work>(work)));
        } catch (...) {
            (void)end(false);
            throw;
        }
        if (!ended) return ended.error();
        return true;
    }

    /* The steps of run(): pawl_once_begin and pawl_once_end. */
    result<void> begin(wait_time wait = forever)
    {
        return home_->done(pawl_once_begin(once_, wait.ms()));
    }
    result<void> end(bool success, wait_time wait = forever)
    {
        return home_->done(pawl_once_end(once_, success, wait.ms()));
    }
#ifdef __cpp_lib_jthread
    /* A stop ends the wait for another run with PAWL_ERR_CANCELED. */
    result<void> begin(std::stop_token stop, wait_time wait = forever)
    {
        return home_->done(detail::unless_stopped(std::move(stop), pawl_once_lock(once_), [&] {
            return pawl_once_begin(once_, wait.ms());
        }));
    }
#endif
    /* Ends a begin that waits for another run, with PAWL_ERR_CANCELED. PAWL_ERR_STATE: none waits.
     */
    result<void> cancel()
    {
        return home_->done(pawl_lock_cancel(pawl_once_lock(once_)));
    }

    /* Of the lock of the run: see pawl::lock. */
    bool is_held() const noexcept
    {
        return pawl_lock_is_held(pawl_once_lock(once_));
    }
    uint64_t fence() const noexcept
    {
        return pawl_lock_fence(pawl_once_lock(once_));
    }
    std::chrono::milliseconds remaining() const noexcept
    {
        return std::chrono::milliseconds(pawl_lock_remaining_ms(pawl_once_lock(once_)));
    }

    /* How the latest run went. look() asks the store; last() has what the latest begin or look
     * found.
     */
    result<once_info> look(wait_time wait = forever)
    {
        int code = pawl_once_look(once_, wait.ms());
        if (code) return home_->error(code);
        return last();
    }
    once_info last() const
    {
        pawl_once_info from;
        pawl_once_last(once_, &from);
        using us = std::chrono::microseconds;
        return {from.outcome,    from.due,         us(from.began_us), us(from.ended_us),
                us(from.now_us), us(from.next_us), from.fence,        from.owner};
    }
    /* For what is not here. Borrowed. */
    pawl_once *native() const noexcept
    {
        return once_;
    }

  private:
    explicit once(std::shared_ptr<detail::connection> home) : home_(std::move(home))
    {
    }
    template <typename Work> bool succeeds(Work &&work)
    {
        if constexpr (std::is_void_v<std::invoke_result_t<Work, once &>>) {
            std::forward<Work>(work)(*this);
            return true;
        } else {
            return bool(std::forward<Work>(work)(*this));
        }
    }

    std::shared_ptr<detail::connection> home_;
    std::shared_ptr<detail::listener> listener_; /* freed after the handle */
    pawl_once *once_ = nullptr;
};

/* ---- Election ------------------------------------------------------------------------------- */

/* What is known of the leader: see pawl_leader. Label and value are bytes that others have chosen.
 */
struct leader {
    int err = 0; /* why nothing is known now */
    bool leads = false;
    std::string owner;
    uint64_t fence = 0;
    std::optional<std::chrono::milliseconds> remaining; /* none: its lease never ends */
    std::optional<std::string> value;                   /* none: it has proclaimed nothing yet */
};

namespace detail
{
inline leader copy(const pawl_leader &from)
{
    leader to;
    to.err = from.err;
    to.leads = from.leads;
    to.owner = from.owner ? from.owner : "";
    to.fence = from.fence;
    to.remaining = left(from.remaining_ms);
    if (from.value) to.value.emplace(from.value, from.value_len);
    return to;
}
} // namespace detail

/*
 * The leader is the holder of the lock of a name. Each object is one candidate: it campaigns by
 * acquiring its lock. What pawl::lock says about a loss holds for the lead.
 */
class election
{
  public:
    /* No I/O. Errors as pawl_lock_new. */
    static result<election> make(const client &client, std::string_view name,
                                 lock_options options = {})
    {
        auto made = client.lock(name, std::move(options));
        if (!made) return made.error();
        return election(client.home_, *std::move(made));
    }

    /* Waits for the lead: pawl_lock_acquire. */
    result<void> campaign(wait_time wait = forever)
    {
        return lock_.acquire(wait);
    }
#ifdef __cpp_lib_jthread
    result<void> campaign(std::stop_token stop, wait_time wait = forever)
    {
        return lock_.acquire(std::move(stop), wait);
    }
#endif
    /* The leader makes its value known, or ends its lead. See pawl_election_proclaim, _resign. */
    result<void> proclaim(std::string_view value, wait_time wait = forever)
    {
        return home_->done(
            pawl_election_proclaim(lock_.native(), value.data(), value.size(), wait.ms()));
    }
    result<void> resign(wait_time wait = forever)
    {
        return home_->done(pawl_election_resign(lock_.native(), wait.ms()));
    }
    bool leads() const noexcept
    {
        return lock_.is_held();
    }
    /* The lock of the lead: its fence, its deadline, cancel(). */
    pawl::lock &lock() noexcept
    {
        return lock_;
    }

    /* Who leads now: pawl_election_leader. */
    static result<leader> ask(const client &client, std::string_view name, wait_time wait = forever)
    {
        leader found;
        int code = pawl_election_leader(client.home_->client, name.data(), name.size(), wait.ms(),
                                        take, &found);
        if (code) return client.home_->error(code);
        return found;
    }

    /* Follows the leader until its end; see pawl_election_observe. */
    class observer
    {
      public:
        observer(observer &&other) noexcept = default;
        observer &operator=(observer &&other) noexcept = default;

        /* After the return the function is not called any more, unless by the caller itself. */
        void stop()
        {
            state_.reset();
        }

      private:
        friend class election;
        struct state {
            std::shared_ptr<detail::connection> home;
            std::function<void(const leader &)> call;
            pawl_observer *observer = nullptr;
            state(std::shared_ptr<detail::connection> at, std::function<void(const leader &)> fn)
                : home(std::move(at)), call(std::move(fn))
            {
            }
            state(const state &) = delete;
            state &operator=(const state &) = delete;
            ~state()
            {
                pawl_observer_stop(observer);
            }
        };
        explicit observer(std::unique_ptr<state> made) : state_(std::move(made))
        {
        }
        std::unique_ptr<state> state_;
    };

    /* call(const leader &) runs in the place of callbacks, must not throw, and not end the
     * observer. */
    static result<observer> observe(const client &client, std::string_view name,
                                    std::function<void(const leader &)> call)
    {
        auto made = std::make_unique<observer::state>(client.home_, std::move(call));
        int code = pawl_election_observe(client.home_->client, name.data(), name.size(), tell,
                                         made.get(), &made->observer);
        if (code) return client.home_->error(code);
        return observer(std::move(made));
    }

  private:
    election(std::shared_ptr<detail::connection> home, pawl::lock lock)
        : home_(std::move(home)), lock_(std::move(lock))
    {
    }
    static void take(const pawl_leader *from, void *into)
    {
        *static_cast<leader *>(into) = detail::copy(*from);
    }
    static void tell(const pawl_leader *from, void *state)
    {
        static_cast<observer::state *>(state)->call(detail::copy(*from));
    }

    std::shared_ptr<detail::connection> home_;
    pawl::lock lock_;
};

/* ---- Latch and barrier ---------------------------------------------------------------------- */

namespace detail
{
struct freer {
    void operator()(pawl_latch *latch) const
    {
        pawl_latch_free(latch);
    }
    void operator()(pawl_barrier *barrier) const
    {
        pawl_barrier_free(barrier);
    }
};

inline uint64_t found(const pawl_latch *latch)
{
    return pawl_latch_left(latch);
}
inline uint64_t found(const pawl_barrier *barrier)
{
    return pawl_barrier_generation(barrier);
}

/* What a call of a handle of its own came to: it found `number`. */
inline result<uint64_t> outcome(const connection &home, int code, uint64_t number)
{
    if (code) return home.error(code);
    return number;
}

#ifdef __cpp_lib_jthread
/*
 * A call that a stop ends: it frees the handle, and the call tells its end, once, in any case. So
 * all of this lives until then.
 */
template <typename Handle> struct stoppable {
    std::unique_ptr<Handle, freer> handle;
    const Handle *asked = handle.get();
    std::mutex mutex;
    std::condition_variable end;
    bool has_ended = false;
    int code = 0;
    uint64_t number = 0;

    explicit stoppable(Handle *made) : handle(made)
    {
    }
    static void on_done(pawl_lock *, int err, void *self)
    {
        auto call = static_cast<stoppable *>(self);
        std::lock_guard<std::mutex> guard(call->mutex);
        call->code = err;
        call->number = found(call->asked); /* who frees it waits for this callback */
        call->has_ended = true;
        call->end.notify_one();
    }
    template <typename Start> void run(std::stop_token stop, Start start)
    {
        int refused = start(handle.get(), on_done, this); /* on_done may have set code already */
        if (refused) {
            code = refused;
            return;
        }
        std::stop_callback leave(std::move(stop), [this] { handle.reset(); });
        std::unique_lock<std::mutex> guard(mutex);
        end.wait(guard, [this] { return has_ended; });
    }
};
#endif
} // namespace detail

/*
 * A latch opens when it was counted down `count` times, by whomever; once. Each call has a handle
 * of its own, so threads may share the object. See pawl_latch.
 */
class latch
{
  public:
    /* No I/O. keep: how long the store keeps it after the latest count. Errors as pawl_latch_new.
     */
    static result<latch>
    make(const client &client, std::string_view name, uint32_t count,
         std::chrono::milliseconds keep = std::chrono::milliseconds(PAWL_LATCH_KEEP_MS))
    {
        latch made(client.home_, name, count, keep);
        int code = 0;
        std::unique_ptr<pawl_latch, detail::freer> tried(made.handle(code));
        if (code) return client.home_->error(code);
        return made;
    }

    /* How many are to come. Errors as pawl_latch_count_down. */
    result<uint32_t> count_down(uint32_t by = 1, wait_time wait = forever)
    {
        return number(call([&](pawl_latch *l) { return pawl_latch_count_down(l, by, wait.ms()); }));
    }
    /* Returns when it is open. Errors as pawl_latch_wait. */
    result<void> wait(wait_time wait = forever)
    {
        return nothing(call([&](pawl_latch *l) { return pawl_latch_wait(l, wait.ms()); }));
    }
#ifdef __cpp_lib_jthread
    /* A stop ends the wait with PAWL_ERR_CANCELED. Its end is a callback: with
     * PAWL_CALLBACKS_DISPATCH another thread has to dispatch. */
    result<void> wait(std::stop_token stop, wait_time wait = forever)
    {
        int code = 0;
        detail::stoppable<pawl_latch> waits(handle(code));
        if (code) return home_->error(code);
        waits.run(std::move(stop), [&](pawl_latch *l, pawl_done_fn done, void *self) {
            return pawl_latch_wait_start(l, wait.ms(), done, self);
        });
        return home_->done(waits.code);
    }
#endif
    /* How many are to come: pawl_latch_look. */
    result<uint32_t> left(wait_time wait = forever)
    {
        return number(call([&](pawl_latch *l) { return pawl_latch_look(l, wait.ms()); }));
    }

  private:
    latch(std::shared_ptr<detail::connection> home, std::string_view name, uint32_t count,
          std::chrono::milliseconds keep)
        : home_(std::move(home)), name_(name), count_(count), keep_(keep)
    {
    }
    pawl_latch *handle(int &ret_code) const
    {
        pawl_latch *made = nullptr;
        pawl_latch_opts opts;
        pawl_latch_opts_init(&opts);
        opts.count = count_;
        opts.keep_ms = int64_t(keep_.count());
        ret_code = pawl_latch_new(home_->client, name_.data(), name_.size(), &opts, &made);
        return made;
    }
    template <typename Call> result<uint64_t> call(Call make_call) const
    {
        int code = 0;
        std::unique_ptr<pawl_latch, detail::freer> own(handle(code));
        if (!code) code = make_call(own.get());
        return detail::outcome(*home_, code, code ? 0 : detail::found(own.get()));
    }
    static result<uint32_t> number(result<uint64_t> from)
    {
        if (!from) return from.error();
        return uint32_t(*from);
    }
    static result<void> nothing(result<uint64_t> from)
    {
        if (!from) return from.error();
        return {};
    }

    std::shared_ptr<detail::connection> home_;
    std::string name_;
    uint32_t count_;
    std::chrono::milliseconds keep_;
};

/*
 * A barrier lets `parties` callers through together; the next ones make the next round. Each call
 * of wait() is one of them, with a handle of its own, so threads may share the object. See
 * pawl_barrier.
 */
class barrier
{
  public:
    /* No I/O. ttl: the lease of one that waits. Errors as pawl_barrier_new. */
    static result<barrier>
    make(const client &client, std::string_view name, uint32_t parties,
         std::chrono::milliseconds ttl = std::chrono::milliseconds(PAWL_TTL_DEFAULT_MS))
    {
        barrier made(client.home_, name, parties, ttl);
        int code = 0;
        std::unique_ptr<pawl_barrier, detail::freer> tried(made.handle(code));
        if (code) return client.home_->error(code);
        return made;
    }

    /* The number of the round: 1, 2 and so on. Errors as pawl_barrier_wait. */
    result<uint64_t> wait(wait_time wait = forever)
    {
        int code = 0;
        std::unique_ptr<pawl_barrier, detail::freer> own(handle(code));
        if (!code) code = pawl_barrier_wait(own.get(), wait.ms());
        return detail::outcome(*home_, code, code ? 0 : detail::found(own.get()));
    }
#ifdef __cpp_lib_jthread
    /* A stop ends the wait with PAWL_ERR_CANCELED, and breaks the round for the others. See
     * latch::wait. */
    result<uint64_t> wait(std::stop_token stop, wait_time wait = forever)
    {
        int code = 0;
        detail::stoppable<pawl_barrier> waits(handle(code));
        if (code) return home_->error(code);
        waits.run(std::move(stop), [&](pawl_barrier *b, pawl_done_fn done, void *self) {
            return pawl_barrier_wait_start(b, wait.ms(), done, self);
        });
        return detail::outcome(*home_, waits.code, waits.number);
    }
#endif

  private:
    barrier(std::shared_ptr<detail::connection> home, std::string_view name, uint32_t parties,
            std::chrono::milliseconds ttl)
        : home_(std::move(home)), name_(name), parties_(parties), ttl_(ttl)
    {
    }
    pawl_barrier *handle(int &ret_code) const
    {
        pawl_barrier *made = nullptr;
        pawl_barrier_opts opts;
        pawl_barrier_opts_init(&opts);
        opts.parties = parties_;
        opts.ttl_ms = int64_t(ttl_.count());
        ret_code = pawl_barrier_new(home_->client, name_.data(), name_.size(), &opts, &made);
        return made;
    }

    std::shared_ptr<detail::connection> home_;
    std::string name_;
    uint32_t parties_;
    std::chrono::milliseconds ttl_;
};

} // namespace pawl

#endif
