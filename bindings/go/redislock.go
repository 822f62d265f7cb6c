// SPDX-License-Identifier: MIT

//go:build cgo

package pawl

import (
	"context"
	"log"
	"os"
	"sync"
	"time"
)

// RedisLock takes the place of the lock in the tutorial "a distributed lock with Redis in Beego"
// (SET Key Token EX Timeout NX, DEL), with the same fields and methods:
//
//	lock := &pawl.RedisLock{Key: "counter", Token: "node-1", Timeout: 10}
//	if err = lock.Lock(); err != nil {
//		return err
//	}
//	defer lock.UnlockInto(&err) // ErrLost: the work may not have been alone
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
	// Client is the store; nil: DefaultClient.
	Client *Client

	mu   sync.Mutex
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

// Unlock releases it, and returns when the store has confirmed. ErrLost: it had been lost before. See
// Lock.UnlockWait.
func (r *RedisLock) Unlock() error {
	lock := r.present()
	if lock == nil {
		return &Error{Op: "unlock", Name: r.Key, Err: ErrNotHeld}
	}
	return lock.UnlockWait()
}

// UnlockInto unlocks, and adds what Unlock returns to *err: for defer.
func (r *RedisLock) UnlockInto(err *error) { *err = join(*err, r.Unlock()) }

// Fence is the fencing token of the present acquisition; 0 if it is not held.
func (r *RedisLock) Fence() uint64 {
	if lock := r.present(); lock != nil {
		return lock.Fence()
	}
	return 0
}

// Lost is closed when the lock is lost, and when it is not held.
func (r *RedisLock) Lost() <-chan struct{} {
	if lock := r.present(); lock != nil {
		return lock.Lost()
	}
	return closedChannel
}

// handle is the lock at the store. That of a default client that was closed is replaced.
func (r *RedisLock) handle() (*Lock, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock != nil && (r.Client != nil || !r.lock.client.isClosed()) {
		return r.lock, nil
	}
	client := r.Client
	if client == nil {
		var err error
		if client, err = DefaultClient(); err != nil {
			return nil, err
		}
	}
	r.lock = client.NewLock(r.Key, &LockOptions{TTL: ttlOf(r.Timeout), Owner: r.Token})
	return r.lock, nil
}

// present is the handle if there is one: to look at a lock opens nothing.
func (r *RedisLock) present() *Lock {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lock
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

// DefaultClient is the client of every RedisLock that has none of its own, opened when it is first
// needed. Its store is the one that conf/app.conf chooses, in the working directory or beside the
// program, as Beego looks for it; without such a file the one in $PAWL_STORE. With neither it is
// an error: a store of our own choice would be one of this machine alone. Warnings go to the log
// package. Close it when the program ends; a RedisLock that is used later opens it anew.
func DefaultClient() (*Client, error) {
	defaults.Lock()
	defer defaults.Unlock()
	if defaults.client != nil && !defaults.client.isClosed() {
		return defaults.client, nil
	}
	client, err := openDefault()
	if err == nil {
		defaults.client = client
	}
	return client, err
}

func openDefault() (*Client, error) {
	opts := &Options{Log: func(severity Severity, line string) {
		if severity >= SeverityWarning {
			log.Printf("pawl: %v: %s", severity, line)
		}
	}}
	file, notFound := ConfigPath("")
	if notFound == nil {
		return OpenConfig(file, opts)
	}
	if os.Getenv("PAWL_STORE") != "" {
		return Open("", opts)
	}
	e, _ := notFound.(*Error)
	return nil, &Error{Op: "open", Err: e.Err, Message: e.Message +
		": write conf/app.conf, or set PAWL_STORE or RedisLock.Client"}
}
