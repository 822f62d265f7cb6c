/* SPDX-License-Identifier: MIT */
/* What the tests of pawl.hpp share: a store, clients of it, and patience. */
#ifndef PAWL_TESTS_CPP_STAGE_HPP
#define PAWL_TESTS_CPP_STAGE_HPP

#include "pawl/composed.hpp"

extern "C" {
#include "redis_server.h"
#include "temp_dir.h"
}

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;

constexpr auto patience = 20s; /* for what comes at once */
inline std::string store;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            std::printf("not ok 1 - %s:%d: %s\n", __func__, __LINE__, #what);                      \
            std::fflush(stdout);                                                                   \
            std::_Exit(1);                                                                         \
        }                                                                                          \
    } while (0)

inline pawl::client open_client(pawl::client_options options = {})
{
    return pawl::client::open(store, std::move(options)).value();
}

/* The store is asked until it is so: releases are on their way. */
template <typename What> void until(What what)
{
    auto end = std::chrono::steady_clock::now() + patience;
    while (!what()) {
        CHECK(std::chrono::steady_clock::now() < end);
        std::this_thread::sleep_for(1ms); /* nothing tells when it is time to ask again */
    }
}

inline void until_free(const pawl::client &client, const char *name)
{
    until([&] { return !client.inspect(name).value().held; });
}

inline bool grants(const pawl::client &client, pawl::mode mode)
{
    return client.caps().value().modes & 1u << unsigned(mode);
}

/* crowds.cpp: the tests of many, and of other processes. */
void many_threads_exclude_each_other();
void a_thousand_wait_without_a_thread_each();
void a_holder_that_is_killed_is_outlived();
/* What the process does that is killed. */
int hold_until_killed(const char *url);

#endif
