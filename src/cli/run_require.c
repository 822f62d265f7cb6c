/* SPDX-License-Identifier: MIT */
/* --require: do not run at all on a store that promises less. */
#include "run_require.h"

#include <string.h>

#include "exit_codes.h"
#include "message.h"
#include "store.h"

static bool has_fence(const pawl_caps *caps)
{
    return caps->fence != PAWL_FENCE_NONE;
}

static bool has_durable_fence(const pawl_caps *caps)
{
    return caps->fence == PAWL_FENCE_DURABLE;
}

static bool is_fair(const pawl_caps *caps)
{
    return caps->fair;
}

static bool pushes(const pawl_caps *caps)
{
    return caps->push;
}

static bool lists(const pawl_caps *caps)
{
    return caps->list;
}

static bool releases_instantly(const pawl_caps *caps)
{
    return caps->instant_release;
}

static const struct promise {
    const char *word;
    bool (*kept)(const pawl_caps *caps);
} promises[] = {
    {"fence", has_fence},
    {"durable-fence", has_durable_fence},
    {"fair", is_fair},
    {"push", pushes},
    {"list", lists},
    {"instant-release", releases_instantly},
    {"instant", releases_instantly}, /* the same, shorter */
};

static const struct promise *find(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++) {
        if (strlen(promises[i].word) == len && !memcmp(promises[i].word, word, len)) {
            return &promises[i];
        }
    }
    return NULL;
}

static const char *next_word(const char *word)
{
    word += strcspn(word, ",");
    return *word ? word + 1 : NULL;
}

const char *run_require_unknown(const char *list)
{
    for (const char *word = list; word; word = next_word(word)) {
        if (!find(word, strcspn(word, ","))) return word;
    }
    return NULL;
}

int run_require_check(pawl_client *client, const char *list, int64_t wait_ms)
{
    pawl_caps caps;
    int err = pawl_client_caps(client, wait_ms, &caps);
    if (err) return cli_fail(client, "require", NULL, err);

    for (const char *word = list; word; word = next_word(word)) {
        size_t len = strcspn(word, ",");
        const struct promise *promise = find(word, len);
        if (promise && promise->kept(&caps)) continue;
        cli_error("run: %s does not promise %.*s, which --require asks for",
                  pawl_client_url(client), (int)len, word);
        return CLI_EXIT_CONFIG;
    }
    return 0;
}
