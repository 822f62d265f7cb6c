// SPDX-License-Identifier: MIT

package pawl

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"strings"
	"time"
	"unsafe"
)

// Info is a lock as its store sees it. Names and labels are bytes that others have chosen: print
// them with %q, and let html/template or encoding/json write them into a page.
type Info struct {
	Name      string
	Held      bool
	Foreign   bool          // held by a client that is not pawl
	Owner     string        // the holder's label
	Remaining time.Duration // until the lease expires; negative: never
	Fence     uint64        // of the present or the last holder
	Waiters   int           // all that wait
	Queue     []Waiter      // in order of arrival; at most 1000 of them

	// Several may hold a name together. What stands above is of the one whose fence is the largest,
	// but Remaining is the longest of all.
	Mode     Mode     // of that holder; ModeExclusive if there is none
	Capacity int      // of the semaphore; 0: it is none
	Holders  int      // all that hold it
	HeldBy   []Holder // in order of their fences; at most 1000 of them

	Broken *Broken // who broke it last, for at least a minute; nil: nobody
}

// Holder is one that holds a lock. See Info about its label.
type Holder struct {
	Owner     string        // its label
	Remaining time.Duration // until its lease expires; negative: never
	Fence     uint64
	Mode      Mode
	Units     int // the permits that it has
}

// Broken tells who took a lock from its holder. See Info about the label.
type Broken struct {
	By    string        // the label of who did
	Ago   time.Duration // how long ago
	Fence uint64        // of the lease that was broken
}

// Waiter is one that waits for a lock. See Info about its label.
type Waiter struct {
	Owner  string        // its label
	Waited time.Duration // how long it has waited
	Place  time.Duration // its place expires after this unless it is refreshed
	Mode   Mode          // what it waits for
	Units  int           // the permits that it waits for
}

// FenceKind is what a store promises of its fences.
type FenceKind int

// From the least to the most.
const (
	FenceNone       = FenceKind(C.PAWL_FENCE_NONE)
	FenceBestEffort = FenceKind(C.PAWL_FENCE_BEST_EFFORT) // grows unless the store loses memory and its clock goes back
	FenceDurable    = FenceKind(C.PAWL_FENCE_DURABLE)     // grows, whatever crashes
)

// Caps is what a store can promise.
type Caps struct {
	Fence          FenceKind
	Fair           bool // waiters are served in order of arrival
	Push           bool // the store tells a waiter of its turn; it need not poll
	List           bool // List works
	InstantRelease bool // the death of a holder's process frees its locks at once
	modes          uint
}

// Grants tells whether the store grants a mode.
func (c Caps) Grants(mode Mode) bool { return mode >= 0 && c.modes&(1<<uint(mode)) != 0 }

// Severity of a log line, or of a doctor's finding.
type Severity int

// From what is as it should be to what must be changed.
const (
	SeverityOK      = Severity(C.PAWL_SEVERITY_OK)
	SeverityNote    = Severity(C.PAWL_SEVERITY_NOTE)
	SeverityWarning = Severity(C.PAWL_SEVERITY_WARNING)
	SeverityError   = Severity(C.PAWL_SEVERITY_ERROR)
)

// String is one word.
func (s Severity) String() string {
	words := []string{"ok", "note", "warning", "error"}
	if s < 0 || int(s) >= len(words) {
		return "unknown"
	}
	return words[s]
}

// Finding is one thing that Doctor found.
type Finding struct {
	Severity Severity
	Topic    string // one word
	Text     string // what was found
	Advice   string // what to do; "" if nothing
}

const (
	// askMax bounds a question without a deadline; the store's own patience is shorter.
	askMax = time.Minute
	// askGrace lets the context's own timer be the first: both would end at its deadline.
	askGrace = time.Second
)

// Inspect reports one lock, also a free one. It ends when the context does. An error means that
// the lock's state is unknown, not that it is free.
func (c *Client) Inspect(ctx context.Context, name string) (Info, error) {
	var infos []Info
	err := c.ask(ctx, "inspect", name, func(wait C.int64_t) C.int {
		cName := C.CString(name)
		defer C.free(unsafe.Pointer(cName))
		id := register(&infos)
		defer unregister(id)
		return C.pawlgo_inspect(c.ptr, cName, C.size_t(len(name)), wait, C.uintptr_t(id))
	})
	if err != nil {
		return Info{}, err
	}
	if len(infos) != 1 {
		return Info{}, &Error{Op: "inspect", Name: name, Err: ErrUnknown}
	}
	return infos[0], nil
}

// List reports every lock that is held or waited for and whose name begins with prefix ("": all).
// It is no snapshot.
func (c *Client) List(ctx context.Context, prefix string) ([]Info, error) {
	var infos []Info
	err := c.ask(ctx, "list", prefix, func(wait C.int64_t) C.int {
		cPrefix := C.CString(prefix)
		defer C.free(unsafe.Pointer(cPrefix))
		id := register(&infos)
		defer unregister(id)
		return C.pawlgo_list(c.ptr, cPrefix, C.size_t(len(prefix)), wait, C.uintptr_t(id))
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// Caps waits until the store answers, and says what it promises.
func (c *Client) Caps(ctx context.Context) (Caps, error) {
	var caps C.pawl_caps
	err := c.ask(ctx, "caps", "", func(wait C.int64_t) C.int {
		return C.pawlgo_caps(c.ptr, wait, &caps)
	})
	if err != nil {
		return Caps{}, err
	}
	return Caps{
		Fence:          FenceKind(caps.fence),
		Fair:           bool(caps.fair),
		Push:           bool(caps.push),
		List:           bool(caps.list),
		InstantRelease: bool(caps.instant_release),
		modes:          uint(caps.modes),
	}, nil
}

// Doctor examines the store for what endangers locks.
func (c *Client) Doctor(ctx context.Context) ([]Finding, error) {
	var findings []Finding
	err := c.ask(ctx, "doctor", "", func(wait C.int64_t) C.int {
		id := register(&findings)
		defer unregister(id)
		return C.pawlgo_doctor(c.ptr, wait, C.uintptr_t(id))
	})
	if err != nil {
		return nil, err
	}
	return findings, nil
}

// Break takes a lock from its holder if its present fence is fence: look first (Inspect), then
// break what you saw. ErrNotHeld: it is free, or has another fence by now. ErrUnknown: the
// context ended first, it may have been done.
func (c *Client) Break(ctx context.Context, name string, fence uint64) error {
	return unknownIfEnded(c.ask(ctx, "break", name, func(wait C.int64_t) C.int {
		cName := C.CString(name)
		defer C.free(unsafe.Pointer(cName))
		return C.pawl_break(c.ptr, cName, C.size_t(len(name)), C.uint64_t(fence), wait)
	}))
}

// RenewToken extends the lease that token holds by ttl from now: for a lease that its acquirer
// left to others by Detach. ErrLost: the token does not hold the lock.
func (c *Client) RenewToken(ctx context.Context, name, token string, ttl time.Duration) (
	fence uint64, err error) {
	var got C.uint64_t
	err = c.askByToken(ctx, "renew", name, token, func(cName, cToken *C.char, wait C.int64_t) C.int {
		return C.pawl_token_renew(c.ptr, cName, C.size_t(len(name)), cToken,
			C.int64_t(milliseconds(ttl)), wait, &got)
	})
	if err != nil {
		return 0, unknownIfEnded(err)
	}
	return uint64(got), nil
}

// ReleaseToken releases the lock if token still holds it. ErrLost: it does not.
func (c *Client) ReleaseToken(ctx context.Context, name, token string) error {
	return unknownIfEnded(c.askByToken(ctx, "release", name, token,
		func(cName, cToken *C.char, wait C.int64_t) C.int {
			return C.pawl_token_release(c.ptr, cName, C.size_t(len(name)), cToken, wait)
		}))
}

// CheckToken tells for how long token holds the lock, without extending it. ErrLost: it does not.
func (c *Client) CheckToken(ctx context.Context, name, token string) (time.Duration, error) {
	var remaining C.int64_t
	err := c.askByToken(ctx, "check", name, token, func(cName, cToken *C.char, wait C.int64_t) C.int {
		return C.pawl_token_check(c.ptr, cName, C.size_t(len(name)), cToken, wait, &remaining)
	})
	if err != nil {
		return 0, err
	}
	return time.Duration(remaining) * time.Millisecond, nil
}

func (c *Client) askByToken(ctx context.Context, op, name, token string,
	call func(cName, cToken *C.char, wait C.int64_t) C.int) error {
	if strings.IndexByte(token, 0) >= 0 {
		return c.fail(op, name, ErrArgument)
	}
	return c.ask(ctx, op, name, func(wait C.int64_t) C.int {
		cName, cToken := C.CString(name), C.CString(token)
		defer C.free(unsafe.Pointer(cName))
		defer C.free(unsafe.Pointer(cToken))
		return call(cName, cToken, wait)
	})
}

// unknownIfEnded is for what changes the store: who stopped waiting does not know whether it was
// done.
func unknownIfEnded(err error) error {
	if e, ok := err.(*Error); ok && e.started && (e.Err == context.Canceled ||
		e.Err == context.DeadlineExceeded || e.Err == ErrClosed) {
		e.Err, e.Cause = ErrUnknown, e.Err
	}
	return err
}

// askWait is how long the store may take to answer.
func askWait(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < askMax-askGrace {
		return time.Until(deadline) + askGrace
	}
	return askMax
}

// ask runs a call that cannot be interrupted. When the context ends first the call goes on
// behind the scenes, so what it writes to must not be read after an error.
func (c *Client) ask(ctx context.Context, op, name string, call func(wait C.int64_t) C.int) error {
	if err := ctx.Err(); err != nil {
		return c.fail(op, name, err)
	}
	wait := askWait(ctx)
	done, err := c.use()
	if err != nil {
		return c.fail(op, name, err)
	}
	answered := make(chan Code, 1)
	go func() {
		defer done()
		answered <- Code(call(C.int64_t(milliseconds(wait))))
	}()
	var why error
	select {
	case <-ctx.Done():
		why = ctx.Err()
	case code := <-answered:
		if code == 0 {
			return nil
		}
		why = c.whyNoAnswer(ctx, code)
	}
	e := c.fail(op, name, why)
	e.started = true
	return e
}

// whyNoAnswer: a question without an answer that ended with its context, or with the client,
// failed of nothing else.
func (c *Client) whyNoAnswer(ctx context.Context, code Code) error {
	switch code {
	case ErrUnavailable, ErrUnknown, ErrTimeout, ErrClosed:
	default:
		return code // the store's own answer
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-c.closing:
		return ErrClosed
	default:
		return code
	}
}
