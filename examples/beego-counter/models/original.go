// SPDX-License-Identifier: MIT

package models

import (
	"math/rand"
	"time"
)

// OriginalLock is the tutorial's algorithm, with its flaws, to be compared with. Do not use it:
//
//   - everybody has the same token, and nobody compares it
//   - Unlock deletes whoever's lock is there
//   - nothing renews the lease while the work goes on
//   - nobody is told that the lock was lost
//   - waiters sleep up to 99 ms for a lock that is free, and have no order
//   - there is no fence by which the counter could refuse a late write
type OriginalLock struct {
	Store   *Store
	Key     string
	Token   string
	Timeout int // seconds
}

// Lock tries until it has it.
func (l *OriginalLock) Lock() error {
	for {
		reply, err := l.Store.do("SET", l.Key, l.Token, "EX", l.Timeout, "NX")
		if err != nil {
			return err
		}
		if reply != nil {
			return nil
		}
		time.Sleep(time.Duration(rand.Intn(100)) * time.Millisecond)
	}
}

// Unlock deletes the key.
func (l *OriginalLock) Unlock() error {
	_, err := l.Store.do("DEL", l.Key)
	return err
}
