/* SPDX-License-Identifier: MIT */
/*
 * pawl/result.hpp - what pawl.hpp's calls take and return: how long to wait, and a value or why
 * there is none. Since 0.2.
 */
#ifndef PAWL_RESULT_HPP
#define PAWL_RESULT_HPP

#include "pawl.h"

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace pawl
{

/* ---- Results -------------------------------------------------------------------------------- */

/* Why a call did not do what it should. */
class error
{
  public:
    explicit error(int code, std::string words = {}) : code_(code), words_(std::move(words))
    {
    }

    /* A PAWL_ERR_... of types.h, and its name, "PAWL_ERR_BUSY". */
    int code() const noexcept
    {
        return code_;
    }
    const char *name() const noexcept
    {
        return pawl_err_name(code_);
    }
    /* What to do: see pawl_err_class. */
    pawl_err_class kind() const noexcept
    {
        return pawl_err_class_of(code_);
    }
    /* One line for people: the store's own words, if the error came from the store. */
    const char *what() const noexcept
    {
        return words_.empty() ? pawl_err_text(code_) : words_.c_str();
    }

    /* Somebody else has it: wait, or come back later (BUSY, TIMEOUT). */
    bool is_busy() const noexcept
    {
        return kind() == PAWL_CLASS_BUSY;
    }
    /* You do not hold it, or not any more: stop (LOST, NOT_HELD). */
    bool is_lost() const noexcept
    {
        return kind() == PAWL_CLASS_LOST;
    }

    friend bool operator==(const error &e, int code) noexcept
    {
        return e.code_ == code;
    }
    friend bool operator!=(const error &e, int code) noexcept
    {
        return e.code_ != code;
    }

  private:
    int code_;
    std::string words_;
};

/* What result::value() throws. */
class failure : public std::runtime_error
{
  public:
    explicit failure(const error &why) : std::runtime_error(why.what()), why_(why)
    {
    }
    const error &why() const noexcept
    {
        return why_;
    }

  private:
    error why_;
};

/* A value, or why there is none; much as std::expected of C++23. */
template <typename T> class [[nodiscard]] result
{
  public:
    result(T value) : either_(std::in_place_index<0>, std::move(value))
    {
    }
    result(pawl::error why) : either_(std::in_place_index<1>, std::move(why))
    {
    }

    bool has_value() const noexcept
    {
        return either_.index() == 0;
    }
    explicit operator bool() const noexcept
    {
        return has_value();
    }
    /* Only if there is one. */
    T &operator*() &
    {
        return *std::get_if<0>(&either_);
    }
    const T &operator*() const &
    {
        return *std::get_if<0>(&either_);
    }
    T &&operator*() &&
    {
        return std::move(*std::get_if<0>(&either_));
    }
    T *operator->()
    {
        return std::get_if<0>(&either_);
    }
    const T *operator->() const
    {
        return std::get_if<0>(&either_);
    }
    /* Throws a failure if there is none. */
    T &value() &
    {
        check();
        return **this;
    }
    T &&value() &&
    {
        check();
        return *std::move(*this);
    }
    T value_or(T other) &&
    {
        return has_value() ? *std::move(*this) : std::move(other);
    }
    /* Only if there is no value. */
    const pawl::error &error() const
    {
        return *std::get_if<1>(&either_);
    }

  private:
    void check() const
    {
        if (!has_value()) throw failure(error());
    }

    std::variant<T, pawl::error> either_;
};

template <> class [[nodiscard]] result<void>
{
  public:
    result() = default;
    result(pawl::error why) : why_(std::move(why))
    {
    }

    bool has_value() const noexcept
    {
        return !why_;
    }
    explicit operator bool() const noexcept
    {
        return has_value();
    }
    /* Throws a failure if it did not succeed. */
    void value() const
    {
        if (why_) throw failure(*why_);
    }
    const pawl::error &error() const
    {
        return *why_;
    }

  private:
    std::optional<pawl::error> why_;
};

/* ---- Times ---------------------------------------------------------------------------------- */

/*
 * How long a call waits: any duration of std::chrono, rounded up to a millisecond, so that a wait
 * of 1 us is a wait. 0 and less: not at all. pawl::forever: without limit.
 */
class wait_time
{
  public:
    template <typename Rep, typename Period>
    constexpr wait_time(std::chrono::duration<Rep, Period> duration)
        : ms_(duration <= duration.zero() ? 0 : bounded(duration))
    {
    }
    constexpr int64_t ms() const noexcept
    {
        return ms_;
    }
    static constexpr wait_time without_limit()
    {
        return wait_time();
    }

  private:
    constexpr wait_time() : ms_(PAWL_WAIT_FOREVER)
    {
    }
    template <typename Duration> static constexpr int64_t bounded(Duration duration)
    {
        /* A wait of more than a century may not fit into milliseconds: it is one without limit. */
        constexpr std::chrono::hours century(24L * 36525);
        if (std::chrono::duration<double>(duration) > std::chrono::duration<double>(century))
            return PAWL_WAIT_FOREVER;
        return int64_t(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
    }

    int64_t ms_;
};

inline constexpr wait_time forever = wait_time::without_limit();

} // namespace pawl

#endif
