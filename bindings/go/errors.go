// SPDX-License-Identifier: MIT

package pawl

// #include <pawl/types.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code is an error of pawl's. Compare with errors.Is(err, pawl.ErrBusy).
type Code int

// The errors that programs tell apart; every other one is a Code, too.
const (
	ErrBusy        = Code(C.PAWL_ERR_BUSY)        // somebody else holds the lock
	ErrTimeout     = Code(C.PAWL_ERR_TIMEOUT)     // the lock stayed busy for the whole wait
	ErrLost        = Code(C.PAWL_ERR_LOST)        // the lock was lost before it was released
	ErrNotHeld     = Code(C.PAWL_ERR_NOT_HELD)    // nothing to unlock
	ErrUnknown     = Code(C.PAWL_ERR_UNKNOWN)     // the store did not answer: done or not
	ErrUnavailable = Code(C.PAWL_ERR_UNAVAILABLE) // the store cannot be reached
	ErrAuth        = Code(C.PAWL_ERR_AUTH)        // the store refused the user or password
	ErrPermission  = Code(C.PAWL_ERR_PERMISSION)  // the store denies what pawl needs
	ErrTLS         = Code(C.PAWL_ERR_TLS)         // a certificate was refused, or one side has no TLS
	ErrURL         = Code(C.PAWL_ERR_URL)         // the store's URL is malformed
	ErrScheme      = Code(C.PAWL_ERR_SCHEME)      // no store has this URL scheme, or adapter
	ErrOption      = Code(C.PAWL_ERR_OPTION)      // an option or a configuration is malformed
	ErrName        = Code(C.PAWL_ERR_NAME)        // a name has 1 to 512 bytes and no NUL
	ErrTTL         = Code(C.PAWL_ERR_TTL)         // a ttl lies between 10 ms and 24 h
	ErrArgument    = Code(C.PAWL_ERR_ARGUMENT)    // an argument is wrong, such as a malformed token
	ErrOwner       = Code(C.PAWL_ERR_OWNER)       // a label has at most 255 bytes, no control characters
	ErrKind        = Code(C.PAWL_ERR_KIND)        // the name is in use as another kind of lock
	ErrCapacity    = Code(C.PAWL_ERR_CAPACITY)    // the semaphore is in use with another capacity
	ErrState       = Code(C.PAWL_ERR_STATE)       // it is not in a state that allows this call
	ErrUnits       = Code(C.PAWL_ERR_UNITS)       // 1 to 1024 permits, a request takes 1 to all
	ErrMode        = Code(C.PAWL_ERR_MODE)        // held in a mode that cannot change to that one
	ErrReentry     = Code(C.PAWL_ERR_REENTRY)     // acquired 10000 times: a release is missing
	ErrDone        = Code(C.PAWL_ERR_DONE)        // it has been done in this period already
	ErrNames       = Code(C.PAWL_ERR_NAMES)       // a handle has 1 to 64 names, each of them once
	ErrValue       = Code(C.PAWL_ERR_VALUE)       // a leader's value has at most 4096 bytes
	ErrBroken      = Code(C.PAWL_ERR_BROKEN)      // the latch or barrier is broken
	ErrCount       = Code(C.PAWL_ERR_COUNT)       // it is in use with another count
	ErrParties     = Code(C.PAWL_ERR_PARTIES)     // a barrier has 1 to 1000 parties, a latch counts from 1 to 1000000
	ErrUnsupported = Code(C.PAWL_ERR_UNSUPPORTED) // this store or version cannot do that
	ErrSystem      = Code(C.PAWL_ERR_SYSTEM)      // the operating system refused
	ErrClosed      = Code(C.PAWL_ERR_CLOSED)      // the client was closed
)

// Error is the code's text.
func (c Code) Error() string { return C.GoString(C.pawl_err_text(C.int(c))) }

// Name is the code's name in C, "PAWL_ERR_BUSY".
func (c Code) Name() string { return C.GoString(C.pawl_err_name(C.int(c))) }

// Error says which operation failed on which lock, and why.
type Error struct {
	Op      string // "lock", "unlock", "open" ...
	Name    string // of the lock; "" if none is concerned
	Err     error  // a Code, or the error of the caller's context
	Cause   error  // what lies behind Err: why a lock was lost, the deadline that ended a wait; or nil
	Message string // what the store or the configuration said; may be ""

	started bool // the store may have been asked
}

// Error is one line.
func (e *Error) Error() string {
	text := "pawl: " + e.Op
	if e.Name != "" {
		text += fmt.Sprintf(" %q", e.Name)
	}
	if e.Message != "" {
		if e.Err == ErrLost && !strings.Contains(e.Message, "lost") { // it says by what only
			text += ": lost"
		}
		return text + ": " + e.Message
	}
	text += ": " + e.Err.Error()
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap lets errors.Is find the code or the context's error.
func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is find the cause.
func (e *Error) Is(target error) bool { return e.Cause != nil && errors.Is(e.Cause, target) }

// Timeout makes an Error that stems from a deadline a net.Error-like timeout.
func (e *Error) Timeout() bool {
	return errors.Is(e, context.DeadlineExceeded) || errors.Is(e, ErrTimeout)
}

// both is an error that is each of two.
type both struct{ first, second error }

func (b *both) Error() string { return b.first.Error() + "; " + b.second.Error() }

func (b *both) Is(target error) bool {
	return errors.Is(b.first, target) || errors.Is(b.second, target)
}

func (b *both) As(target interface{}) bool {
	return errors.As(b.first, target) || errors.As(b.second, target)
}

func join(first, second error) error {
	if first == nil {
		return second
	}
	if second == nil {
		return first
	}
	return &both{first, second}
}
