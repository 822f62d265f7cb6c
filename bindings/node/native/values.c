/* SPDX-License-Identifier: MIT */
/* Values of JavaScript's, and the list of what the addon exports. */
#include "addon.h"

#include <stdlib.h>

args take_args(napi_env env, napi_callback_info info)
{
    args a = {.env = env};
    size_t count = ARGS_MAX;
    napi_get_cb_info(env, info, &count, a.at, NULL, NULL);
    return a;
}

int64_t int_at(const args *a, int i)
{
    int64_t value = 0;
    napi_get_value_int64(a->env, a->at[i], &value);
    return value;
}

uint64_t bigint_at(const args *a, int i)
{
    uint64_t value = 0;
    bool lossless;
    napi_get_value_bigint_uint64(a->env, a->at[i], &value, &lossless);
    return value;
}

bool bool_at(const args *a, int i)
{
    bool value = false;
    napi_get_value_bool(a->env, a->at[i], &value);
    return value;
}

void *pointer_at(const args *a, int i)
{
    void *pointer = NULL;
    napi_get_value_external(a->env, a->at[i], &pointer);
    return pointer;
}

char *text_of(napi_env env, napi_value value, size_t *ret_len)
{
    size_t len;
    *ret_len = 0;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &len) != napi_ok) return NULL;
    char *text = malloc(len + 1);
    if (text) napi_get_value_string_utf8(env, value, text, len + 1, ret_len);
    return text;
}

char *text_at(const args *a, int i, size_t *ret_len)
{
    return text_of(a->env, a->at[i], ret_len);
}

const void *bytes_at(const args *a, int i, size_t *ret_len)
{
    void *bytes = NULL;
    *ret_len = 0;
    if (napi_get_buffer_info(a->env, a->at[i], &bytes, ret_len) != napi_ok) return NULL;
    return bytes ? bytes : "";
}

napi_value make_int(napi_env env, int64_t value)
{
    napi_value made = NULL;
    napi_create_int64(env, value, &made);
    return made;
}

napi_value make_bigint(napi_env env, uint64_t value)
{
    napi_value made = NULL;
    napi_create_bigint_uint64(env, value, &made);
    return made;
}

napi_value make_bool(napi_env env, bool value)
{
    napi_value made = NULL;
    napi_get_boolean(env, value, &made);
    return made;
}

napi_value make_text(napi_env env, const char *text, size_t len)
{
    napi_value made = NULL;
    napi_create_string_utf8(env, text, len, &made);
    return made;
}

napi_value make_bytes(napi_env env, const void *bytes, size_t len)
{
    napi_value made = NULL;
    napi_create_buffer_copy(env, len, bytes, NULL, &made);
    return made;
}

napi_value make_null(napi_env env)
{
    napi_value made = NULL;
    napi_get_null(env, &made);
    return made;
}

void set(napi_env env, napi_value object, const char *name, napi_value value)
{
    napi_set_named_property(env, object, name, value);
}

void export_function(napi_env env, napi_value exports, const char *name, napi_callback call)
{
    napi_value function;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, NULL, &function) == napi_ok)
        set(env, exports, name, function);
}

NAPI_MODULE_INIT()
{
    set(env, exports, "version", make_text(env, pawl_version(), NAPI_AUTO_LENGTH));
    export_clients(env, exports);
    export_handles(env, exports);
    export_questions(env, exports);
    export_composed(env, exports);
    export_leaders(env, exports);
    return exports;
}
