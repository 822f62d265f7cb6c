// SPDX-License-Identifier: MIT

package pawlbeego

import (
	gocontext "context"
	"time"

	"github.com/beego/beego/v2/core/logs"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// Once makes a task that runs on one node only: whichever node has the lock runs fn, the
// others return nil at once (or after Wait). fn's context is cancelled when the lock is lost, and
// then the error is pawl.ErrLost. A store that does not answer is an error as well: nobody knows
// whether another node does it. The result is a task.TaskFunc for Beego's task.NewTask.
//
// MinHold lasts as long as this process and its client do: a node that ends earlier lets go
// earlier. Start the application with Run instead of web.Run: else a node that a signal ends leaves
// the lock until its lease runs out.
func Once(client *pawl.Client, name string, fn func(ctx gocontext.Context) error,
	options ...Option) func(ctx gocontext.Context) error {
	warnAtStart()
	s := collect(0, options)
	return func(ctx gocontext.Context) error {
		lock := client.NewLock(name, &s.lock)
		err := s.acquire(ctx, lock)
		if isBusy(err) && !isOver(ctx) {
			return whyBusy(ctx, client, name)
		}
		if err != nil {
			return err
		}
		since := time.Now()
		return runOnce(ctx, lock, fn, since.Add(s.minHold))
	}
}

// isOver tells whether the context has ended. Its own timer may be a moment late: libpawl, which was given
// the same deadline and rounds it to a millisecond, has told us first then.
func isOver(ctx gocontext.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && time.Until(deadline) <= time.Millisecond
}

// whyBusy is nil if another node does it, and the store still says so.
func whyBusy(ctx gocontext.Context, client *pawl.Client, name string) error {
	_, unknown := waitersOf(ctx, client, name)
	return unknown
}

func runOnce(ctx gocontext.Context, lock *pawl.Lock, fn func(ctx gocontext.Context) error,
	holdUntil time.Time) (err error) {
	inner, cancel := lock.Context(ctx)
	defer func() {
		cancel()
		left := time.Until(holdUntil)
		if left <= 0 || lock.Err() != nil {
			lock.UnlockInto(&err)
			return
		}
		time.AfterFunc(left, func() {
			if unlockErr := lock.Unlock(); unlockErr != nil {
				logs.Warn("%v", unlockErr)
			}
		})
	}()
	return fn(inner)
}
