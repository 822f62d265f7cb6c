/* SPDX-License-Identifier: MIT */
#include "history.h"

const char *const torture_note_words[TORTURE_NOTE_COUNT] = {
#define TORTURE_NOTE_WORD(name, word) word,
    TORTURE_NOTE_LIST(TORTURE_NOTE_WORD)
#undef TORTURE_NOTE_WORD
};

const char *const torture_kind_words[TORTURE_KIND_COUNT] = {"exclusive", "modes", "permits",
                                                            "composed"};
