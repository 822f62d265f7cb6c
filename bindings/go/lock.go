// SPDX-License-Identifier: MIT

package pawl

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// LockOptions of a lock. The zero value, or nil, means the defaults.
type LockOptions struct {
	// TTL is the length of the lease, renewed at a third of it until Unlock.
	// 10 ms to 24 h; default 30 s.
	TTL time.Duration
	// Owner is a label of this lock that people see; default that of the client.
	Owner string
	// Retain keeps the lease this long after Unlock for the next acquisition by
	// this client, unless another client wants it. Default 0.
	Retain time.Duration
}

// Lock is a claim on one name. Like a sync.Mutex it may be shared by goroutines,
// which then exclude each other; unlike one it reaches as far as the store does.
// Two Locks of one name exclude each other, too. Nothing need be freed.
type Lock struct {
	client *Client
	name   string
	opts   LockOptions
	turn   chan struct{} // one place: who has it may acquire, and holds it until Unlock

	mu   sync.Mutex
	held *acquisition
}

// acquisition is the time from one wish to its release.
type acquisition struct {
	name    string
	id      uintptr
	ptr     *C.pawl_lock
	fence   uint64
	decided chan Code     // receives the outcome, once
	wanted  chan struct{} // somebody waits for it
	lost    chan struct{} // closed on loss

	mu      sync.Mutex
	why     error // of the loss; nil: not lost
	ended   bool
	cancels map[*context.CancelFunc]struct{}
}

// NewLock makes a lock on a name of 1 to 512 bytes without NUL. No I/O; a wrong name, TTL or
// Owner is reported by the first acquisition.
func (c *Client) NewLock(name string, opts *LockOptions) *Lock {
	l := &Lock{client: c, name: name, turn: make(chan struct{}, 1)}
	if opts != nil {
		l.opts = *opts
	}
	return l
}

// Name is what is locked.
func (l *Lock) Name() string { return l.name }

// Lock acquires, waiting until the context ends. Waiters get their turn in order of arrival at
// the store. The context bounds the wait only, not the time the lock is held. After an error
// nothing is held, and nothing stays behind at the store.
func (l *Lock) Lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return l.client.fail("lock", l.name, ctx.Err())
	case <-l.client.closing:
		return l.client.fail("lock", l.name, ErrClosed)
	}
	return l.acquire(ctx, C.PAWL_WAIT_FOREVER)
}

// TryLock acquires if nobody holds or awaits the lock, else returns ErrBusy at once.
func (l *Lock) TryLock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	default:
		return l.client.fail("lock", l.name, ErrBusy)
	}
	return l.acquire(ctx, 0)
}

// acquire is called by the goroutine that has the turn, and gives it back on failure.
func (l *Lock) acquire(ctx context.Context, wait int64) error {
	a, err := l.client.acquire(ctx, l.name, &l.opts, wait)
	if err != nil {
		<-l.turn
		return l.client.fail("lock", l.name, err)
	}
	l.mu.Lock()
	l.held = a
	l.mu.Unlock()
	return nil
}

func (c *Client) acquire(ctx context.Context, name string, opts *LockOptions, wait int64) (
	*acquisition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &acquisition{
		name:    name,
		decided: make(chan Code, 1),
		wanted:  make(chan struct{}, 1),
		lost:    make(chan struct{}),
	}
	if err := c.start(a, opts, wait); err != nil {
		return nil, err
	}
	var code Code
	select {
	case code = <-a.decided:
	case <-ctx.Done():
		C.pawl_lock_cancel(a.ptr) // too late is no harm: then it has been decided
		code = <-a.decided
		if code == 0 || code == Code(C.PAWL_ERR_CANCELED) {
			a.end(c) // if it was granted, then to somebody who has gone
			return nil, ctx.Err()
		}
	}
	if code != 0 {
		a.end(c)
		return nil, code
	}
	a.fence = uint64(C.pawl_lock_fence(a.ptr))
	return a, nil
}

// start asks for the lock; the answer comes through a.decided.
func (c *Client) start(a *acquisition, opts *LockOptions, wait int64) error {
	done, err := c.use()
	if err != nil {
		return err
	}
	defer done()
	cName := C.CString(a.name)
	defer C.free(unsafe.Pointer(cName))
	var cOwner *C.char
	if strings.IndexByte(opts.Owner, 0) >= 0 {
		return ErrOwner
	}
	if opts.Owner != "" {
		cOwner = C.CString(opts.Owner)
		defer C.free(unsafe.Pointer(cOwner))
	}
	a.id = register(a)
	code := C.pawlgo_lock_new(c.ptr, cName, C.size_t(len(a.name)),
		C.int64_t(milliseconds(opts.TTL)), C.int64_t(milliseconds(opts.Retain)),
		cOwner, C.uintptr_t(a.id), &a.ptr)
	if code != 0 {
		unregister(a.id)
		return Code(code)
	}
	c.held.Store(a, nil)
	if code = C.pawlgo_acquire_start(a.ptr, C.int64_t(wait), C.uintptr_t(a.id)); code != 0 {
		a.end(c)
		return Code(code)
	}
	return nil
}

// end frees the handle, which releases what it holds. The outcome has been received.
func (a *acquisition) end(c *Client) {
	c.held.Delete(a)
	a.close()
	unregister(a.id)
	C.pawl_lock_free(a.ptr)
}

// close cancels what runs under the lock.
func (a *acquisition) close() {
	a.mu.Lock()
	a.ended = true
	cancels := a.cancels
	a.cancels = nil
	a.mu.Unlock()
	for cancel := range cancels {
		(*cancel)()
	}
}

// lose tells everybody, once.
func (a *acquisition) lose(why error) {
	a.mu.Lock()
	if a.why != nil || a.ended {
		a.mu.Unlock()
		return
	}
	a.why = why
	cancels := a.cancels
	a.cancels = nil
	a.mu.Unlock()
	close(a.lost)
	for cancel := range cancels {
		(*cancel)()
	}
}

func (l *Lock) current() *acquisition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// Unlock releases. It returns when the release is on its way. ErrLost: the lock had been lost
// before, by the local deadline: what was done under it may not have been exclusive.
// ErrNotHeld: it was not acquired. Any goroutine may unlock.
func (l *Lock) Unlock() error {
	l.mu.Lock()
	a := l.held
	l.held = nil
	l.mu.Unlock()
	if a == nil {
		return l.client.fail("unlock", l.name, ErrNotHeld)
	}
	a.close() // before anybody else can have the lock
	code := Code(C.pawl_lock_release(a.ptr))
	why := a.reason()
	a.end(l.client)
	<-l.turn
	if code == 0 {
		return nil
	}
	err := &Error{Op: "unlock", Name: l.name, Err: code}
	if why != nil {
		err.Message = why.Error()
	}
	return err
}

// Held tells whether it is held now: by the clock, right even if no goroutine of pawl ran.
func (l *Lock) Held() bool {
	l.mu.Lock() // keeps the handle from being freed meanwhile
	defer l.mu.Unlock()
	return l.held != nil && bool(C.pawl_lock_is_held(l.held.ptr))
}

// Remaining is the time until the local deadline; 0 if it is not held.
func (l *Lock) Remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return 0
	}
	return time.Duration(C.pawl_lock_remaining_ms(l.held.ptr)) * time.Millisecond
}

// Fence is the fencing token of the present acquisition: greater than that of every earlier grant
// of the name by the store. Acquisitions of one client that pass a lease on among themselves
// share its fence; so a resource refuses what is smaller than it has seen. 0 if it is not held.
func (l *Lock) Fence() uint64 {
	if a := l.current(); a != nil {
		return a.fence
	}
	return 0
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Lost is closed when the present acquisition is lost. It is closed already if
// nothing is held.
func (l *Lock) Lost() <-chan struct{} {
	if a := l.current(); a != nil {
		return a.lost
	}
	return closedChannel
}

// Wanted receives when another client waits for the lock while it is held.
func (l *Lock) Wanted() <-chan struct{} {
	if a := l.current(); a != nil {
		return a.wanted
	}
	return nil
}

// Err says why the present acquisition was lost; nil while it is held.
func (l *Lock) Err() error {
	if a := l.current(); a != nil {
		return a.reason()
	}
	return l.client.fail("hold", l.name, ErrNotHeld)
}

func (a *acquisition) reason() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.why
}

// Context returns a child of parent that is cancelled when the lock is lost or
// unlocked; Err says why it was lost. Call the function when it is not needed any more.
func (l *Lock) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	a := l.current()
	if a == nil {
		cancel()
		return ctx, cancel
	}
	a.mu.Lock()
	over := a.ended || a.why != nil
	if !over {
		if a.cancels == nil {
			a.cancels = make(map[*context.CancelFunc]struct{})
		}
		a.cancels[&cancel] = struct{}{}
	}
	a.mu.Unlock()
	if over {
		cancel()
	}
	return ctx, func() {
		a.mu.Lock()
		delete(a.cancels, &cancel)
		a.mu.Unlock()
		cancel()
	}
}

// Do runs fn under the lock, with a context that is cancelled on loss, and
// unlocks. It returns fn's error; if that is nil and the lock was lost
// meanwhile, an error that is ErrLost.
func (l *Lock) Do(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if err := l.Lock(ctx); err != nil {
		return err
	}
	inner, cancel := l.Context(ctx)
	defer func() {
		cancel()
		if unlockErr := l.Unlock(); err == nil {
			err = unlockErr
		}
	}()
	return fn(inner)
}
