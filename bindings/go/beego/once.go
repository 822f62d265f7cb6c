// SPDX-License-Identifier: MIT

package beego

import (
	gocontext "context"
	"errors"
	"time"

	"pawl.example/pawl"
)

// Once makes a task that runs on one node only: whichever node has the lock runs fn, the
// others return nil at once (or after Wait). fn's context is cancelled when the lock is lost.
// The result is a task.TaskFunc for Beego's task.NewTask.
//
// MinHold lasts as long as this process and its client do: a node that ends
// earlier lets go earlier.
func Once(client *pawl.Client, name string, fn func(ctx gocontext.Context) error,
	options ...Option) func(ctx gocontext.Context) error {
	s := collect(0, options)
	return func(ctx gocontext.Context) error {
		lock := client.NewLock(name, &s.lock)
		err := s.acquire(ctx, lock)
		if errors.Is(err, pawl.ErrBusy) ||
			(errors.Is(err, gocontext.DeadlineExceeded) && ctx.Err() == nil) {
			return nil // another node does it
		}
		if err != nil {
			return err
		}
		since := time.Now()
		return runOnce(ctx, lock, fn, since.Add(s.minHold))
	}
}

func runOnce(ctx gocontext.Context, lock *pawl.Lock, fn func(ctx gocontext.Context) error,
	holdUntil time.Time) (err error) {
	inner, cancel := lock.Context(ctx)
	defer func() {
		cancel()
		left := time.Until(holdUntil)
		if left <= 0 || lock.Err() != nil {
			if unlockErr := lock.Unlock(); err == nil {
				err = unlockErr
			}
			return
		}
		time.AfterFunc(left, func() { _ = lock.Unlock() })
	}()
	return fn(inner)
}
