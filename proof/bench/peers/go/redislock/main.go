// SPDX-License-Identifier: MIT

// bsm/redislock with the backoff of its own example: 100 ms, always.
package main

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"pawl/bench/frame"
)

type lock struct {
	client *redislock.Client
	name   string
	held   *redislock.Lock
}

func (l *lock) Acquire(ctx context.Context) (err error) {
	// Without a deadline of the caller's it would give up after the ttl.
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	l.held, err = l.client.Obtain(ctx, l.name, frame.TTL,
		&redislock.Options{RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond)})
	return err
}

func (l *lock) Release(ctx context.Context) error { return l.held.Release(ctx) }

func main() {
	frame.Main("redislock", func(address string) func(string) frame.Lock {
		client := redislock.New(redis.NewClient(&redis.Options{Addr: address, PoolSize: 1}))
		return func(name string) frame.Lock { return &lock{client: client, name: name} }
	})
}
