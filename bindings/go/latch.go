// SPDX-License-Identifier: MIT

package pawl

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// LatchOptions of a Latch.
type LatchOptions struct {
	// Keep is how long the store keeps it after the latest count; 0: a day. At most 400 days.
	Keep time.Duration
}

// Latch opens when it was counted down so many times, by whomever. It opens once: take another name for
// the next time. Who counts is not known by name: one that counts, dies and is started again counts
// twice. Goroutines may share it. See docs/composed.md.
//
//	latch := client.NewLatch("import-42", 3, nil)
//	err := latch.CountDown(ctx) // each of three jobs, when it is done
//	err := latch.Wait(ctx)      // whoever needs all of them
type Latch struct {
	client *Client
	name   string
	count  int
	keep   time.Duration
}

// NewLatch makes a latch. No I/O; errors come with the first call: ErrParties (count is 1 to 1000000, and
// all who use the latch name the same; Keep). Let nothing else use that name.
func (c *Client) NewLatch(name string, count int, opts *LatchOptions) *Latch {
	l := &Latch{client: c, name: name, count: count}
	if opts != nil {
		l.keep = opts.Keep
	}
	return l
}

// Name is the latch's.
func (l *Latch) Name() string { return l.name }

// CountDown counts once, and tells how many are to come. ErrUnknown: the store did not answer until ctx
// or the lease ended; it may or may not count. After any other error nothing was counted: ErrCount (the
// latch has another count), ErrKind (the name is in use as something else), ErrBusy and ErrTimeout (others
// count, for as long as ctx allowed), ErrLost.
func (l *Latch) CountDown(ctx context.Context) (left int, err error) { return l.CountDownBy(ctx, 1) }

// CountDownBy counts several at once, 1 to the latch's count.
func (l *Latch) CountDownBy(ctx context.Context, by int) (left int, err error) {
	if by < 1 || by > l.count {
		return 0, l.client.fail("count down", l.name, ErrParties)
	}
	return l.do(ctx, "count down", func(latch *C.pawl_latch, wait C.int64_t, id C.uintptr_t) C.int {
		return C.pawlgo_latch_down_start(latch, C.uint32_t(by), wait, id)
	})
}

// Wait returns when the latch is open, at once when it has been opened before. ErrTimeout: it was not
// until ctx's deadline. ErrBroken: the store has forgotten the latch, or it has begun anew, while we waited.
// ErrCount, ErrKind as CountDown.
func (l *Latch) Wait(ctx context.Context) error {
	_, err := l.do(ctx, "wait", func(latch *C.pawl_latch, wait C.int64_t, id C.uintptr_t) C.int {
		return C.pawlgo_latch_wait_start(latch, wait, id)
	})
	return err
}

// Left asks how many are to come.
func (l *Latch) Left(ctx context.Context) (int, error) {
	left := 0
	err := l.client.ask(ctx, "look", l.name, func(wait C.int64_t) C.int {
		var latch *C.pawl_latch
		code := l.make(&latch)
		if code == 0 {
			code = C.pawl_latch_look(latch, wait)
			left = int(C.pawl_latch_left(latch))
		}
		C.pawl_latch_free(latch)
		return code
	})
	if err != nil {
		return 0, err // the call may still go on
	}
	return left, nil
}

func (l *Latch) do(ctx context.Context, op string,
	start func(latch *C.pawl_latch, wait C.int64_t, id C.uintptr_t) C.int) (left int, err error) {
	var latch *C.pawl_latch
	err = l.client.flow(ctx, op, l.name,
		func() C.int { return l.make(&latch) },
		func(wait C.int64_t, id C.uintptr_t) C.int { return start(latch, wait, id) },
		func() { left = int(C.pawl_latch_left(latch)) },
		func() { C.pawl_latch_free(latch) })
	return left, err
}

func (l *Latch) make(made **C.pawl_latch) C.int {
	if l.count < 1 || l.count > C.PAWL_LATCH_COUNT_MAX {
		return C.PAWL_ERR_PARTIES
	}
	cName := C.CString(l.name)
	defer C.free(unsafe.Pointer(cName))
	return C.pawlgo_latch_new(l.client.ptr, cName, C.size_t(len(l.name)), C.uint32_t(l.count),
		C.int64_t(milliseconds(l.keep)), made)
}
