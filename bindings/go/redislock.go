// SPDX-License-Identifier: MIT

package pawl

import (
	"context"
	"os"
	"sync"
	"time"
)

// RedisLock takes the place of the lock in the tutorial "a distributed lock with Redis in Beego"
// (SET Key Token EX Timeout NX, DEL), with the same fields and methods:
//
//	lock := &pawl.RedisLock{Key: "counter", Token: "node-1", Timeout: 10}
//	if err := lock.Lock(); err != nil { ... }
//	defer lock.Unlock()
//
// What changes: the token at the store is random, Token is a label for people; the lease is
// renewed while the lock is held; Unlock removes only one's own lock, and reports a lost one;
// waiters wait in line instead of sleeping. A RedisLock must not be copied after use.
type RedisLock struct {
	Key   string
	Token string
	// Timeout is the ttl. A bare number is seconds, as in the tutorial: what would be less than
	// a millisecond cannot be meant as a duration.
	Timeout time.Duration
	// Client is the store; nil: the one that conf/app.conf chooses, or, without such a
	// file, $PAWL_STORE, or the default SQLite file.
	Client *Client

	once sync.Once
	err  error
	lock *Lock
}

// Lock waits for the lock, without limit.
func (r *RedisLock) Lock() error { return r.LockContext(context.Background()) }

// LockContext waits until the context ends.
func (r *RedisLock) LockContext(ctx context.Context) error {
	lock, err := r.handle()
	if err != nil {
		return err
	}
	return lock.Lock(ctx)
}

// Unlock releases it. ErrLost: it had been lost before.
func (r *RedisLock) Unlock() error {
	lock, err := r.handle()
	if err != nil {
		return err
	}
	return lock.Unlock()
}

// Fence is the fencing token of the present acquisition.
func (r *RedisLock) Fence() uint64 {
	lock, err := r.handle()
	if err != nil {
		return 0
	}
	return lock.Fence()
}

// Lost is closed when the lock is lost.
func (r *RedisLock) Lost() <-chan struct{} {
	lock, err := r.handle()
	if err != nil {
		return closedChannel
	}
	return lock.Lost()
}

func (r *RedisLock) handle() (*Lock, error) {
	r.once.Do(func() {
		client := r.Client
		if client == nil {
			client, r.err = defaultClient()
		}
		if r.err == nil {
			r.lock = client.NewLock(r.Key, &LockOptions{TTL: ttlOf(r.Timeout), Owner: r.Token})
		}
	})
	return r.lock, r.err
}

func ttlOf(timeout time.Duration) time.Duration {
	if timeout > 0 && timeout < time.Millisecond {
		return timeout * time.Second
	}
	return timeout
}

// The client of every RedisLock that has none of its own.
var defaults struct {
	sync.Mutex
	client *Client
}

func defaultClient() (*Client, error) {
	defaults.Lock()
	defer defaults.Unlock()
	if defaults.client != nil {
		return defaults.client, nil
	}
	client, err := openDefault()
	if err == nil {
		defaults.client = client
	}
	return client, err
}

func openDefault() (*Client, error) {
	file := "conf/app.conf"
	if mode := os.Getenv("BEEGO_RUNMODE"); mode != "" {
		file = "conf/" + mode + ".app.conf"
	}
	if _, err := os.Stat(file); err == nil {
		return OpenConfig(file, nil)
	}
	return Open("", nil)
}
