/* SPDX-License-Identifier: MIT */
/* A Beego app.conf: whatever the file says, an entry can be found again, or one line says why not.
 */
#include "fuzz.h"

#include "beego/config/ini.h"
#include "beego/config/text.h"
#include "pawl/types.h"

static void check_entry(const pawl__ini *ini, const pawl__ini_entry *entry)
{
    CHECK(entry->section && entry->key && entry->key[0] && entry->value && entry->where);
    const pawl__ini_entry *found = pawl__ini_find(ini, entry->section, entry->key);
    CHECK(found && strcmp(found->key, entry->key) == 0); /* the last of that key */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pawl__ini *ini;
    char message[PAWL_MESSAGE_MAX];
    char *text = fuzz_text((fuzz_input){data, size});
    /* Includes are relative to this: a directory where nothing is. */
    int err = pawl__ini_parse("/nonexistent/app.conf", text, size, &ini, message);
    if (err) {
        CHECK(err == PAWL_ERR_OPTION || err == PAWL_ERR_SYSTEM);
        fuzz_check_line(message, sizeof message);
    } else {
        for (size_t i = 0; i < pawl__ini_count(ini); i++) check_entry(ini, pawl__ini_at(ini, i));
        pawl__ini_free(ini);
    }
    free(text);
    return 0;
}
