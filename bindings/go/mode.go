// SPDX-License-Identifier: MIT

package pawl

// #include "bridge.h"
import "C"

import "context"

// Mode says what may be held beside what, on one name. Exclusive: nothing. Shared: others who
// share, and one in update mode. Update: those who share. Permits: permits of the same semaphore,
// as long as they fit its capacity.
type Mode int

// The modes. Memory and Redis grant all of them; Caps tells for the store in use.
const (
	ModeExclusive = Mode(C.PAWL_MODE_EXCLUSIVE) // alone: who writes
	ModeShared    = Mode(C.PAWL_MODE_SHARED)    // beside others: who reads
	ModeUpdate    = Mode(C.PAWL_MODE_UPDATE)    // one beside readers: reads now and may write later
	ModePermit    = Mode(C.PAWL_MODE_PERMIT)    // some of the permits of a Semaphore
)

// String is one word.
func (m Mode) String() string {
	words := []string{"exclusive", "shared", "update", "permit"}
	if m < 0 || int(m) >= len(words) {
		return "unknown"
	}
	return words[m]
}

// Mode is that in which it is held; while it is not held, the one in which it will be acquired.
func (l *Lock) Mode() Mode {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return l.opts.Mode
	}
	return Mode(C.pawl_lock_mode(l.held.ptr))
}

// Slots are the numbers of the permits that it holds, the lowest first: each is one of 0 to
// capacity-1, and nobody else has it. nil if it holds no permits. Do not change them.
func (l *Lock) Slots() []int {
	if a := l.current(); a != nil {
		return a.slots
	}
	return nil
}

// slotsOf asks libpawl, as long as nobody else has the acquisition.
func slotsOf(a *acquisition, units int) []int {
	if units == 0 {
		return nil
	}
	numbers := make([]C.uint16_t, units)
	count := int(C.pawl_lock_slots(a.ptr, &numbers[0], C.size_t(units)))
	if count > units {
		count = units
	}
	slots := make([]int, count)
	for i := range slots {
		slots[i] = int(numbers[i])
	}
	return slots
}

// Upgrade goes from ModeUpdate to ModeExclusive: it waits, ahead of all who queue, until the readers
// have gone, or the context ends. Then Fence is a new, larger one. nil as well if it was exclusive
// before. After any error but ErrLost and ErrNotHeld it is held in ModeUpdate as before: ErrMode (it
// is shared, or permits: lock in ModeUpdate to write later), ErrState (another goroutine upgrades
// it), the context's error as in Lock, ErrUnavailable ... ErrNotHeld: it is not held, or was
// unlocked meanwhile.
func (l *Lock) Upgrade(ctx context.Context) error { return l.upgrade(ctx, false) }

// TryUpgrade is Upgrade if nobody reads, else it returns ErrBusy at once.
func (l *Lock) TryUpgrade(ctx context.Context) error { return l.upgrade(ctx, true) }

func (l *Lock) upgrade(ctx context.Context, try bool) error {
	if err := ctx.Err(); err != nil {
		return l.client.fail("upgrade", l.name, err)
	}
	a, code := l.startUpgrade(waitOf(ctx, try))
	if code == 0 {
		code = outcome(ctx, a.upgraded, a.gone, func() { l.cancelUpgrade(a) })
		l.mu.Lock()
		a.upgrading = false
		l.mu.Unlock()
	}
	if code == errCanceled && endOf(ctx) == nil {
		code = ErrNotHeld // whoever unlocked it has ended this
	}
	if code != 0 {
		return l.client.whyNot("upgrade", ctx, l.name, code)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != a {
		return l.client.fail("upgrade", l.name, ErrNotHeld)
	}
	a.fence = uint64(C.pawl_lock_fence(a.ptr))
	return nil
}

func (l *Lock) startUpgrade(wait int64) (*acquisition, Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.held
	if a == nil {
		return nil, ErrNotHeld
	}
	if a.upgrading { // its outcome is not to be taken for ours
		return nil, ErrState
	}
	code := Code(C.pawlgo_upgrade_start(a.ptr, C.int64_t(wait), C.uintptr_t(a.id)))
	a.upgrading = code == 0
	return a, code
}

// cancelUpgrade leaves alone what was unlocked meanwhile: that has ended the upgrade.
func (l *Lock) cancelUpgrade(a *acquisition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == a {
		C.pawl_lock_cancel(a.ptr)
	}
}

// Downgrade goes from ModeExclusive to ModeUpdate or ModeShared, or from ModeUpdate to ModeShared: at
// once; the store is told in the background, and lets in whoever fits now. Fence stays. ErrMode: any
// other change. ErrLost, ErrNotHeld, ErrClosed as Unlock.
func (l *Lock) Downgrade(mode Mode) error {
	code := ErrNotHeld
	l.mu.Lock()
	if l.held != nil {
		code = Code(C.pawl_lock_downgrade(l.held.ptr, C.pawl_mode(mode)))
	}
	l.mu.Unlock()
	if code != 0 {
		return l.client.fail("downgrade", l.name, code)
	}
	return nil
}

// RWLock is a name that many may read at once, or one may write: like a sync.RWMutex, but it
// reaches as far as the store does. Goroutines may share it: each acquisition is a Lock of its
// own, which tells of its own loss and is given back by its Unlock. Who waits gets its turn in order
// of arrival, so a writer that waits stops later readers. Readers of one client share a lease:
// the second comes in without asking the store, unless somebody else has waited for long enough.
//
//	held, err := prices.RLock(ctx)
//	if err != nil {
//		return err
//	}
//	defer held.UnlockInto(&err)
type RWLock struct {
	client *Client
	name   string
	opts   LockOptions
}

// NewRWLock makes a lock on one name, for readers and writers. No I/O; errors come with the first
// acquisition. opts.Mode is of no account.
func (c *Client) NewRWLock(name string, opts *LockOptions) *RWLock {
	rw := &RWLock{client: c, name: name}
	if opts != nil {
		rw.opts = *opts
	}
	return rw
}

// Name is what is locked.
func (rw *RWLock) Name() string { return rw.name }

// in is a Lock that has not been acquired.
func (rw *RWLock) in(mode Mode) *Lock {
	lock := rw.client.NewLock(rw.name, &rw.opts)
	lock.opts.Mode = mode
	return lock
}

// RLock acquires to read; errors as Lock.Lock, and ErrKind (the name is a semaphore), ErrUnsupported
// (the store grants no such mode).
func (rw *RWLock) RLock(ctx context.Context) (*Lock, error) { return locked(ctx, rw.in(ModeShared)) }

// ULock acquires to read, beside readers, with the right to write later: see Lock.Upgrade.
func (rw *RWLock) ULock(ctx context.Context) (*Lock, error) { return locked(ctx, rw.in(ModeUpdate)) }

// Lock acquires to write.
func (rw *RWLock) Lock(ctx context.Context) (*Lock, error) { return locked(ctx, rw.in(ModeExclusive)) }

// TryRLock is RLock, or ErrBusy at once.
func (rw *RWLock) TryRLock(ctx context.Context) (*Lock, error) {
	return tried(ctx, rw.in(ModeShared))
}

// TryULock is ULock, or ErrBusy at once.
func (rw *RWLock) TryULock(ctx context.Context) (*Lock, error) {
	return tried(ctx, rw.in(ModeUpdate))
}

// TryLock is Lock, or ErrBusy at once.
func (rw *RWLock) TryLock(ctx context.Context) (*Lock, error) {
	return tried(ctx, rw.in(ModeExclusive))
}

// RDo runs fn while it reads; as Lock.Do.
func (rw *RWLock) RDo(ctx context.Context, fn func(ctx context.Context) error) error {
	return rw.in(ModeShared).Do(ctx, fn)
}

// Do runs fn while it writes; as Lock.Do.
func (rw *RWLock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return rw.in(ModeExclusive).Do(ctx, fn)
}

func locked(ctx context.Context, lock *Lock) (*Lock, error) {
	if err := lock.Lock(ctx); err != nil {
		return nil, err
	}
	return lock, nil
}

func tried(ctx context.Context, lock *Lock) (*Lock, error) {
	if err := lock.TryLock(ctx); err != nil {
		return nil, err
	}
	return lock, nil
}

// Semaphore is a name with permits: as many as its capacity are out at once, wherever their holders
// run. Goroutines may share it: each acquisition is a Lock of its own, and its Unlock gives the
// permits back. All users of the name give the same capacity.
type Semaphore struct {
	client   *Client
	name     string
	capacity int
	opts     LockOptions
}

// NewSemaphore makes a lock on permits of a name. No I/O; errors come with the first
// acquisition. opts.Mode is of no account.
func (c *Client) NewSemaphore(name string, capacity int, opts *LockOptions) *Semaphore {
	s := &Semaphore{client: c, name: name, capacity: capacity}
	if opts != nil {
		s.opts = *opts
	}
	return s
}

// Name is whose permits they are.
func (s *Semaphore) Name() string { return s.name }

// Capacity is how many permits there are.
func (s *Semaphore) Capacity() int { return s.capacity }

// permits are a Lock that has not been acquired.
func (s *Semaphore) permits(units int) *Lock {
	lock := s.client.NewLock(s.name, &s.opts)
	lock.opts.Mode, lock.capacity, lock.units = ModePermit, s.capacity, units
	return lock
}

// Acquire takes so many permits at once; their numbers are the Slots of what it returns. Errors as
// Lock.Lock, and ErrUnits (a capacity beyond 1 to 1024, or units beyond 1 to the capacity),
// ErrCapacity (the name is in use with another), ErrKind (it is no semaphore), ErrUnsupported.
func (s *Semaphore) Acquire(ctx context.Context, units int) (*Lock, error) {
	return locked(ctx, s.permits(units))
}

// TryAcquire is Acquire, or ErrBusy at once.
func (s *Semaphore) TryAcquire(ctx context.Context, units int) (*Lock, error) {
	return tried(ctx, s.permits(units))
}

// Do runs fn with so many permits, and tells it their numbers; as Lock.Do.
func (s *Semaphore) Do(ctx context.Context, units int,
	fn func(ctx context.Context, slots []int) error) error {
	lock := s.permits(units)
	return lock.Do(ctx, func(ctx context.Context) error { return fn(ctx, lock.Slots()) })
}
