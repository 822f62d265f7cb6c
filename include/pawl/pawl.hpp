/* SPDX-License-Identifier: MIT */
/*
 * pawl/pawl.hpp - pawl.h for C++17 and newer: objects that give back what they have, std::chrono,
 * std::stop_token where there is one (C++20), and results that hold a value or say why there is
 * none.
 *
 *     auto client = pawl::client::open("redis://127.0.0.1");
 *     if (!client) return complain(client.error().what());
 *     auto held = client->acquire("nightly", 5s);
 *     if (!held) return complain(held.error().what());
 *     if (held->is_held()) backup(held->fence());
 *     if (auto released = held->release(); !released) complain(released.error().what());
 *
 * What pawl.h says of leases, losses, fences, threads and forks holds here as well. Header only: a
 * program links libpawl, and compiles with any standard library.
 *
 * Nothing throws but result::value(), and the standard library when memory ends. Some functions
 * that you pass must not throw; their comments say so.
 *
 * Since 0.2.
 */
#ifndef PAWL_PAWL_HPP
#define PAWL_PAWL_HPP

#include "result.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>
#if __cplusplus >= 202002L && __has_include(<stop_token>)
#include <stop_token>
#endif
#ifdef __cpp_lib_jthread
#include <thread>
#endif

namespace pawl
{

/* ---- Modes, events, options ----------------------------------------------------------------- */

/* See pawl_mode. */
enum class mode {
    exclusive = PAWL_MODE_EXCLUSIVE,
    shared = PAWL_MODE_SHARED,
    update = PAWL_MODE_UPDATE,
    permit = PAWL_MODE_PERMIT
};

/* What happened to a lock that is held: doubt, held again, lost, or somebody waits. */
struct event {
    pawl_event_kind kind;
    int code; /* DOUBT, LOST: why */
    std::chrono::milliseconds remaining;
    std::string_view message; /* lives as long as the call */
};

struct lock_options {
    std::chrono::milliseconds ttl{PAWL_TTL_DEFAULT_MS}; /* the members: see pawl_lock_opts */
    std::chrono::milliseconds retain{0};
    std::string owner; /* "": the client's */
    bool detached = false;
    bool reentrant = false;
    pawl::mode mode = mode::exclusive;
    uint32_t capacity = 0; /* mode::permit: of the semaphore, and how many of them */
    uint32_t units = 1;
    std::function<void(const event &)> on_event; /* must not throw; may free the lock */
};

struct client_options {
    std::string owner; /* "": the default */
    wait_time store_timeout = std::chrono::milliseconds(5000);
    std::chrono::milliseconds close_timeout{1000};
    pawl_callbacks callbacks = PAWL_CALLBACKS_THREAD;
    /* Must not throw, and not close the client. */
    std::function<void(pawl_severity, std::string_view)> log;
};

/* ---- Reports -------------------------------------------------------------------------------- */

struct holder {
    std::string owner;
    std::optional<std::chrono::milliseconds> remaining; /* none: its lease never ends */
    uint64_t fence;
    pawl::mode mode;
    uint32_t units;
};

struct waiter {
    std::string owner;
    std::chrono::milliseconds waited;
    pawl::mode mode;
    uint32_t units;
};

/* See pawl_info. Names and labels are bytes that others have chosen. */
struct info {
    std::string name;
    bool held = false, foreign = false;
    std::string owner;
    std::optional<std::chrono::milliseconds> remaining;
    uint64_t fence = 0;
    pawl::mode mode = mode::exclusive;
    uint32_t capacity = 0;
    size_t holder_count = 0, waiter_count = 0; /* all */
    std::vector<holder> holders;               /* in order of their fences; as many as are shown */
    std::vector<waiter> waiters;               /* in order of arrival; likewise */
};

namespace detail
{

inline std::optional<std::chrono::milliseconds> left(int64_t ms)
{
    if (ms < 0) return std::nullopt;
    return std::chrono::milliseconds(ms);
}

inline info copy(const pawl_info &from)
{
    info to;
    to.name.assign(from.name, from.name_len);
    to.held = from.held;
    to.foreign = from.foreign;
    to.owner = from.owner;
    to.remaining = left(from.remaining_ms);
    to.fence = from.fence;
    to.mode = mode(from.mode);
    to.capacity = from.capacity;
    to.holder_count = from.holder_count;
    to.waiter_count = from.waiter_count;
    for (size_t i = 0; i < from.holders_shown; i++) {
        const pawl_holder_info &h = from.holders[i];
        to.holders.push_back({h.owner, left(h.remaining_ms), h.fence, mode(h.mode), h.units});
    }
    for (size_t i = 0; i < from.waiters_shown; i++) {
        const pawl_waiter_info &w = from.waiters[i];
        to.waiters.push_back({w.owner, std::chrono::milliseconds(w.age_ms), mode(w.mode), w.units});
    }
    return to;
}

inline bool collect(const pawl_info *from, void *into)
{
    static_cast<std::vector<info> *>(into)->push_back(copy(*from));
    return true;
}

/* Its client is closed with the last reference: locks need the client for the text of their errors.
 */
struct connection {
    pawl_client *client = nullptr;
    pawl_lock *keeper = nullptr; /* never acquired: with it the client stays valid when closed */
    std::function<void(pawl_severity, std::string_view)> log;
    std::atomic<bool> is_closed{false};

    connection() = default;
    connection(const connection &) = delete;
    connection &operator=(const connection &) = delete;
    ~connection()
    {
        close();
        pawl_lock_free(keeper);
    }
    void close()
    {
        if (!is_closed.exchange(true)) pawl_client_close(client);
    }
    pawl::error error(int code) const
    {
        char words[PAWL_MESSAGE_MAX];
        pawl_client_reason(client, code, words);
        return pawl::error(code, words);
    }
    result<void> done(int code) const
    {
        if (code) return error(code);
        return {};
    }
    static void on_log(pawl_client *, pawl_severity severity, const char *line, void *self)
    {
        static_cast<connection *>(self)->log(severity, line);
    }
};

struct listener : std::enable_shared_from_this<listener> {
    std::function<void(const event &)> call;

    static void on_event(pawl_lock *, const pawl_event *e, void *self)
    {
        auto alive =
            static_cast<listener *>(self)->shared_from_this(); /* the call may free the lock */
        alive->call({e->kind, int(e->err), std::chrono::milliseconds(e->remaining_ms), e->message});
    }
};

inline bool has_nul(const std::string &text)
{
    return text.find('\0') != text.npos;
}

/* The options for C: they point into `options`, which the caller keeps. 0, or what is wrong. */
inline int fill(lock_options &options, std::shared_ptr<listener> &events, pawl_lock_opts &opts)
{
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = int64_t(options.ttl.count());
    opts.retain_ms = int64_t(options.retain.count());
    if (has_nul(options.owner)) return PAWL_ERR_OWNER;
    if (!options.owner.empty()) opts.owner = options.owner.c_str();
    if (options.detached) opts.flags |= PAWL_LOCK_DETACHED;
    if (options.reentrant) opts.flags |= PAWL_LOCK_REENTRANT;
    opts.mode = pawl_mode(options.mode);
    opts.capacity = options.capacity;
    opts.units = options.units;
    if (options.on_event) {
        events = std::make_shared<listener>();
        events->call = std::move(options.on_event);
        opts.on_event = listener::on_event;
        opts.event_userdata = events.get();
    }
    return 0;
}

#ifdef __cpp_lib_jthread
/*
 * Runs a call that waits; a stop ends it. A stop may come before the call has begun to wait, and
 * finds nothing to cancel then. So it tries until it has canceled or the call has returned. If the
 * stop came even before this function, the constructor of the callback runs it on this thread,
 * which must not wait there.
 */
template <typename Call> int unless_stopped(std::stop_token stop, pawl_lock *lock, Call call)
{
    const auto caller = std::this_thread::get_id();
    bool begun = false, came_before = false; /* the caller's own */
    std::atomic<bool> returned{false};
    std::stop_callback cancel(stop, [&] {
        if (std::this_thread::get_id() == caller) {
            came_before = !begun || pawl_lock_cancel(lock) == PAWL_ERR_STATE;
            return;
        }
        while (!returned && pawl_lock_cancel(lock) == PAWL_ERR_STATE) std::this_thread::yield();
    });
    if (came_before) return PAWL_ERR_CANCELED;
    begun = true;
    int code = call();
    returned = true;
    return code;
}
#endif

} // namespace detail

/* ---- Lock ----------------------------------------------------------------------------------- */

/*
 * A handle on one name; made by client::lock and client::acquire. Its destructor releases what it
 * holds; call release() to learn whether it was held until then. It may outlive its client; then
 * every call returns PAWL_ERR_CLOSED. Calls may come from any thread; it is moved and destroyed
 * while nobody else uses it.
 */
class lock
{
  public:
    lock(lock &&other) noexcept
        : home_(std::move(other.home_)), listener_(std::move(other.listener_)),
          lock_(std::exchange(other.lock_, nullptr))
    {
    }
    lock &operator=(lock &&other) noexcept
    {
        if (this == &other) return *this;
        pawl_lock_free(lock_);
        lock_ = std::exchange(other.lock_, nullptr);
        listener_ = std::move(other.listener_);
        home_ = std::move(other.home_);
        return *this;
    }
    lock(const lock &) = delete;
    lock &operator=(const lock &) = delete;
    ~lock()
    {
        pawl_lock_free(lock_);
    }

    /* See pawl_lock_acquire: errors as there. */
    result<void> acquire(wait_time wait = forever)
    {
        return done(pawl_lock_acquire(lock_, wait.ms()));
    }
    result<void> try_acquire()
    {
        return done(pawl_lock_acquire(lock_, 0));
    }
    /* Ends a waiting acquisition or upgrade with PAWL_ERR_CANCELED: pawl_lock_cancel. */
    result<void> cancel()
    {
        return done(pawl_lock_cancel(lock_));
    }

    /* Returns when the release is on its way: pawl_lock_release. An error: it was not held until
     * now. */
    result<void> release()
    {
        return done(pawl_lock_release(lock_));
    }
    /* Returns when the store has done it: pawl_lock_release_wait. */
    result<void> release(wait_time wait)
    {
        return done(pawl_lock_release_wait(lock_, wait.ms()));
    }
    /* Leaves the lease to whoever has the token, and returns it: pawl_lock_detach. */
    result<std::string> detach()
    {
        std::string token = this->token();
        int code = pawl_lock_detach(lock_);
        if (code) return home_->error(code);
        return token;
    }

    /* By the clock, no I/O; noexcept, and safe in a handler of a signal. */
    bool is_held() const noexcept
    {
        return pawl_lock_is_held(lock_);
    }
    explicit operator bool() const noexcept
    {
        return is_held();
    }
    std::chrono::milliseconds remaining() const noexcept
    {
        return std::chrono::milliseconds(pawl_lock_remaining_ms(lock_));
    }
    uint64_t fence() const noexcept
    {
        return pawl_lock_fence(lock_);
    }
    /* A secret: whoever knows it can release the lock. */
    std::string token() const
    {
        pawl_token token;
        pawl_lock_token(lock_, &token);
        return token.text;
    }
    /* Its bytes live as long as the lock. */
    std::string_view name() const noexcept
    {
        return pawl_lock_name(lock_);
    }

    /* One name of a handle on several, in the order in which they were given. */
    struct part {
        std::string name;
        uint64_t fence;
    };
    std::vector<part> parts() const
    {
        std::vector<part> parts;
        for (size_t i = 0; i < pawl_lock_count(lock_); i++) {
            const pawl_lock *one = pawl_lock_part(lock_, i);
            parts.push_back({pawl_lock_name(one), pawl_lock_fence(one)});
        }
        return parts;
    }

    /* See pawl_lock_mode, _slots, _upgrade, _downgrade. */
    pawl::mode mode() const noexcept
    {
        return pawl::mode(pawl_lock_mode(lock_));
    }
    std::vector<uint16_t> slots() const
    {
        std::vector<uint16_t> slots(pawl_lock_slots(lock_, nullptr, 0));
        pawl_lock_slots(lock_, slots.data(), slots.size());
        return slots;
    }
    result<void> upgrade(wait_time wait = forever)
    {
        return done(pawl_lock_upgrade(lock_, wait.ms()));
    }
    result<void> downgrade(pawl::mode to = mode::shared)
    {
        return done(pawl_lock_downgrade(lock_, pawl_mode(to)));
    }

#ifdef __cpp_lib_jthread
    /* The same; a stop ends the wait with PAWL_ERR_CANCELED. One that comes too late changes
     * nothing. */
    result<void> acquire(std::stop_token stop, wait_time wait = forever)
    {
        return done(detail::unless_stopped(std::move(stop), lock_,
                                           [&] { return pawl_lock_acquire(lock_, wait.ms()); }));
    }
    result<void> upgrade(std::stop_token stop, wait_time wait = forever)
    {
        return done(detail::unless_stopped(std::move(stop), lock_,
                                           [&] { return pawl_lock_upgrade(lock_, wait.ms()); }));
    }
#endif

    /* For what is not here. Borrowed. */
    pawl_lock *native() const noexcept
    {
        return lock_;
    }

  private:
    friend class client;
    explicit lock(std::shared_ptr<detail::connection> home) : home_(std::move(home))
    {
    }
    result<void> done(int code) const
    {
        return home_->done(code);
    }

    std::shared_ptr<detail::connection> home_;
    std::shared_ptr<detail::listener> listener_; /* freed after the handle */
    pawl_lock *lock_ = nullptr;
};

/* ---- Client --------------------------------------------------------------------------------- */

/* One store, one connection, any number of locks. Any thread may call; see pawl_client. */
class client
{
  public:
    /* See pawl_client_open. "": $PAWL_STORE, or the default SQLite file. */
    static result<client> open(const std::string &url = {}, client_options options = {})
    {
        auto home = std::make_shared<detail::connection>();
        home->log = std::move(options.log);
        pawl_open_opts opts;
        pawl_open_opts_init(&opts);
        if (!options.owner.empty()) opts.owner = options.owner.c_str();
        opts.store_timeout_ms = options.store_timeout.ms();
        opts.close_timeout_ms = int64_t(options.close_timeout.count());
        opts.callbacks = options.callbacks;
        if (home->log) {
            opts.log = detail::connection::on_log;
            opts.log_userdata = home.get();
        }
        char why[PAWL_MESSAGE_MAX];
        if (detail::has_nul(url)) return error(PAWL_ERR_URL);
        if (detail::has_nul(options.owner)) return error(PAWL_ERR_OWNER);
        int code = pawl_client_open(url.empty() ? nullptr : url.c_str(), &opts, &home->client, why);
        if (code) return error(code, why);
        code = pawl_lock_new(home->client, "-", 1, nullptr, &home->keeper);
        if (code) return error(code);
        return client(std::move(home));
    }

    client(client &&) noexcept = default;
    client &operator=(client &&) noexcept = default;
    client(const client &) = delete;
    client &operator=(const client &) = delete;
    /* Closes it, unless it was moved away. */
    ~client()
    {
        if (home_) home_->close();
    }

    /* See pawl_client_close: every lock is released, every wait ends with PAWL_ERR_CLOSED. Not from
       a callback. Closing twice is allowed. */
    void close()
    {
        home_->close();
    }

    /* A handle on a name, not acquired; no I/O. Errors as pawl_lock_new. */
    result<pawl::lock> lock(std::string_view name, lock_options options = {}) const
    {
        pawl::lock made(home_);
        pawl_lock_opts opts;
        if (int wrong = detail::fill(options, made.listener_, opts)) return error(wrong);
        int code = pawl_lock_new(home_->client, name.data(), name.size(), &opts, &made.lock_);
        if (code) return home_->error(code);
        return made;
    }

    /* A lock that is held; its destructor releases it. Errors as pawl_lock_acquire. */
    result<pawl::lock> acquire(std::string_view name, wait_time wait = forever,
                               lock_options options = {}) const
    {
        auto made = lock(name, std::move(options));
        if (!made) return made;
        if (auto acquired = made->acquire(wait); !acquired) return acquired.error();
        return made;
    }

    /* A handle on several names, which holds all of them or none: see pawl_lock_new_all. */
    result<pawl::lock> lock_all(const std::vector<std::string> &names,
                                lock_options options = {}) const
    {
        if (names.empty()) return error(PAWL_ERR_NAMES);
        std::vector<const char *> pointers;
        for (const std::string &name : names) {
            if (detail::has_nul(name)) return error(PAWL_ERR_NAME);
            pointers.push_back(name.c_str());
        }
        pawl::lock made(home_);
        pawl_lock_opts opts;
        if (int wrong = detail::fill(options, made.listener_, opts)) return error(wrong);
        int code =
            pawl_lock_new_all(home_->client, pointers.data(), pointers.size(), &opts, &made.lock_);
        if (code) return home_->error(code);
        return made;
    }
    result<pawl::lock> acquire_all(const std::vector<std::string> &names, wait_time wait = forever,
                                   lock_options options = {}) const
    {
        auto made = lock_all(names, std::move(options));
        if (!made) return made;
        if (auto acquired = made->acquire(wait); !acquired) return acquired.error();
        return made;
    }

    /* Some permits of a semaphore: lock::slots says which. */
    result<pawl::lock> permits(std::string_view name, uint32_t capacity, uint32_t units = 1,
                               wait_time wait = forever, lock_options options = {}) const
    {
        options.mode = mode::permit;
        options.capacity = capacity;
        options.units = units;
        return acquire(name, wait, std::move(options));
    }

    /*
     * Acquires, calls work(lock &), and releases, also if it throws. An error that is_lost(): work
     * has run, and the lock was lost meanwhile. After any other error it has not run.
     */
    template <typename Work>
    result<void> with(std::string_view name, wait_time wait, Work &&work,
                      lock_options options = {}) const
    {
        auto held = acquire(name, wait, std::move(options));
        if (!held) return held.error();
        std::forward<Work>(work)(*held);
        return held->release();
    }

    /* ---- Looking, and breaking: see pawl_inspect, _list, _break, pawl_client_caps ----------- */

    result<info> inspect(std::string_view name, wait_time wait = forever) const
    {
        std::vector<info> found;
        int code = pawl_inspect(home_->client, name.data(), name.size(), wait.ms(), detail::collect,
                                &found);
        if (code || found.size() != 1) return home_->error(code ? code : int(PAWL_ERR_UNKNOWN));
        return std::move(found[0]);
    }
    result<std::vector<info>> list(std::string_view prefix = "", wait_time wait = forever) const
    {
        std::vector<info> found;
        int code = pawl_list(home_->client, prefix.data(), prefix.size(), wait.ms(),
                             detail::collect, &found);
        if (code) return home_->error(code);
        return found;
    }
    result<void> break_lock(std::string_view name, uint64_t fence, wait_time wait = forever) const
    {
        return home_->done(pawl_break(home_->client, name.data(), name.size(), fence, wait.ms()));
    }
    result<pawl_caps> caps(wait_time wait = forever) const
    {
        pawl_caps caps;
        int code = pawl_client_caps(home_->client, wait.ms(), &caps);
        if (code) return home_->error(code);
        return caps;
    }

    /* ---- By token: see pawl_token_renew, _release, _check ------------------------------------ */

    /* The fence. */
    result<uint64_t> renew_token(std::string_view name, const std::string &token,
                                 std::chrono::milliseconds ttl, wait_time wait = forever) const
    {
        if (detail::has_nul(token)) return error(PAWL_ERR_ARGUMENT);
        uint64_t fence = 0;
        int code = pawl_token_renew(home_->client, name.data(), name.size(), token.c_str(),
                                    int64_t(ttl.count()), wait.ms(), &fence);
        if (code) return home_->error(code);
        return fence;
    }
    result<void> release_token(std::string_view name, const std::string &token,
                               wait_time wait = forever) const
    {
        if (detail::has_nul(token)) return error(PAWL_ERR_ARGUMENT);
        return home_->done(
            pawl_token_release(home_->client, name.data(), name.size(), token.c_str(), wait.ms()));
    }
    /* For how long it holds. */
    result<std::chrono::milliseconds> check_token(std::string_view name, const std::string &token,
                                                  wait_time wait = forever) const
    {
        if (detail::has_nul(token)) return error(PAWL_ERR_ARGUMENT);
        int64_t remaining = 0;
        int code = pawl_token_check(home_->client, name.data(), name.size(), token.c_str(),
                                    wait.ms(), &remaining);
        if (code) return home_->error(code);
        return std::chrono::milliseconds(remaining);
    }

    std::string_view owner() const
    {
        return pawl_client_owner(home_->client);
    }
    /* Without its password. */
    std::string_view url() const
    {
        return pawl_client_url(home_->client);
    }
    /* For pawl_client_fd, _dispatch, _wait and what else is not here. Borrowed. */
    pawl_client *native() const noexcept
    {
        return home_->client;
    }

  private:
    friend class once;
    friend class election;
    friend class latch;
    friend class barrier;
    explicit client(std::shared_ptr<detail::connection> home) : home_(std::move(home))
    {
    }

    std::shared_ptr<detail::connection> home_;
};

} // namespace pawl

#endif
