/* SPDX-License-Identifier: MIT */
#include "pawl/types.h"

const char *pawl_err_text(int err)
{
    switch (err) {
    case PAWL_OK:
        return "no error";
#define CASE(name, number, cls, text)                                                              \
    case PAWL_ERR_##name:                                                                          \
        return text;
        PAWL_ERR_LIST(CASE)
#undef CASE
    }
    return "unknown error";
}

const char *pawl_err_name(int err)
{
    switch (err) {
    case PAWL_OK:
        return "PAWL_OK";
#define CASE(name, number, cls, text)                                                              \
    case PAWL_ERR_##name:                                                                          \
        return "PAWL_ERR_" #name;
        PAWL_ERR_LIST(CASE)
#undef CASE
    }
    return "unknown error";
}

pawl_err_class pawl_err_class_of(int err)
{
    switch (err) {
    case PAWL_OK:
        return PAWL_CLASS_OK;
#define CASE(name, number, cls, text)                                                              \
    case PAWL_ERR_##name:                                                                          \
        return PAWL_CLASS_##cls;
        PAWL_ERR_LIST(CASE)
#undef CASE
    }
    return PAWL_CLASS_INTERNAL;
}
