// SPDX-License-Identifier: MIT

// usage: interop LIBRARY ADDRESS NAME TTL_MS
//
// One lock of a library, for proof/tests/interop: for each line "acquire" (once, without waiting) or
// "release" on stdin it prints yes or no.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

type lock struct{ acquire, release func() bool }

var ctx = context.Background()

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ofRedsync(address, name string, ttl time.Duration) lock {
	pool := goredis.NewPool(redis.NewClient(&redis.Options{Addr: address}))
	mutex := redsync.New(pool).NewMutex(name, redsync.WithExpiry(ttl))
	return lock{
		func() bool { return mutex.TryLock() == nil },
		func() bool { done, err := mutex.Unlock(); return done && err == nil },
	}
}

func ofRedislock(address, name string, ttl time.Duration) lock {
	client := redislock.New(redis.NewClient(&redis.Options{Addr: address}))
	var held *redislock.Lock
	return lock{
		func() (ok bool) {
			var err error
			held, err = client.Obtain(ctx, name, ttl, nil)
			if err != nil && !errors.Is(err, redislock.ErrNotObtained) {
				must(err)
			}
			return err == nil
		},
		func() bool { return held.Release(ctx) == nil },
	}
}

// It extends its lock until it is told to stop, and deletes the key in a goroutine of its own.
func ofRueidislock(address, name string, ttl time.Duration) lock {
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption: rueidis.ClientOption{InitAddress: []string{address}},
		KeyPrefix:    "pawl",
		KeyMajority:  1,
		KeyValidity:  ttl,
	})
	must(err)
	var stop context.CancelFunc
	return lock{
		func() bool {
			_, cancel, err := locker.TryWithContext(ctx, name)
			stop = cancel
			return err == nil
		},
		func() bool { stop(); return true },
	}
}

func main() {
	ms, err := strconv.Atoi(os.Args[4])
	must(err)
	make := map[string]func(string, string, time.Duration) lock{
		"redsync": ofRedsync, "redislock": ofRedislock, "rueidislock": ofRueidislock}[os.Args[1]]
	l := make(os.Args[2], os.Args[3], time.Duration(ms)*time.Millisecond)
	words := map[bool]string{true: "yes", false: "no"}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "acquire" {
			fmt.Println(words[l.acquire()])
		} else {
			fmt.Println(words[l.release()])
		}
	}
}
