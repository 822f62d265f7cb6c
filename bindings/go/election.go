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

// Election is one candidate for the lead of a name. The leader is who holds the exclusive Lock of that
// name; so everything that Lock says of a loss holds for the lead.
//
//	election := client.NewElection("scheduler", nil)
//	return election.Lead(ctx, []byte("10.0.0.7:80"), func(ctx context.Context) error {
//		return schedule(ctx) // ctx is cancelled when the lead is lost
//	})
type Election struct{ lock *Lock }

// NewElection makes a candidate. No I/O; opts.Mode is of no account.
func (c *Client) NewElection(name string, opts *LockOptions) *Election {
	lock := c.NewLock(name, opts)
	lock.opts.Mode, lock.opts.Reentrant = ModeExclusive, false
	return &Election{lock}
}

// Lock is that of the lead: its Fence, its Context, whether it is Held.
func (e *Election) Lock() *Lock { return e.lock }

// Leads tells whether it leads now, by the clock.
func (e *Election) Leads() bool { return e.lock.Held() }

// Campaign waits for the lead, in order of arrival; see Lock.Lock.
func (e *Election) Campaign(ctx context.Context) error { return e.lock.Lock(ctx) }

// TryCampaign is Campaign, or ErrBusy at once.
func (e *Election) TryCampaign(ctx context.Context) error { return e.lock.TryLock(ctx) }

// Lead campaigns, proclaims the value (nil: none), runs fn with a context that is cancelled when the lead
// is lost, and resigns, also after a panic. Errors as Lock.Do, and those of Proclaim.
func (e *Election) Lead(ctx context.Context, value []byte, fn func(ctx context.Context) error) (err error) {
	if err := e.Campaign(ctx); err != nil {
		return err
	}
	inner, cancel := e.lock.Context(ctx)
	defer func() { err = join(err, e.Resign()) }()
	defer cancel()
	if value != nil {
		if err := e.Proclaim(inner, value); err != nil {
			return err
		}
	}
	return fn(inner)
}

// saying is what a leader has begun to say.
type saying struct {
	a       *acquisition
	outcome chan Code // receives it, once
}

func (s *saying) answered(code Code) {
	s.outcome <- code // has room
	s.a.mu.Lock()
	s.a.saying--
	isLast := s.a.over && s.a.saying == 0
	s.a.mu.Unlock()
	if isLast {
		go s.a.free()
	}
}

// say begins; libpawl uses the handle until the answer has come.
func (a *acquisition) say(start func(id C.uintptr_t) C.int) (*saying, Code) {
	s := &saying{a: a, outcome: make(chan Code, 1)}
	a.mu.Lock()
	a.saying++
	a.mu.Unlock()
	id := register(s)
	code := Code(start(C.uintptr_t(id)))
	if code != 0 {
		unregister(id)
		s.answered(code)
	}
	return s, code
}

// Proclaim makes the leader's value known, 4096 bytes at most; it replaces the one before, and observers
// are told at once. ErrNotHeld, ErrLost: it does not lead. ErrValue: it is too long. ErrUnknown: the
// context, or the lease, ended before the store had answered: it may become known.
func (e *Election) Proclaim(ctx context.Context, value []byte) error {
	l := e.lock
	if err := ctx.Err(); err != nil {
		return l.client.fail("proclaim", l.name, err)
	}
	s, code := l.proclaim(value)
	if code != 0 {
		return l.client.fail("proclaim", l.name, code)
	}
	select {
	case code = <-s.outcome:
		if code != 0 {
			return l.client.fail("proclaim", l.name, code)
		}
		return nil
	case <-ctx.Done():
		err := l.client.fail("proclaim", l.name, ErrUnknown)
		err.Cause = ctx.Err()
		return err
	}
}

func (l *Lock) proclaim(value []byte) (*saying, Code) {
	cValue := C.CBytes(value)
	defer C.free(cValue)
	l.mu.Lock() // keeps the handle from being freed meanwhile
	defer l.mu.Unlock()
	a := l.held
	if a == nil {
		return nil, ErrNotHeld
	}
	return a.say(func(id C.uintptr_t) C.int {
		return C.pawlgo_proclaim_start(a.ptr, cValue, C.size_t(len(value)), id)
	})
}

// Resign leads no more: observers are told, who would else find out later, and the lock is released.
// Errors as Unlock.
func (e *Election) Resign() error {
	l := e.lock
	a, err := l.take("resign")
	if err != nil {
		return err
	}
	s, code := a.say(func(id C.uintptr_t) C.int { return C.pawlgo_resign_start(a.ptr, id) })
	if code == 0 {
		timer := time.NewTimer(l.client.patience)
		defer timer.Stop()
		select {
		case code = <-s.outcome:
		case <-timer.C:
			code = ErrUnknown // pawl goes on trying
		}
	}
	return l.give(a, "resign", code)
}

// Leader is what is known of who leads. Label and value are what others have chosen.
type Leader struct {
	Err       error         // why nothing is known now: then all else is zero
	Leads     bool          // somebody does
	Owner     string        // its label; "" if nobody leads
	Fence     uint64        // of its lease
	Remaining time.Duration // until its lease ends, unless it is renewed; negative: never
	Value     []byte        // what it has proclaimed; nil: nothing yet
}

// Leader tells who leads now. An error means that this is unknown, not that nobody leads.
func (c *Client) Leader(ctx context.Context, name string) (Leader, error) {
	leader := new(Leader)
	err := c.ask(ctx, "leader", name, func(wait C.int64_t) C.int {
		cName := C.CString(name)
		defer C.free(unsafe.Pointer(cName))
		id := register(leader)
		defer unregister(id)
		return C.pawlgo_leader(c.ptr, cName, C.size_t(len(name)), wait, C.uintptr_t(id))
	})
	if err != nil {
		return Leader{}, err
	}
	return *leader, nil
}

// Observe sends what is known of the leader, first and then whenever that changes, until the context ends
// or the client is closed; then the channel is closed. Who reads slowly misses what has been replaced
// meanwhile, and nothing else. While the store cannot be asked, Leader.Err says so once.
func (c *Client) Observe(ctx context.Context, name string) (<-chan Leader, error) {
	done, err := c.use()
	if err != nil {
		return nil, c.fail("observe", name, err)
	}
	defer done()
	news := make(chan Leader, 1)
	id := register(news)
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	var observer *C.pawl_observer
	code := Code(C.pawlgo_observe(c.ptr, cName, C.size_t(len(name)), C.uintptr_t(id), &observer))
	if code != 0 {
		unregister(id)
		return nil, c.fail("observe", name, code)
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-c.closing:
		}
		C.pawl_observer_stop(observer)
		unregister(id)
		close(news)
	}()
	return news, nil
}

// tellLatest replaces what nobody has read. One callback runs at a time.
func tellLatest(news chan Leader, leader Leader) {
	for {
		select {
		case news <- leader:
			return
		default:
		}
		select {
		case <-news:
		default:
		}
	}
}
