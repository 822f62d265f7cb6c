// SPDX-License-Identifier: MIT

package pawl

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// acquisition is the time from one wish to its release.
type acquisition struct {
	name  string
	mode  Mode // in which it was acquired
	id    uintptr
	ptr   *C.pawl_lock
	once  *C.pawl_once // of a job; else nil: then ptr is ours to free
	token string
	slots []int

	// Both by the Lock's mu, once it has the acquisition.
	fence     uint64
	upgrading bool

	decided  chan Code     // receives the outcome of the wish, once, if it comes later; so that of the release
	upgraded chan Code     // receives the outcome of an upgrade; there is one at a time
	gone     chan struct{} // closed when nobody uses the handle any more
	wanted   chan struct{} // somebody waits for it
	lost     chan struct{} // closed on loss

	onEvent func(Event) // or nil
	events  serial

	mu      sync.Mutex
	why     *Error // of the loss; nil: not lost
	ended   bool
	saying  int                          // what a leader has begun to say, and has not been answered
	over    bool                         // to be freed with the last of those
	last    uint64                       // key of cancels
	cancels map[uint64]func(cause error) // of the contexts under the lock
}

// acquire asks for a lock and waits for the store's word. With a deadline libpawl bounds the wait:
// it knows whether the lock stayed busy, or the store silent.
func (c *Client) acquire(ctx context.Context, l *Lock, try bool) (*acquisition, *Error) {
	if err := ctx.Err(); err != nil {
		return nil, c.fail("lock", l.name, err)
	}
	a := newAcquisition(l)
	code := c.start(a, l, waitOf(ctx, try))
	if code == started {
		code = outcome(ctx, a.decided, a.gone, a.cancel)
	}
	if code != 0 {
		if a.ptr != nil {
			a.end(c)
		}
		return nil, c.whyNot("lock", ctx, l.name, code)
	}
	if err := c.whyGone(ctx); err != nil {
		_ = a.releaseWait(c) // it was granted to somebody who has gone
		a.end(c)
		return nil, c.fail("lock", l.name, err)
	}
	a.look(l.units)
	return a, nil
}

// cancel ends what waits. Too late is no harm: then it has been decided. A job asks the store something
// before it waits, which cannot be cancelled.
func (a *acquisition) cancel() {
	for C.pawl_lock_cancel(a.ptr) == C.PAWL_ERR_STATE && a.once != nil && len(a.decided) == 0 {
		time.Sleep(jobCancelPause)
	}
}

const jobCancelPause = 5 * time.Millisecond

func newAcquisition(l *Lock) *acquisition {
	return &acquisition{
		name:     l.name,
		mode:     l.opts.Mode,
		decided:  make(chan Code, 1),
		upgraded: make(chan Code, 1),
		gone:     make(chan struct{}),
		wanted:   make(chan struct{}, 1),
		lost:     make(chan struct{}),
		onEvent:  l.opts.OnEvent,
	}
}

// look reads what was granted.
func (a *acquisition) look(units int) {
	var token C.pawl_token
	a.fence = uint64(C.pawlgo_granted(a.ptr, &token.text[0]))
	a.token = C.GoString(&token.text[0])
	a.slots = slotsOf(a, units)
}

func waitOf(ctx context.Context, try bool) int64 {
	if try {
		return 0
	}
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return C.PAWL_WAIT_FOREVER
	}
	if wait := milliseconds(time.Until(deadline)); wait > 0 {
		return wait
	}
	return 1
}

// deadlineGrace is for libpawl to say why nothing was acquired until the context's deadline, which
// it observes itself, to a millisecond.
const deadlineGrace = time.Second

// outcome waits for the end of a wish, which a context that is done brings about by cancel. Nobody
// tells it once the handle is gone.
func outcome(ctx context.Context, decided <-chan Code, gone <-chan struct{}, cancel func()) Code {
	select {
	case code := <-decided:
		return code
	case <-gone:
		return errCanceled
	case <-ctx.Done():
	}
	if ctx.Err() == context.DeadlineExceeded {
		select {
		case code := <-decided:
			return code
		case <-gone:
			return errCanceled
		case <-time.After(deadlineGrace):
		}
	}
	cancel()
	select {
	case code := <-decided:
		return code
	case <-gone:
		return errCanceled
	}
}

// timerSlack is what libpawl's clock may be ahead of the context's: both round to a millisecond.
const timerSlack = time.Millisecond

// endOf is the context's error. Its own timer may be a moment late: libpawl, which was given the same
// deadline, has told us first then.
func endOf(ctx context.Context) error {
	deadline, bounded := ctx.Deadline()
	if err := ctx.Err(); err != nil || !bounded || time.Until(deadline) > timerSlack {
		return err
	}
	return context.DeadlineExceeded
}

// errCanceled is libpawl's word for a wish that was cancelled; callers see their context's.
const errCanceled = Code(C.PAWL_ERR_CANCELED)

// whyNot tells a lock that stayed busy from a store that stayed silent, and both from a
// caller who has gone.
func (c *Client) whyNot(op string, ctx context.Context, name string, code Code) *Error {
	ended := endOf(ctx)
	switch {
	case code == errCanceled && ended != nil, ended == context.Canceled && code != ErrClosed:
		return c.fail(op, name, ended)
	}
	e := c.fail(op, name, code)
	e.Cause = ended
	return e
}

// whyGone: nobody is told of a lock that he cannot have any more.
func (c *Client) whyGone(ctx context.Context) error {
	select {
	case <-c.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// started is no outcome yet: that comes through a.decided.
const started = Code(C.PAWLGO_STARTED)

// start asks for the lock. A store that is near answers while it looks.
func (c *Client) start(a *acquisition, l *Lock, wait int64) Code {
	opts := &l.opts
	if !fits(l.capacity) || !fits(l.units) {
		return ErrUnits
	}
	done, closed := c.use()
	if closed != nil {
		return ErrClosed
	}
	defer done()
	if strings.IndexByte(opts.Owner, 0) >= 0 {
		return ErrOwner
	}
	cOwner := cString(opts.Owner)
	defer C.free(unsafe.Pointer(cOwner))
	cOpts := C.pawlgo_lock_opts{
		ttl_ms:    C.int64_t(milliseconds(opts.TTL)),
		retain_ms: C.int64_t(milliseconds(opts.Retain)),
		owner:     cOwner,
		mode:      C.int(opts.Mode),
		capacity:  C.uint32_t(l.capacity),
		units:     C.uint32_t(l.units),
	}
	if opts.Detached {
		cOpts.detached = 1
	}
	a.id = register(a)
	if code := a.make(c, l, &cOpts); code != 0 {
		unregister(a.id)
		return code
	}
	c.held.Store(a, nil)
	return a.begin(c, wait)
}

// A goroutine that looks for an answer takes a thread meanwhile, and is not cancelled.
const (
	lookMS    = 10
	looksMost = 4 // threads for each client
)

// look gives a call of libpawl's some time to end by itself, on this thread and without waking another,
// unless so many look already.
func (c *Client) look(call func(look C.int64_t) C.int) Code {
	look := C.int64_t(lookMS)
	if atomic.AddInt32(&c.looking, 1) > looksMost {
		look = 0
	}
	defer atomic.AddInt32(&c.looking, -1)
	return Code(call(look))
}

// make makes the handle.
func (a *acquisition) make(c *Client, l *Lock, cOpts *C.pawlgo_lock_opts) Code {
	if l.names != nil {
		return a.makeAll(c, l.names, cOpts)
	}
	cName, id := C.CString(a.name), C.uintptr_t(a.id)
	defer C.free(unsafe.Pointer(cName))
	length := C.size_t(len(a.name))
	if l.job == nil {
		return Code(C.pawlgo_lock_new(c.ptr, cName, length, cOpts, id, &a.ptr))
	}
	keeps := C.int(0)
	if l.job.KeepOnFailure {
		keeps = 1
	}
	every := C.int64_t(milliseconds(l.job.Every))
	code := Code(C.pawlgo_once_new(c.ptr, cName, length, every, keeps, cOpts, id, &a.once))
	a.ptr = C.pawl_once_lock(a.once)
	return code
}

// makeAll makes a handle on several names.
func (a *acquisition) makeAll(c *Client, names []string, cOpts *C.pawlgo_lock_opts) Code {
	if len(names) == 0 || len(names) > C.PAWL_NAMES_MAX {
		return ErrNames
	}
	memory := C.calloc(C.size_t(len(names)), C.size_t(unsafe.Sizeof((*C.char)(nil))))
	defer C.free(memory)
	cNames := unsafe.Slice((**C.char)(memory), len(names))
	for i, name := range names {
		if strings.IndexByte(name, 0) >= 0 {
			return ErrName
		}
		cNames[i] = C.CString(name)
		defer C.free(unsafe.Pointer(cNames[i]))
	}
	return Code(C.pawlgo_lock_new_all(c.ptr, &cNames[0], C.size_t(len(names)), cOpts,
		C.uintptr_t(a.id), &a.ptr))
}

func (a *acquisition) begin(c *Client, wait int64) Code {
	if a.once == nil {
		return c.look(func(look C.int64_t) C.int {
			return C.pawlgo_acquire(a.ptr, C.int64_t(wait), look, C.uintptr_t(a.id))
		})
	}
	code := Code(C.pawlgo_once_begin_start(a.once, C.int64_t(wait), C.uintptr_t(a.id)))
	if code == 0 {
		code = started
	}
	return code
}

// fits tells whether a number of permits is one of C's numbers; which of those are right, libpawl says.
func fits(permits int) bool { return permits >= 0 && permits <= C.PAWL_CAPACITY_MAX }

// release gives the lock back. What has only been handed to another thread is lost when the program
// ends, so that is waited for. So is the first release of a mode: a server that does not know the script
// of it yet asks for it.
func (a *acquisition) release(c *Client) Code {
	known := &c.confirmed[a.mode]
	if atomic.LoadInt32(known) == 0 {
		code := a.releaseWait(c)
		if code == 0 {
			atomic.StoreInt32(known, 1)
		}
		return code
	}
	code := c.look(func(look C.int64_t) C.int {
		return C.pawlgo_release(a.ptr, look, C.uintptr_t(a.id))
	})
	if code != started {
		return code
	}
	return a.confirmed(c.patience)
}

// releaseWait gives the lock back and waits for the store's word.
func (a *acquisition) releaseWait(c *Client) Code {
	if code := Code(C.pawlgo_release_start(a.ptr, C.uintptr_t(a.id))); code != 0 {
		return code
	}
	return a.confirmed(c.patience)
}

// confirmed waits for the answer to a release. One that does not come in time is ErrUnknown; pawl goes
// on trying.
func (a *acquisition) confirmed(patience time.Duration) Code {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case code := <-a.decided:
		return code
	case <-timer.C:
		return ErrUnknown
	}
}

// end frees the handle, which releases what it holds. The outcome has been received.
func (a *acquisition) end(c *Client) {
	c.held.Delete(a)
	a.close()
	unregister(a.id)
	close(a.gone)
	a.mu.Lock()
	a.over = true
	isLast := a.saying == 0
	a.mu.Unlock()
	if isLast {
		a.free()
	}
}

func (a *acquisition) free() {
	if a.once != nil {
		C.pawl_once_free(a.once)
	} else {
		C.pawl_lock_free(a.ptr)
	}
}

// close cancels what runs under the lock.
func (a *acquisition) close() {
	a.mu.Lock()
	a.ended = true
	cancels := a.cancels
	a.cancels = nil
	a.mu.Unlock()
	for _, cancel := range cancels {
		cancel(nil)
	}
}

// happen passes the news on.
func (a *acquisition) happen(event Event) {
	switch event.Kind {
	case EventLost:
		a.lose(&Error{Op: "hold", Name: a.name, Err: ErrLost, Cause: event.Err, Message: event.Message})
		return
	case EventWanted:
		select {
		case a.wanted <- struct{}{}:
		default:
		}
	}
	a.tell(event)
}

// tell calls the user's function, as long as the lock has not been unlocked.
func (a *acquisition) tell(event Event) {
	if a.onEvent == nil {
		return
	}
	a.events.run(func() {
		a.mu.Lock()
		over := a.ended
		a.mu.Unlock()
		if !over {
			a.onEvent(event)
		}
	})
}

// lose tells everybody, once.
func (a *acquisition) lose(why *Error) {
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
	for _, cancel := range cancels {
		cancel(why)
	}
	a.tell(Event{Kind: EventLost, Err: why.Cause, Message: why.Message})
}

// reason of the loss; nil: it has not been lost.
func (a *acquisition) reason() *Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.why
}

// context is a child of parent that ends with the lock.
func (a *acquisition) context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := withCancelCause(parent)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		cancel(nil)
		return ctx, func() {}
	}
	if a.why != nil {
		cancel(a.why)
		return ctx, func() {}
	}
	a.last++
	key := a.last
	if a.cancels == nil {
		a.cancels = make(map[uint64]func(cause error))
	}
	a.cancels[key] = cancel
	return ctx, func() {
		a.mu.Lock()
		delete(a.cancels, key)
		a.mu.Unlock()
		cancel(nil)
	}
}
