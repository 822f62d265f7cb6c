// SPDX-License-Identifier: MIT

package pawl

// #include <stdint.h>
// #include "bridge.h"
import "C"

import "context"

// ending receives the outcome of one call of libpawl's, once.
type ending chan Code

func (e ending) answered(code Code) { e <- code } // has room

// flow runs a call of a handle of its own: make makes it, start begins the call, and free ends what waits
// and frees the handle. The context's end is the call's.
func (c *Client) flow(ctx context.Context, op, name string, make func() C.int,
	start func(wait C.int64_t, id C.uintptr_t) C.int, result func(), free func()) error {
	if err := ctx.Err(); err != nil {
		return c.fail(op, name, err)
	}
	done, err := c.use()
	if err != nil {
		return c.fail(op, name, err)
	}
	defer done() // the close ends the call, and waits for that
	if code := make(); code != 0 {
		return c.fail(op, name, Code(code))
	}
	code, freed := c.await(ctx, start, free)
	if code == 0 {
		result()
	}
	if !freed {
		free()
	}
	if code != 0 {
		return c.whyNot(op, ctx, name, code)
	}
	return nil
}

// await tells the outcome, and whether the handle was freed for the context's sake.
func (c *Client) await(ctx context.Context, start func(wait C.int64_t, id C.uintptr_t) C.int,
	free func()) (code Code, freed bool) {
	decided := ending(newOutcome())
	id := register(decided)
	if code := start(C.int64_t(waitOf(ctx, false)), C.uintptr_t(id)); code != 0 {
		unregister(id)
		return Code(code), false
	}
	code = outcome(ctx, decided, nil, func() {
		free()
		freed = true
	})
	return code, freed
}

func newOutcome() chan Code { return make(chan Code, 1) }
