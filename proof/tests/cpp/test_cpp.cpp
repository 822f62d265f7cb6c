/* SPDX-License-Identifier: MIT */
/*
 * Goal: pawl.hpp gives back what it has, whatever ends its objects, and loses no error. Method: its
 * functions on a real store, as C++17 and as C++20; a sanitizer watches in the runs that have one.
 * Argument: memory, sqlite or redis. Prints TAP.
 */
#include "stage.hpp"

/* ---- Without a store ------------------------------------------------------------------------ */

static_assert(pawl::wait_time(0s).ms() == 0 && pawl::wait_time(-5s).ms() == 0);
static_assert(pawl::wait_time(1us).ms() == 1 && pawl::wait_time(1500us).ms() == 2);
static_assert(pawl::wait_time(2h).ms() == 7200000 && pawl::wait_time(0.0005s).ms() == 1);
static_assert(pawl::wait_time(std::chrono::hours::max()).ms() == PAWL_WAIT_FOREVER);
static_assert(pawl::forever.ms() == PAWL_WAIT_FOREVER);
static_assert(!std::is_copy_constructible_v<pawl::lock> &&
              std::is_nothrow_move_constructible_v<pawl::lock>);
static_assert(!std::is_copy_constructible_v<pawl::client> &&
              std::is_nothrow_move_assignable_v<pawl::client>);

static void results_hold_a_value_or_say_why()
{
    pawl::result<std::string> good("x"), bad(pawl::error{PAWL_ERR_BUSY});
    CHECK(good && *good == "x" && good->size() == 1 && good.value() == "x");
    CHECK(!bad && bad.error() == PAWL_ERR_BUSY && bad.error() != PAWL_ERR_LOST);
    CHECK(bad.error().is_busy() && !bad.error().is_lost() && bad.error().kind() == PAWL_CLASS_BUSY);
    CHECK(!std::strcmp(bad.error().name(), "PAWL_ERR_BUSY"));
    CHECK(!std::strcmp(bad.error().what(), pawl_err_text(PAWL_ERR_BUSY)));
    CHECK(std::move(bad).value_or("y") == "y" && std::move(good).value_or("y") == "x");
    pawl::result<void> fine, lost(pawl::error{PAWL_ERR_LOST, "words"});
    CHECK(fine && fine.has_value() && !lost);
    fine.value();
    try {
        lost.value();
        CHECK(false);
    } catch (const pawl::failure &failure) {
        CHECK(failure.why().is_lost() && !std::strcmp(failure.what(), "words"));
    }
}

static void what_cannot_be_opened_says_why()
{
    auto nowhere = pawl::client::open("nowhere://x");
    CHECK(!nowhere && nowhere.error() == PAWL_ERR_SCHEME && *nowhere.error().what());
    CHECK(pawl::client::open(std::string("memory:\0x", 9)).error() == PAWL_ERR_URL);
    pawl::client_options options;
    options.owner = std::string("a\0b", 3);
    CHECK(pawl::client::open("memory:", options).error() == PAWL_ERR_OWNER);
    std::vector<std::string> lines; /* "memory:" warns that it locks nobody else out */
    options = {};
    options.log = [&](pawl_severity, std::string_view line) { lines.emplace_back(line); };
    pawl::client::open("memory:", options).value().close();
    CHECK(!lines.empty() && !lines[0].empty());
}

/* ---- On the store --------------------------------------------------------------------------- */

static void an_object_gives_back_what_it_has()
{
    auto a = open_client(), b = open_client();
    uint64_t fence;
    {
        auto held = a.acquire("x", 5s).value();
        fence = held.fence();
        CHECK(held && held.is_held() && fence > 0 && held.remaining() > 0ms && held.name() == "x");
        CHECK(held.token().size() == PAWL_TOKEN_LEN && held.mode() == pawl::mode::exclusive);
        auto busy = b.acquire("x", 0s);
        CHECK(!busy && busy.error() == PAWL_ERR_BUSY);
        auto late = b.acquire("x", 20ms);
        CHECK(!late && late.error() == PAWL_ERR_TIMEOUT && late.error().is_busy());
        pawl::lock moved(std::move(held));
        CHECK(moved.is_held());
        auto other = b.acquire("y").value();
        other = std::move(moved); /* what it had is given back, what it gets is held on */
        CHECK(other.name() == "x" && other.is_held());
        CHECK(b.acquire("y", patience));
    }
    auto held = b.acquire("x", patience).value();
    CHECK(held.fence() > fence);
    CHECK(held.release() && !held.is_held());
    CHECK(held.release().error() == PAWL_ERR_NOT_HELD);
    CHECK(held.acquire() && held.release(patience));
    CHECK(!b.inspect("x").value().held);
    CHECK(held.try_acquire() && held.acquire(0s).error() == PAWL_ERR_STATE);
}

static void wrong_arguments_are_errors()
{
    auto client = open_client();
    CHECK(client.lock("").error() == PAWL_ERR_NAME);
    CHECK(client.lock(std::string_view("a\0b", 3)).error() == PAWL_ERR_NAME);
    pawl::lock_options options;
    options.ttl = 1ms;
    CHECK(client.acquire("x", 0s, options).error() == PAWL_ERR_TTL);
    options = {};
    options.owner = std::string("a\0b", 3);
    CHECK(client.lock("x", options).error() == PAWL_ERR_OWNER);
    CHECK(client.permits("x", 0).error() == PAWL_ERR_UNITS);
    CHECK(client.check_token("x", "?").error() == PAWL_ERR_ARGUMENT);
    std::string cut = client.acquire("x").value().token() + std::string("\0?", 2);
    CHECK(client.check_token("x", cut).error() == PAWL_ERR_ARGUMENT);
    CHECK(client.release_token("x", cut).error() == PAWL_ERR_ARGUMENT);
    CHECK(client.renew_token("x", cut, 1s).error() == PAWL_ERR_ARGUMENT);
}

static void a_lock_outlives_its_client()
{
    std::optional<pawl::lock> held, never;
    {
        auto client = open_client();
        held = client.acquire("x").value();
        never = client.lock("y").value();
        auto moved = std::move(client);
        CHECK(held->is_held());
    }
    CHECK(!held->is_held() && held->release().error() == PAWL_ERR_CLOSED);
    CHECK(never->acquire().error() == PAWL_ERR_CLOSED);
    auto other = open_client();
    CHECK(other.acquire("x", patience));
    other.close();
    other.close();
    CHECK(other.acquire("x").error() == PAWL_ERR_CLOSED);
    CHECK(other.inspect("x").error() == PAWL_ERR_CLOSED);
}

static void a_loss_is_told_and_the_lock_may_go_in_the_call()
{
    auto client = open_client(), other = open_client();
    std::mutex mutex;
    std::condition_variable news;
    std::optional<pawl::lock> held;
    std::string why;
    bool is_lost = false;
    pawl::lock_options options;
    options.ttl = 500ms;
    options.on_event = [&](const pawl::event &event) {
        if (event.kind != PAWL_EVENT_LOST) return;
        std::lock_guard<std::mutex> guard(mutex);
        why = event.message;
        held.reset(); /* the handle, and this function with it */
        is_lost = true;
        news.notify_one();
    };
    {
        std::lock_guard<std::mutex> guard(mutex);
        held = client.acquire("x", patience, options).value();
        CHECK(other.break_lock("x", held->fence() - 1).error() == PAWL_ERR_NOT_HELD);
        CHECK(other.break_lock("x", held->fence()));
    }
    std::unique_lock<std::mutex> guard(mutex);
    CHECK(news.wait_for(guard, patience, [&] { return is_lost; }));
    CHECK(!held && !why.empty());
}

static void work_is_done_under_the_lock()
{
    auto client = open_client(), other = open_client();
    CHECK(client.with("x", patience, [&](pawl::lock &held) {
        CHECK(held.is_held() && other.acquire("x", 0s).error() == PAWL_ERR_BUSY);
    }));
    until_free(other, "x");
    try {
        (void)client.with("x", patience, [](pawl::lock &) { throw std::runtime_error("oops"); });
        CHECK(false);
    } catch (const std::runtime_error &) {
    }
    auto held = other.acquire("x", patience).value();
    CHECK(client.with("x", 0s, [](pawl::lock &) { std::abort(); }).error() == PAWL_ERR_BUSY);
    CHECK(held.release(patience));
    pawl::lock_options options;
    options.ttl = 300ms;
    auto lost = client.with(
        "x", patience,
        [&](pawl::lock &mine) {
            CHECK(other.break_lock("x", mine.fence()));
            until([&] { return !mine.is_held(); });
        },
        options);
    CHECK(!lost && lost.error().is_lost());
}

static void modes_and_permits()
{
    auto a = open_client(), b = open_client();
    if (!grants(a, pawl::mode::update)) {
        pawl::lock_options shared;
        shared.mode = pawl::mode::shared;
        CHECK(a.acquire("x", 0s, shared).error() == PAWL_ERR_UNSUPPORTED);
        return;
    }
    pawl::lock_options shared, update;
    shared.mode = pawl::mode::shared;
    update.mode = pawl::mode::update;
    auto reader = b.acquire("x", patience, shared).value();
    auto held = a.acquire("x", patience, update).value();
    uint64_t before = held.fence();
    CHECK(held.upgrade(0s).error() == PAWL_ERR_BUSY &&
          held.upgrade(10ms).error() == PAWL_ERR_TIMEOUT);
    CHECK(reader.upgrade().error() == PAWL_ERR_MODE && held.mode() == pawl::mode::update);
    auto info = b.inspect("x").value();
    CHECK(info.holder_count == 2 && info.holders.size() == 2 && info.name == "x");
    CHECK(info.holders[0].remaining.value() > 0ms && !info.holders[0].owner.empty());
    CHECK(reader.release() && held.upgrade(patience) && held.fence() > before);
    CHECK(held.mode() == pawl::mode::exclusive && b.acquire("x", 0s, shared).error().is_busy());
    CHECK(held.downgrade() && held.mode() == pawl::mode::shared);
    CHECK(held.downgrade(pawl::mode::update).error() == PAWL_ERR_MODE);
    CHECK(b.acquire("x", patience, shared));

    auto one = a.permits("p", 3, 1, patience).value(), two = b.permits("p", 3, 2, patience).value();
    CHECK(one.slots() == std::vector<uint16_t>{0} && (two.slots() == std::vector<uint16_t>{1, 2}));
    CHECK(a.permits("p", 3, 1, 0s).error() == PAWL_ERR_BUSY);
    CHECK(a.permits("p", 4, 1, 0s).error() == PAWL_ERR_CAPACITY);
    CHECK(b.acquire("p", 0s).error() == PAWL_ERR_KIND && held.slots().empty());
    CHECK(a.inspect("p").value().capacity == 3);
}

static void a_handle_may_count()
{
    auto client = open_client();
    pawl::lock_options options;
    options.reentrant = true;
    auto lock = client.lock("x", options).value();
    CHECK(lock.acquire() && lock.acquire(0s) && lock.release() && lock.is_held());
    CHECK(lock.release() && !lock.is_held());
}

/* ---- Several names, once, elections --------------------------------------------------------- */

static void several_names_all_or_none()
{
    auto client = open_client(), other = open_client();
    auto busy = other.acquire("b", patience).value();
    CHECK(client.acquire_all({"a", "b"}, 0s).error() == PAWL_ERR_BUSY);
    CHECK(client.acquire_all({"a", "b"}, 20ms).error() == PAWL_ERR_TIMEOUT);
    until_free(other, "a");
    CHECK(busy.release(patience));
    auto held = client.acquire_all({"c", "b", "a"}, patience).value();
    auto parts = held.parts();
    CHECK(held.is_held() && parts.size() == 3 && parts[0].name == "c" && parts[2].name == "a");
    CHECK(parts[0].fence == held.fence() && parts[1].fence == other.inspect("b").value().fence);
    CHECK(other.break_lock("b", parts[1].fence)); /* the loss of one is the loss of all */
    until([&] { return !held.is_held(); });
    until_free(other, "a");
    CHECK(held.release().error() == PAWL_ERR_LOST);
    CHECK(client.lock_all({"a", "a"}).error() == PAWL_ERR_NAMES);
    CHECK(client.lock_all({}).error() == PAWL_ERR_NAMES);
    CHECK(client.lock_all({std::string("a\0b", 3)}).error() == PAWL_ERR_NAME);
    CHECK(client.lock("x").value().parts().size() == 1);
}

static void a_job_runs_once_in_a_period()
{
    auto client = open_client(), other = open_client();
    auto mine = pawl::once::make(client, "job", 8784h).value();
    auto theirs = pawl::once::make(other, "job", 8784h).value();
    CHECK(mine.look(patience).value().outcome == PAWL_ONCE_NEVER && mine.last().due);
    CHECK(mine.run([](pawl::once &) { return false; }, patience).value()); /* the period is back */
    try {
        (void)mine.run([](pawl::once &) { throw std::runtime_error("oops"); }, patience);
        CHECK(false);
    } catch (const std::runtime_error &) {
    }
    CHECK(theirs.look(patience).value().outcome == PAWL_ONCE_FAILED && theirs.last().due);
    CHECK(theirs
              .run([&](pawl::once &run) {
                  CHECK(run.is_held() && run.fence() && run.remaining() > 0ms);
                  CHECK(mine.begin(0s).error() == PAWL_ERR_BUSY);
              })
              .value());
    CHECK(!mine.run([](pawl::once &) { std::abort(); }, patience).value());
    CHECK(mine.last().outcome == PAWL_ONCE_SUCCEEDED && mine.last().fence && !mine.is_held());
    CHECK(mine.end(true).error() == PAWL_ERR_NOT_HELD);
    CHECK(mine.begin(0s).error() == PAWL_ERR_DONE);
    CHECK(pawl::once::make(client, "job", 0ms).error() == PAWL_ERR_ARGUMENT);
}

static void a_run_that_is_lost_does_not_count()
{
    auto client = open_client(), other = open_client();
    auto mine = pawl::once::make(client, "lost", 8784h).value();
    auto lost = mine.run([&](pawl::once &run) { CHECK(other.break_lock("lost", run.fence())); });
    CHECK(!lost && lost.error().is_lost());
    CHECK(mine.look(patience).value().due);
    auto held = other.acquire("lost", patience).value();
    std::thread waits([&] { CHECK(mine.begin().error() == PAWL_ERR_CANCELED); });
    until([&] { return bool(mine.cancel()); });
    waits.join();
}

static void a_leader_is_known_by_its_value()
{
    auto client = open_client(), other = open_client();
    std::mutex mutex;
    std::condition_variable news;
    std::vector<pawl::leader> told;
    auto observer = pawl::election::observe(other, "e", [&](const pawl::leader &leader) {
                        std::lock_guard<std::mutex> guard(mutex);
                        told.push_back(leader);
                        news.notify_one();
                    }).value();
    auto heard = [&](auto what) {
        std::unique_lock<std::mutex> guard(mutex);
        CHECK(news.wait_for(guard, patience, [&] { return !told.empty() && what(told.back()); }));
    };
    auto mine = pawl::election::make(client, "e").value();
    auto theirs = pawl::election::make(other, "e").value();
    CHECK(mine.proclaim("x").error() == PAWL_ERR_NOT_HELD);
    CHECK(!pawl::election::ask(other, "e", patience).value().leads);
    heard([](const pawl::leader &l) { return !l.leads && !l.err; });
    CHECK(mine.campaign(patience) && mine.leads());
    CHECK(theirs.campaign(0s).error() == PAWL_ERR_BUSY && !theirs.leads());
    CHECK(mine.proclaim(std::string_view("10.0.0.7\0:80", 12), patience));
    CHECK(mine.proclaim(std::string(PAWL_LEADER_VALUE_MAX + 1, 'x')).error() == PAWL_ERR_VALUE);
    heard([](const pawl::leader &l) { return l.value && l.value->size() == 12; });
    auto leader = pawl::election::ask(other, "e", patience).value();
    CHECK(leader.leads && leader.fence == mine.lock().fence() && *leader.remaining > 0ms);
    CHECK(leader.owner == client.owner() && leader.value->substr(0, 8) == "10.0.0.7");
    CHECK(mine.resign(patience) && !mine.leads());
    heard([](const pawl::leader &l) { return !l.leads; });
    CHECK(theirs.campaign(patience));
    CHECK(client.break_lock("e", theirs.lock().fence()));
    until([&] { return !theirs.leads(); });
    CHECK(theirs.proclaim("late").error().is_lost() && theirs.resign().error().is_lost());
    observer.stop();
}

/* ---- Latches and barriers ------------------------------------------------------------------- */

static void until_there(const pawl::client &client, const char *name, size_t count)
{
    until([&] { return client.inspect(name).value().holder_count == count; });
}

static void a_latch_opens_when_all_have_come()
{
    auto client = open_client(), other = open_client();
    auto mine = pawl::latch::make(client, "l", 3).value();
    auto theirs = pawl::latch::make(other, "l", 3).value();
    std::vector<std::thread> waiting;
    for (int i = 0; i < 4; i++) waiting.emplace_back([&] { CHECK(mine.wait()); });
    CHECK(theirs.count_down().value() == 2 && mine.left(patience).value() == 2);
    CHECK(theirs.wait(20ms).error() == PAWL_ERR_TIMEOUT);
    CHECK(theirs.wait(0s).error() == PAWL_ERR_BUSY);
    CHECK(pawl::latch::make(client, "l", 4).value().count_down().error() == PAWL_ERR_COUNT);
    CHECK(pawl::latch::make(client, "l", 4).value().wait().error() == PAWL_ERR_COUNT);
    CHECK(mine.count_down(4).error() == PAWL_ERR_PARTIES);
    CHECK(mine.count_down(2, patience).value() == 0);
    for (auto &thread : waiting) thread.join();
    CHECK(theirs.wait(patience) && mine.count_down().value() == 0);
    CHECK(pawl::latch::make(client, "l", 0).error() == PAWL_ERR_PARTIES);
    CHECK(pawl::latch::make(client, "", 1).error() == PAWL_ERR_NAME);
    CHECK(pawl::latch::make(client, "l", 1, -1ms).error() == PAWL_ERR_ARGUMENT);
}

static void a_barrier_lets_all_through_together()
{
    auto client = open_client(), other = open_client();
    auto mine = pawl::barrier::make(client, "b", 3).value();
    auto theirs = pawl::barrier::make(other, "b", 3).value();
    CHECK(theirs.wait(0s).error().is_busy() && theirs.wait(20ms).error() == PAWL_ERR_TIMEOUT);
    until_there(other, "b", 0);
    for (uint64_t round = 1; round <= 2; round++) {
        std::vector<std::thread> waiting; /* they share the object */
        for (int i = 0; i < 2; i++)
            waiting.emplace_back([&] { CHECK(mine.wait().value() == round); });
        until_there(other, "b", 2);
        CHECK(theirs.wait(patience).value() == round);
        for (auto &thread : waiting) thread.join();
        until_there(other, "b", 0);
    }
    std::thread loses([&] { CHECK(mine.wait().error() == PAWL_ERR_LOST); });
    until_there(other, "b", 1);
    CHECK(other.break_lock("b", other.inspect("b").value().fence));
    loses.join();
    auto held = client.permits("c", 2).value();
    auto four = pawl::barrier::make(client, "c", 4).value();
    CHECK(four.wait(patience).error() == PAWL_ERR_COUNT);
    CHECK(pawl::barrier::make(client, "b", 0).error() == PAWL_ERR_PARTIES);
    CHECK(pawl::barrier::make(client, "b", 1, 1ms).error() == PAWL_ERR_TTL);
    CHECK(pawl::barrier::make(client, "alone", 1).value().wait().value() == 1);
}

static void a_close_ends_who_waits_inside()
{
    auto client = open_client(), other = open_client();
    auto latch = pawl::latch::make(client, "closed", 1).value();
    auto barrier = pawl::barrier::make(client, "b2", 9).value();
    std::vector<std::thread> waiting;
    for (int i = 0; i < 4; i++) {
        waiting.emplace_back([&] { CHECK(latch.wait().error() == PAWL_ERR_CLOSED); });
        waiting.emplace_back([&] { CHECK(barrier.wait().error() == PAWL_ERR_CLOSED); });
    }
    until_there(other, "b2", 4);
    pid_t child = fork(); /* it is a part of nothing */
    if (child == 0) _exit(latch.wait().error() == PAWL_ERR_FORKED ? 0 : 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    client.close();
    for (auto &thread : waiting) thread.join();
    until_there(other, "b2", 0);
    CHECK(latch.count_down().error() == PAWL_ERR_CLOSED);
}

static void questions_and_tokens()
{
    auto client = open_client(), other = open_client();
    pawl::lock_options options;
    options.detached = true;
    options.owner = "me";
    auto held = client.acquire("a/1", patience, options).value();
    auto more = client.acquire("a/2", patience).value();
    CHECK(other.list("a/").value().size() == 2 && other.list("b/").value().empty());
    auto info = other.inspect("a/1").value();
    CHECK(info.held && !info.foreign && info.owner == "me" && info.fence == held.fence());
    CHECK(info.remaining.value() > 0ms && info.waiter_count == 0 && info.waiters.empty());
    uint64_t fence = held.fence();
    std::string token = held.detach().value();
    CHECK(!held.is_held() && other.check_token("a/1", token).value() > 0ms);
    CHECK(other.renew_token("a/1", token, 10s).value() == fence &&
          other.release_token("a/1", token));
    CHECK(other.check_token("a/1", token).error().is_lost());
    CHECK(held.detach().error() == PAWL_ERR_NOT_HELD);
    CHECK(client.url().substr(0, 6) == store.substr(0, 6) && !client.owner().empty());
    CHECK(client.native() && held.native());
}

static void a_close_and_a_cancel_end_every_wait()
{
    auto client = open_client(), other = open_client();
    auto held = other.acquire("x").value();
    std::atomic<int> closed{0}, canceled{0};
    auto single = client.lock("x").value();
    std::vector<std::thread> threads;
    threads.emplace_back([&] { canceled += single.acquire().error() == PAWL_ERR_CANCELED; });
    for (int i = 0; i < 8; i++)
        threads.emplace_back([&] { closed += client.acquire("x").error() == PAWL_ERR_CLOSED; });
    until([&] { return other.inspect("x").value().waiter_count > 0; });
    until([&] { return single.cancel().has_value(); });
    threads[0].join();
    client.close();
    for (size_t i = 1; i < threads.size(); i++) threads[i].join();
    CHECK(closed == 8 && canceled == 1);
}

static void a_child_holds_nothing()
{
    auto client = open_client();
    auto held = client.acquire("x").value();
    pid_t child = fork();
    if (child == 0) {
        bool right = !held.is_held() && held.release().error() == PAWL_ERR_FORKED &&
                     client.acquire("y").error() == PAWL_ERR_FORKED;
        _exit(right ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0 && held.is_held());
}

#ifdef __cpp_lib_jthread
static void a_stop_ends_a_wait_for_others()
{
    auto client = open_client(), other = open_client();
    auto latch = pawl::latch::make(client, "stop", 1).value();
    auto mine = pawl::barrier::make(client, "stops", 3).value();
    auto theirs = pawl::barrier::make(other, "stops", 3).value();
    for (int round = 0; round < 50; round++) { /* wherever the wait is when the stop comes */
        std::jthread waits(
            [&](std::stop_token stop) { CHECK(latch.wait(stop).error() == PAWL_ERR_CANCELED); });
    }
    std::stop_source before, never;
    before.request_stop();
    CHECK(latch.wait(before.get_token()).error() == PAWL_ERR_CANCELED);
    CHECK(latch.wait(never.get_token(), 20ms).error() == PAWL_ERR_TIMEOUT);
    std::thread stays;
    {
        std::jthread leaves(
            [&](std::stop_token stop) { CHECK(mine.wait(stop).error() == PAWL_ERR_CANCELED); });
        until_there(other, "stops", 1);
        stays = std::thread([&] { CHECK(theirs.wait(60s).error() == PAWL_ERR_BROKEN); });
        until_there(other, "stops", 2);
    } /* its end requests the stop */
    stays.join();
    CHECK(latch.count_down() && latch.wait(never.get_token(), patience));
    auto alone = pawl::barrier::make(client, "single", 1).value();
    CHECK(alone.wait(never.get_token()).value() == 1);
}

static void a_stop_ends_a_wait()
{
    auto client = open_client(), other = open_client();
    auto held = other.acquire("x").value();
    std::stop_source before;
    before.request_stop();
    auto lock = client.lock("x").value();
    CHECK(lock.acquire(before.get_token()).error() == PAWL_ERR_CANCELED);
    {
        std::jthread waits(
            [&](std::stop_token stop) { CHECK(lock.acquire(stop).error() == PAWL_ERR_CANCELED); });
        until([&] { return other.inspect("x").value().waiter_count > 0; });
    } /* its end requests the stop */
    until([&] { return other.inspect("x").value().waiter_count == 0; });
    for (int round = 0; round < 200; round++) { /* wherever the wait is when the stop comes */
        std::jthread waits(
            [&](std::stop_token stop) { CHECK(lock.acquire(stop).error() == PAWL_ERR_CANCELED); });
    }
    CHECK(held.release());
    std::stop_source never;
    CHECK(lock.acquire(never.get_token(), patience) && lock.is_held());
    never.request_stop(); /* too late: it changes nothing */
    CHECK(lock.is_held());
    CHECK(lock.upgrade(never.get_token()).error() == PAWL_ERR_CANCELED);
}
#endif

/* ---- Main ----------------------------------------------------------------------------------- */

#define ALL(X)                                                                                     \
    X(results_hold_a_value_or_say_why)                                                             \
    X(what_cannot_be_opened_says_why)                                                              \
    X(an_object_gives_back_what_it_has)                                                            \
    X(wrong_arguments_are_errors)                                                                  \
    X(a_lock_outlives_its_client)                                                                  \
    X(a_loss_is_told_and_the_lock_may_go_in_the_call)                                              \
    X(work_is_done_under_the_lock)                                                                 \
    X(modes_and_permits)                                                                           \
    X(a_handle_may_count)                                                                          \
    X(several_names_all_or_none)                                                                   \
    X(a_job_runs_once_in_a_period)                                                                 \
    X(a_run_that_is_lost_does_not_count)                                                           \
    X(a_leader_is_known_by_its_value)                                                              \
    X(a_latch_opens_when_all_have_come)                                                            \
    X(a_barrier_lets_all_through_together)                                                         \
    X(a_close_ends_who_waits_inside)                                                               \
    X(questions_and_tokens)                                                                        \
    X(many_threads_exclude_each_other)                                                             \
    X(a_thousand_wait_without_a_thread_each)                                                       \
    X(a_holder_that_is_killed_is_outlived)                                                         \
    X(a_close_and_a_cancel_end_every_wait)                                                         \
    X(a_child_holds_nothing)

int main(int argc, char **argv)
{
    std::string kind = argc > 1 ? argv[1] : "memory";
    if (kind == "hold" && argc > 2) return hold_until_killed(argv[2]);
    char *dir = nullptr;
    redis_server *server = nullptr;
    if (kind == "redis") {
        if (!redis_server_exists()) {
            std::puts("1..0 # SKIP there is no redis-server");
            return 0;
        }
        server = redis_server_start(nullptr);
        store = std::string("redis+unix://") + redis_server_socket(server);
    } else if (kind == "sqlite") {
        dir = temp_dir_new("pawl-cpp");
        store = std::string("sqlite:") + dir + "/locks.db";
    } else {
        store = "memory:cpp";
    }
    int number = 0;
#define RUN(test)                                                                                  \
    test();                                                                                        \
    std::printf("ok %d - %s\n", ++number, #test);
    ALL(RUN)
#ifdef __cpp_lib_jthread
    RUN(a_stop_ends_a_wait)
    RUN(a_stop_ends_a_wait_for_others)
#endif
    std::printf("1..%d\n", number);
    redis_server_stop(server);
    temp_dir_free(dir);
    return 0;
}
