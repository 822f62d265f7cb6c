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

// BarrierOptions of a Barrier.
type BarrierOptions struct {
	// TTL is the lease of a party that waits: one that has died is missed when that is over. 0: 30 s.
	TTL time.Duration
}

// Barrier lets so many parties through together, when all of them wait; the next ones make the next
// round. Goroutines may share it: each call of Wait is one party. See docs/composed.md.
type Barrier struct {
	client  *Client
	name    string
	parties int
	ttl     time.Duration
}

// NewBarrier makes a barrier. No I/O; errors come with the first call: ErrParties (parties is 1 to 1000,
// and all name the same), ErrName (507 bytes at most), ErrTTL. Let nothing else use that name, nor
// name.gate.
func (c *Client) NewBarrier(name string, parties int, opts *BarrierOptions) *Barrier {
	b := &Barrier{client: c, name: name, parties: parties}
	if opts != nil {
		b.ttl = opts.TTL
	}
	return b
}

// Name is the barrier's.
func (b *Barrier) Name() string { return b.name }

// Wait waits until all parties of the round are there, and tells the number of the round: 1, 2 and so on.
// The end of ctx is that of this party's patience, which breaks the round for the others. ErrTimeout:
// ctx's deadline came first. ErrBroken: another one has given up or died, or the store has forgotten the
// barrier. ErrLost: our own lease was lost. ErrCount: it is in use with another count. ErrKind: one of the
// two names is in use as something else.
func (b *Barrier) Wait(ctx context.Context) (round uint64, err error) {
	var barrier *C.pawl_barrier
	err = b.client.flow(ctx, "wait", b.name,
		func() C.int { return b.make(&barrier) },
		func(wait C.int64_t, id C.uintptr_t) C.int { return C.pawlgo_barrier_wait_start(barrier, wait, id) },
		func() { round = uint64(C.pawl_barrier_generation(barrier)) },
		func() { C.pawl_barrier_free(barrier) })
	return round, err
}

func (b *Barrier) make(made **C.pawl_barrier) C.int {
	if b.parties < 1 || b.parties > C.PAWL_BARRIER_PARTIES_MAX {
		return C.PAWL_ERR_PARTIES
	}
	cName := C.CString(b.name)
	defer C.free(unsafe.Pointer(cName))
	return C.pawlgo_barrier_new(b.client.ptr, cName, C.size_t(len(b.name)), C.uint32_t(b.parties),
		C.int64_t(milliseconds(b.ttl)), made)
}
