// SPDX-License-Identifier: MIT

//go:build peers

package main

import (
	"context"
	"strings"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// ofPeers has nothing but for a Redis that redis:// names.
func ofPeers(url string) ([]contestant, error) {
	if !strings.HasPrefix(url, "redis://") {
		return nil, nil
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	mutex := redsync.New(goredis.NewPool(redis.NewClient(options))).NewMutex("bench-redsync", redsync.WithExpiry(ttl))
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: rueidis.ClientOption{InitAddress: []string{options.Addr}, SelectDB: options.DB,
			Username: options.Username, Password: options.Password},
		KeyMajority: 1, KeyValidity: ttl, NoLoopTracking: true,
		TryNextAfter: ttl}) // its default of 20 ms gives up a slow request, and waits for a message that nobody sends
	if err != nil {
		return nil, err
	}
	return []contestant{
		{"redsync", timed(func() error {
			if err := mutex.LockContext(ctx); err != nil {
				return err
			}
			_, err := mutex.UnlockContext(ctx)
			return err
		})},
		{"rueidislock", timed(func() error {
			_, release, err := locker.WithContext(ctx, "bench-rueidislock")
			if err == nil {
				release()
			}
			return err
		})},
	}, nil
}
