/* SPDX-License-Identifier: MIT */
/* Many who want one lock, and a holder in another process. */
#include "stage.hpp"

void many_threads_exclude_each_other()
{
    auto a = open_client(), b = open_client();
    int counter = 0; /* a sanitizer watches, too */
    std::vector<std::thread> threads;
    for (int i = 0; i < 32; i++)
        threads.emplace_back([&, i] {
            auto lock = (i % 2 ? a : b).lock("x").value();
            for (int round = 0; round < 10; round++) {
                CHECK(lock.acquire());
                counter++;
                CHECK(lock.release());
            }
        });
    for (auto &thread : threads) thread.join();
    CHECK(counter == 320);
}

struct crowd {
    std::atomic<int> inside{0}, done{0};
};

static void let_in(pawl_lock *lock, int err, void *userdata)
{
    auto *c = static_cast<crowd *>(userdata);
    CHECK(!err && ++c->inside == 1);
    --c->inside;
    CHECK(pawl_lock_release(lock) == 0);
    ++c->done; /* the last access */
}

static int threads_now()
{
    int count = 0;
    for (auto &each : std::filesystem::directory_iterator("/proc/self/task"))
        count += each.exists();
    return count;
}

void a_thousand_wait_without_a_thread_each()
{
    auto client = open_client(), other = open_client();
    auto held = other.acquire("crowd", patience).value();
    crowd all;
    std::vector<pawl::lock> locks;
    int before = threads_now();
    for (int i = 0; i < 1000; i++) {
        locks.push_back(client.lock("crowd").value());
        CHECK(!pawl_lock_acquire_start(locks[i].native(), PAWL_WAIT_FOREVER, let_in, &all));
    }
    until([&] { return other.inspect("crowd").value().waiter_count > 0; });
    CHECK(threads_now() <= before + 4 && all.done == 0);
    CHECK(held.release());
    until([&] { return all.done == 1000; });
}

/* This program, in another process, with the lock until somebody kills it. */
int hold_until_killed(const char *url)
{
    store = url;
    auto client = open_client();
    pawl::lock_options options;
    options.ttl = 1s;
    auto held = client.acquire("killed", patience, options).value();
    std::printf("%llu\n", (unsigned long long)held.fence());
    std::fflush(stdout);
    for (;;) pause();
}

void a_holder_that_is_killed_is_outlived()
{
    if (store.substr(0, 7) == "memory:") return; /* it has one process */
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        execl("/proc/self/exe", "test-cpp", "hold", store.c_str(), nullptr);
        _exit(1);
    }
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    unsigned long long fence = 0;
    CHECK(std::fscanf(said, "%llu", &fence) == 1 && kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, nullptr, 0) == child);
    std::fclose(said);
    CHECK(open_client().acquire("killed", patience).value().fence() > fence);
}
