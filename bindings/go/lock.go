// SPDX-License-Identifier: MIT

package pawl

// #include "bridge.h"
import "C"

import (
	"context"
	"sync"
	"time"
)

// LockOptions of a lock. The zero value, or nil, means the defaults.
type LockOptions struct {
	// TTL is the length of the lease, renewed at a third of it until Unlock.
	// 10 ms to 24 h; default 30 s.
	TTL time.Duration
	// Owner is a label of this lock that people see; default that of the client.
	Owner string
	// Retain keeps the lease this long after Unlock for the next acquisition by this client,
	// until another client waits for it; one that does not wait (TryLock) hears ErrBusy
	// meanwhile. Default 0. A program that ends without Close leaves it to run out.
	Retain time.Duration
	// Detached leaves the lease at the store when the client is closed: to whoever has its
	// Token. See Detach.
	Detached bool
	// Mode is what is acquired. Default ModeExclusive. For permits see NewSemaphore.
	Mode Mode
	// Reentrant lets whoever has the Lock lock it again while it is held, at once; the last Unlock gives
	// it back. The Lock counts, not the goroutine: those that share such a Lock do not exclude each
	// other. ErrReentry: 10000 times.
	Reentrant bool
	// OnEvent is told of doubt, of loss, and of others who wait: in order, on a goroutine of the
	// lock's own, until Unlock. It may call anything.
	OnEvent func(Event)
}

// EventKind is what happened to a lock that is held.
type EventKind int

// What may happen.
const (
	EventDoubt  = EventKind(C.PAWL_EVENT_DOUBT) // a renewal is overdue: still held, until Remaining is over
	EventHeld   = EventKind(C.PAWL_EVENT_HELD)  // a renewal was confirmed after doubt
	EventLost   = EventKind(C.PAWL_EVENT_LOST)  // lost; comes once
	EventWanted = EventKind(C.PAWL_EVENT_YIELD) // somebody else waits for it: unlock soon if you can
)

// String is one word.
func (k EventKind) String() string {
	switch k {
	case EventDoubt:
		return "doubt"
	case EventHeld:
		return "held"
	case EventLost:
		return "lost"
	case EventWanted:
		return "wanted"
	}
	return "unknown"
}

// Event is what happened, and why.
type Event struct {
	Kind      EventKind
	Err       error         // of doubt and loss: why; else nil
	Remaining time.Duration // until the local deadline; 0 when lost
	Message   string        // one line for people; may be ""
}

// Lock is a lock on one name. Like a sync.Mutex it may be shared by goroutines,
// which then exclude each other, whatever its mode; unlike one it reaches as far as the store does.
// Two Locks of one name exclude each other, too, unless their modes allow both. Nothing need be freed.
type Lock struct {
	client *Client
	name   string
	opts   LockOptions
	names  []string    // of a Lock on several; else nil
	job    *JobOptions // of a Job; else nil
	// Of a semaphore, else 0.
	capacity, units int
	turn            chan struct{} // one place: who has it may acquire, and holds it until Unlock, if not Reentrant

	mu    sync.Mutex
	held  *acquisition
	depth int // how often it is locked
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
//
// An error at the context's deadline is context.DeadlineExceeded, and beside it ErrTimeout if the
// lock stayed busy, or the reason, such as ErrUnavailable, if the store did not answer.
func (l *Lock) Lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return l.whyNoTurn(ctx)
	case <-l.client.closing:
		return l.client.fail("lock", l.name, ErrClosed)
	}
	return l.acquire(ctx, false)
}

// whyNoTurn: another goroutine had this Lock the whole time, so it stayed busy.
func (l *Lock) whyNoTurn(ctx context.Context) error {
	if ctx.Err() != context.DeadlineExceeded {
		return l.client.fail("lock", l.name, ctx.Err())
	}
	return &Error{Op: "lock", Name: l.name, Err: ErrTimeout, Cause: ctx.Err()}
}

// TryLock acquires if nobody holds or awaits the lock, else returns ErrBusy at once.
func (l *Lock) TryLock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	default:
		return l.client.fail("lock", l.name, ErrBusy)
	}
	return l.acquire(ctx, true)
}

// acquire is called by the goroutine that has the turn, and gives it back on failure.
func (l *Lock) acquire(ctx context.Context, try bool) error {
	if l.opts.Reentrant {
		defer l.giveTurn()
		if entered, err := l.enter(ctx); entered {
			return err
		}
	}
	a, err := l.client.acquire(ctx, l, try)
	if err != nil {
		if !l.opts.Reentrant {
			l.giveTurn()
		}
		return err
	}
	l.mu.Lock()
	l.held, l.depth = a, 1
	l.mu.Unlock()
	return nil
}

func (l *Lock) giveTurn() { <-l.turn }

// enter locks once more what is locked, and tells whether it was.
func (l *Lock) enter(ctx context.Context) (bool, error) {
	l.mu.Lock()
	a, code := l.held, Code(0)
	switch {
	case a == nil || ctx.Err() != nil: // an acquisition says so
		l.mu.Unlock()
		return false, nil
	case !bool(C.pawl_lock_is_held(a.ptr)):
		code = ErrLost
	case l.depth == C.PAWL_REENTRY_MAX:
		code = ErrReentry
	default:
		l.depth++
	}
	l.mu.Unlock()
	return true, l.inner("lock", a, code)
}

// leave unlocks what is locked more than once, and tells whether it was.
func (l *Lock) leave() (bool, error) {
	l.mu.Lock()
	a, code := l.held, Code(0)
	if a == nil || l.depth == 1 {
		l.mu.Unlock()
		return false, nil
	}
	l.depth--
	if !bool(C.pawl_lock_is_held(a.ptr)) {
		code = ErrLost
	}
	l.mu.Unlock()
	return true, l.inner("unlock", a, code)
}

// inner is the error of a Lock or Unlock that did not reach the store; nil for 0.
func (l *Lock) inner(op string, a *acquisition, code Code) error {
	if code == 0 {
		return nil
	}
	if why := a.reason(); why != nil && code == ErrLost {
		return &Error{Op: op, Name: l.name, Err: ErrLost, Cause: why.Cause, Message: why.Message}
	}
	return l.client.fail(op, l.name, code)
}

func (l *Lock) current() *acquisition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// take ends the present acquisition for everybody else.
func (l *Lock) take(op string) (*acquisition, *Error) {
	l.mu.Lock()
	a, code := l.held, ErrNotHeld
	if a != nil && l.depth > 1 {
		a, code = nil, ErrState // of others, who came in since
	}
	if a != nil {
		l.held = nil
	}
	l.mu.Unlock()
	if a == nil {
		return nil, l.client.fail(op, l.name, code)
	}
	a.close() // before anybody else can have the lock
	return a, nil
}

// give frees what take took, and lets the next goroutine have its turn.
func (l *Lock) give(a *acquisition, op string, code Code) error {
	why := a.reason()
	a.end(l.client)
	if !l.opts.Reentrant {
		l.giveTurn()
	}
	if why != nil {
		return &Error{Op: op, Name: l.name, Err: ErrLost, Cause: why.Cause, Message: why.Message}
	}
	if code != 0 {
		return l.client.fail(op, l.name, code)
	}
	return nil
}

// Unlock releases. It returns when the request has left, so a program may end right after it; whether
// the store has confirmed, UnlockWait tells. nil: the lock was held until now, by the local deadline.
// ErrLost: it had been lost before: what was done under it may not have been exclusive. ErrNotHeld: it
// was not acquired. Any goroutine may unlock.
//
// Where another thread sends the request, and at a client's first Unlock, it waits for the store as
// UnlockWait does.
func (l *Lock) Unlock() error { return l.unlock((*acquisition).release) }

// UnlockWait releases, and returns when the store has confirmed. Errors as Unlock; ErrLost also if it had
// been lost in the store's eyes alone; ErrUnknown: it was held until now, and the store has not confirmed
// within ReleaseTimeout; pawl goes on trying while the program runs, else others wait until the lease
// ends.
func (l *Lock) UnlockWait() error { return l.unlock((*acquisition).releaseWait) }

func (l *Lock) unlock(release func(*acquisition, *Client) Code) error {
	for {
		if left, err := l.leave(); left {
			return err
		}
		a, err := l.take("unlock")
		if err == nil {
			return l.give(a, "unlock", release(a, l.client))
		}
		if err.Err != ErrState { // else somebody has come in since
			return err
		}
	}
}

// UnlockInto unlocks, and adds what Unlock returns to *err: for defer, where an error is easily
// dropped.
//
//	func work(ctx context.Context, lock *pawl.Lock) (err error) {
//		if err = lock.Lock(ctx); err != nil {
//			return err
//		}
//		defer lock.UnlockInto(&err)
func (l *Lock) UnlockInto(err *error) { *err = join(*err, l.Unlock()) }

// Detach stops renewing and forgets the lock without releasing it, and returns the token that
// carries the lease on (RenewToken, ReleaseToken), also in another process. The token is a secret:
// who knows it can release the lock. Meant for locks that are Detached. Errors as Unlock, and ErrState
// (it is locked more than once: Reentrant).
func (l *Lock) Detach() (token string, err error) {
	a, failed := l.take("detach")
	if failed != nil {
		return "", failed
	}
	if err := l.give(a, "detach", Code(C.pawl_lock_detach(a.ptr))); err != nil {
		return "", err
	}
	return a.token, nil
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return 0
	}
	return l.held.fence
}

// Token is the owner's proof at the store, a secret: who knows it can release the lock. "" if it
// is not held.
func (l *Lock) Token() string {
	if a := l.current(); a != nil {
		return a.token
	}
	return ""
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

// Err says why the present acquisition was lost, an ErrLost with its cause; nil while it is held.
func (l *Lock) Err() error {
	a := l.current()
	if a == nil {
		return l.client.fail("hold", l.name, ErrNotHeld)
	}
	if why := a.reason(); why != nil {
		return why
	}
	return nil
}

// Context returns a child of parent that is cancelled when the lock is lost or
// unlocked; context.Cause, and Err, say why it was lost. Call the function when it is not needed
// any more.
func (l *Lock) Context(parent context.Context) (context.Context, context.CancelFunc) {
	if a := l.current(); a != nil {
		return a.context(parent)
	}
	ctx, cancel := withCancelCause(parent)
	cancel(l.client.fail("hold", l.name, ErrNotHeld))
	return ctx, func() {}
}

// Do runs fn under the lock, with a context that is cancelled on loss, and
// unlocks, also after a panic. It returns fn's error, and with it Unlock's: if the lock was lost
// meanwhile the result is ErrLost, whatever fn made of it.
func (l *Lock) Do(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	if err := l.Lock(ctx); err != nil {
		return err
	}
	inner, cancel := l.Context(ctx)
	defer l.UnlockInto(&err)
	defer cancel()
	return fn(inner)
}
