// SPDX-License-Identifier: MIT

package pawl

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"time"
)

// JobOptions of a Job.
type JobOptions struct {
	// Every is the length of a period, 100 ms to 366 days. It must be given.
	Every time.Duration
	// KeepOnFailure lets a run that failed count as well.
	KeepOnFailure bool
	// Lock are the options of the lock that is held meanwhile: exclusive, neither Retained nor Reentrant.
	Lock LockOptions
}

// Outcome is how a run went.
type Outcome int

// How the latest run that has ended went.
const (
	OutcomeNever      = Outcome(C.PAWL_ONCE_NEVER) // nothing is known: it never ran, or too long ago
	OutcomeSucceeded  = Outcome(C.PAWL_ONCE_SUCCEEDED)
	OutcomeFailed     = Outcome(C.PAWL_ONCE_FAILED)      // it gave its period back
	OutcomeFailedKept = Outcome(C.PAWL_ONCE_FAILED_KEPT) // it counts: KeepOnFailure
)

// String is one word or two.
func (o Outcome) String() string {
	words := []string{"never", "succeeded", "failed", "failed, kept"}
	if o < 0 || int(o) >= len(words) {
		return "unknown"
	}
	return words[o]
}

// JobInfo is the latest run of a job that has ended. Times are the store's.
type JobInfo struct {
	Outcome Outcome
	Due     bool      // no run of this period counts: one may run
	Began   time.Time // zero if OutcomeNever, as the next one
	Ended   time.Time
	Now     time.Time
	Next    time.Time // when the next period begins
	Fence   uint64    // of its lease
	Owner   string    // its label; others have chosen it
}

// Job succeeds at most once in each period, among all who name it: periods are counted by the store's
// clock, so one of 24 h begins at midnight UTC. Goroutines may share it. See docs/composed.md.
type Job struct {
	client *Client
	name   string
	opts   JobOptions
}

// NewJob makes a job. No I/O; errors come with the first call: ErrArgument (Every, or a lock that is
// none of those). Let nothing else use that name.
func (c *Client) NewJob(name string, opts JobOptions) *Job {
	return &Job{client: c, name: name, opts: opts}
}

// Name is the job's.
func (j *Job) Name() string { return j.name }

func (j *Job) lock() *Lock {
	lock := j.client.NewLock(j.name, &j.opts.Lock)
	lock.job = &j.opts
	return lock
}

// Do runs fn unless a run of this period counts, and tells whether it ran. While somebody else runs it
// Do waits, as long as ctx allows. fn's context is cancelled when the lock is lost; it has the
// Lock of the run (its fence, whether it is held). If fn returns an error, or panics, the run has
// failed, and gives its period back. The result is fn's error, and with it ErrLost (the lock was
// lost meanwhile: the run does not count, another one may have run) or ErrUnknown (the store did
// not answer until the lease was over). Other errors as Lock.Lock: fn has not run.
func (j *Job) Do(ctx context.Context, fn func(ctx context.Context, run *Lock) error) (ran bool, err error) {
	return j.do(ctx, false, fn)
}

// TryDo is Do, or ErrBusy at once if somebody runs it now.
func (j *Job) TryDo(ctx context.Context, fn func(ctx context.Context, run *Lock) error) (ran bool, err error) {
	return j.do(ctx, true, fn)
}

func (j *Job) do(ctx context.Context, try bool, fn func(ctx context.Context, run *Lock) error) (
	ran bool, err error) {
	lock := j.lock()
	a, failed := j.client.acquire(ctx, lock, try)
	if failed != nil {
		if failed.Err == ErrDone {
			return false, nil
		}
		return false, failed
	}
	lock.held, lock.depth = a, 1
	succeeded := false
	defer func() { err = join(err, j.end(lock, succeeded)) }()
	inner, cancel := a.context(ctx)
	defer cancel()
	err = fn(inner, lock)
	succeeded = err == nil
	return true, err
}

// end says how it went, and gives the lock back.
func (j *Job) end(lock *Lock, succeeded bool) error {
	a, err := lock.take("once")
	if err != nil {
		return err // fn has unlocked it
	}
	success := C.int(0)
	if succeeded {
		success = 1
	}
	code := Code(C.pawlgo_once_end_start(a.once, success, C.uintptr_t(a.id)))
	if code == 0 {
		code = <-a.decided // with the lease at the latest
	}
	why := a.reason()
	a.end(j.client)
	switch {
	case code != 0 && why != nil:
		return &Error{Op: "once", Name: j.name, Err: ErrLost, Cause: why.Cause, Message: why.Message}
	case code != 0:
		return j.client.fail("once", j.name, code)
	}
	return nil
}

// Look asks the store how the latest run went, without the lock.
func (j *Job) Look(ctx context.Context) (JobInfo, error) {
	a := newAcquisition(j.lock())
	info := new(C.pawl_once_info)
	err := j.client.ask(ctx, "look", j.name, func(wait C.int64_t) C.int {
		if code := a.make(j.client, j.lock(), &C.pawlgo_lock_opts{}); code != 0 {
			return C.int(code)
		}
		defer a.free()
		code := C.pawl_once_look(a.once, wait)
		C.pawlgo_once_last(a.once, info)
		return code
	})
	if err != nil {
		return JobInfo{}, err
	}
	return JobInfo{
		Outcome: Outcome(info.outcome),
		Due:     bool(info.due),
		Began:   timeOf(info.began_us),
		Ended:   timeOf(info.ended_us),
		Now:     time.UnixMicro(int64(info.now_us)),
		Next:    time.UnixMicro(int64(info.next_us)),
		Fence:   uint64(info.fence),
		Owner:   C.GoString(&info.owner[0]),
	}, nil
}

func timeOf(us C.int64_t) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}
