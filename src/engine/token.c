/* SPDX-License-Identifier: MIT */
/* The token of a lease: its bytes in memory are half as long as the text. */
#include "lease.h"

const char *pawl__lease_token(pawl__engine *e, const pawl__lease *lease)
{
    pawl__hex_unpack(lease->token, PAWL__TOKEN_BYTES, e->token);
    return e->token;
}

void pawl__lease_draw_token(pawl__engine *e, pawl__lease *lease)
{
    char text[PAWL_TOKEN_LEN + 1];
    e->opts.draw_token(e->opts.draw_ctx, text); /* law 5: never the same token twice */
    pawl__hex_pack(text, lease->token, PAWL__TOKEN_BYTES);
}
