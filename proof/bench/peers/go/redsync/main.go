// SPDX-License-Identifier: MIT

// redsync with its defaults but for the number of tries: they end only with the lock.
package main

import (
	"context"
	"math"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"pawl/bench/frame"
)

type lock struct{ mutex *redsync.Mutex }

func (l lock) Acquire(ctx context.Context) error { return l.mutex.LockContext(ctx) }

func (l lock) Release(ctx context.Context) error {
	_, err := l.mutex.UnlockContext(ctx)
	return err
}

func main() {
	frame.Main("redsync", func(address string) func(string) frame.Lock {
		client := redis.NewClient(&redis.Options{Addr: address, PoolSize: 1})
		locks := redsync.New(goredis.NewPool(client))
		return func(name string) frame.Lock {
			return lock{locks.NewMutex(name, redsync.WithExpiry(frame.TTL),
				redsync.WithTries(math.MaxInt32))}
		}
	})
}
