/* SPDX-License-Identifier: MIT */
/* OpenSSL, which libpq uses, is there until the very end of exit(): a handshake may be under way.
 */
#define _GNU_SOURCE
#include "rig.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Registered first, so it runs last. */
static void look_whether_it_is_there(void)
{
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    _exit(digest ? 0 : 1);
}

static void openssl_outlives_exit(void **state)
{
    (void)state;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        store_address nowhere = {.ops = &pawl_store_entry, .scheme = "postgres", .path = ""};
        nowhere.options[nowhere.option_count++] = (pawl_url_option){"host", "/nowhere/at/all"};
        if (atexit(look_whether_it_is_there) != 0) _exit(2);
        (void)client_open(test_loop_new(), &nowhere, "a");
        EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL)); /* as libpq's first connection does */
        exit(3);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {cmocka_unit_test(openssl_outlives_exit)};
    check_cases_run_here();
    return cmocka_run_group_tests(cases, NULL, NULL);
}
