// SPDX-License-Identifier: MIT

// rueidislock as its page advises for one server of version 7.0.5 or newer. TryNextAfter is not the
// default of 20 ms: a request that takes longer on a busy machine is given up, and its client then
// waits for a message that nobody sends.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"pawl/bench/frame"
)

type lock struct {
	locker  rueidislock.Locker
	name    string
	release context.CancelFunc
}

func (l *lock) Acquire(ctx context.Context) (err error) {
	_, l.release, err = l.locker.WithContext(ctx, l.name)
	return err
}

func (l *lock) Release(context.Context) error {
	l.release()
	return nil
}

func main() {
	frame.Main("rueidislock", func(address string) func(string) frame.Lock {
		locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
			ClientOption:   rueidis.ClientOption{InitAddress: []string{address}},
			KeyMajority:    1,
			KeyValidity:    frame.TTL,
			TryNextAfter:   frame.TTL,
			NoLoopTracking: true,
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return func(name string) frame.Lock { return &lock{locker: locker, name: name} }
	})
}
