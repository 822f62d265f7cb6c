/* SPDX-License-Identifier: MIT */
/*
 * Goal: the label of a holder says who, where, which process and which trace, to the letter.
 * Method: the environment is what the label is made of; as root also other users.
 */
#define _GNU_SOURCE
#include "runtime/owner.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pwd.h>
#include <unistd.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void set(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* "user@host pid program" and what follows it. */
static void expect_label(const char *user, const char *tail)
{
    char label[PAWL_OWNER_MAX + 1], wanted[PAWL_OWNER_MAX + 1], host[100];
    memset(label, 'x', sizeof label);
    assert_int_equal(gethostname(host, sizeof host), 0);
    snprintf(wanted, sizeof wanted, "%s@%s %ld %s%s", user, host, (long)getpid(),
             program_invocation_short_name, tail);
    pawl__owner_default(label);
    assert_string_equal(label, wanted);
}

static void test_who(void **state)
{
    (void)state;
    set("LOGNAME", "joe");
    set("USER", "ann");
    expect_label("joe", "");
    set("LOGNAME", "");
    expect_label("ann", "");
    set("LOGNAME", NULL);
    expect_label("ann", "");
    set("USER", "~ z");
    expect_label("~ z", "");
    set("USER", "a\nb\x1f\x7f");
    expect_label("a?b??", "");
}

/* What the environment does not say the system's table says. */
static void test_who_by_number(void **state)
{
    static const char *const unset[] = {NULL, ""};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set("LOGNAME", unset[i]);
        set("USER", unset[i]);
        const struct passwd *own = getpwuid(geteuid());
        char number[24];
        snprintf(number, sizeof number, "%u", (unsigned)geteuid());
        expect_label(geteuid() == 0 ? "root" : own ? own->pw_name : number, "");
    }
    if (geteuid() != 0) return;
    const struct passwd *nobody = getpwnam("nobody");
    if (nobody && seteuid(nobody->pw_uid) == 0) {
        expect_label("nobody", "");
        assert_int_equal(seteuid(0), 0);
    }
    if (!getpwuid(54321) && seteuid(54321) == 0) {
        expect_label("54321", "");
        assert_int_equal(seteuid(0), 0);
    }
}

static void test_which_trace(void **state)
{
    static const char *const good[] = {
        "00-" TRACE "-" PARENT "-01", "00-" TRACE "-" PARENT "-ff", "cc-" TRACE "-" PARENT "-01",
        "cc-" TRACE "-" PARENT "-01-more", "01-" TRACE "-" PARENT "-01-"};
    static const char *const bad[] = {
        "",
        "00",
        "00-",
        "ff-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
        "000-" TRACE "-" PARENT "-01",
        "0g-" TRACE "-" PARENT "-01",
        "00+" TRACE "-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" TRACE "0-" PARENT "-01",
        "00-" TRACE "+" PARENT "-01",
        "00-" TRACE,
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-b7ad6b716920333-01",
        "00-" TRACE "-" PARENT "0-01",
        "00-" TRACE "-" PARENT "+01",
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-0g",
        "00-" TRACE "-" PARENT "-011",
        "cc-" TRACE "-" PARENT "-0-1",
        "cc-" TRACE "-" PARENT "-01+more",
        "00-" TRACE "-" PARENT "-01-more",
    };
    (void)state;
    set("LOGNAME", "joe");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        set("TRACEPARENT", good[i]);
        expect_label("joe", " trace=" TRACE);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set("TRACEPARENT", bad[i]);
        expect_label("joe", "");
    }
    set("TRACEPARENT", NULL);
}

/* What is too long is cut, but never the trace. */
static void test_long_labels(void **state)
{
    static char name[3 * PAWL_OWNER_MAX];
    char cut[100], label[PAWL_OWNER_MAX + 1];
    (void)state;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    set("LOGNAME", name);
    snprintf(cut, sizeof cut, "%.99s", name);
    expect_label(cut, "");
    program_invocation_short_name = name;
    pawl__owner_default(label);
    assert_int_equal(strlen(label), PAWL_OWNER_MAX);
    assert_string_equal(label + PAWL_OWNER_MAX - 4, "nnnn");
    set("TRACEPARENT", "00-" TRACE "-" PARENT "-01");
    pawl__owner_default(label);
    assert_int_equal(strlen(label), PAWL_OWNER_MAX);
    assert_string_equal(label + PAWL_OWNER_MAX - strlen("n trace=" TRACE), "n trace=" TRACE);
    set("TRACEPARENT", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_who_by_number),
        cmocka_unit_test(test_which_trace),
        cmocka_unit_test(test_long_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
