/* SPDX-License-Identifier: MIT */
#include "redis_scripts.h"

#define SCRIPT(name) extern const char pawl__redis_body_##name[], pawl__redis_sha1_##name[]
SCRIPT(acquire);
SCRIPT(renew);
SCRIPT(release);
SCRIPT(inspect);
SCRIPT(break);
SCRIPT(acquire_many);
SCRIPT(change);
SCRIPT(probe);
SCRIPT(guard);
SCRIPT(publish);
SCRIPT(read);
SCRIPT(acquire_together);
SCRIPT(release_together);
SCRIPT(acquire_guarded);
SCRIPT(renew_guarded);
SCRIPT(release_guarded);
SCRIPT(break_guarded);
SCRIPT(acquire_many_guarded);
SCRIPT(change_guarded);
SCRIPT(acquire_together_guarded);
SCRIPT(release_together_guarded);
#undef SCRIPT

#define TEXT(name)                                                                                 \
    {                                                                                              \
        pawl__redis_body_##name, pawl__redis_sha1_##name                                           \
    }
const pawl__redis_script_text pawl__redis_scripts[PAWL__REDIS_SCRIPTS] = {
    [PAWL__REDIS_ACQUIRE] = TEXT(acquire),
    [PAWL__REDIS_RENEW] = TEXT(renew),
    [PAWL__REDIS_RELEASE] = TEXT(release),
    [PAWL__REDIS_INSPECT] = TEXT(inspect),
    [PAWL__REDIS_BREAK] = TEXT(break),
    [PAWL__REDIS_ACQUIRE_MANY] = TEXT(acquire_many),
    [PAWL__REDIS_CHANGE] = TEXT(change),
    [PAWL__REDIS_PROBE] = TEXT(probe),
    [PAWL__REDIS_GUARD] = TEXT(guard),
    [PAWL__REDIS_PUBLISH] = TEXT(publish),
    [PAWL__REDIS_READ] = TEXT(read),
    [PAWL__REDIS_ACQUIRE_TOGETHER] = TEXT(acquire_together),
    [PAWL__REDIS_RELEASE_TOGETHER] = TEXT(release_together),
    [PAWL__REDIS_ACQUIRE_GUARDED] = TEXT(acquire_guarded),
    [PAWL__REDIS_RENEW_GUARDED] = TEXT(renew_guarded),
    [PAWL__REDIS_RELEASE_GUARDED] = TEXT(release_guarded),
    [PAWL__REDIS_BREAK_GUARDED] = TEXT(break_guarded),
    [PAWL__REDIS_ACQUIRE_MANY_GUARDED] = TEXT(acquire_many_guarded),
    [PAWL__REDIS_CHANGE_GUARDED] = TEXT(change_guarded),
    [PAWL__REDIS_ACQUIRE_TOGETHER_GUARDED] = TEXT(acquire_together_guarded),
    [PAWL__REDIS_RELEASE_TOGETHER_GUARDED] = TEXT(release_together_guarded),
};
