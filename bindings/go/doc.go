// SPDX-License-Identifier: MIT

// Package pawl is a distributed lock over the store that you already run: Redis,
// or an embedded SQLite file. It is libpawl by cgo; pkg-config finds it.
//
//	client, err := pawl.Open("redis://127.0.0.1", nil)
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	lock := client.NewLock("nightly", nil)
//	return lock.Do(ctx, func(ctx context.Context) error {
//		return backup(ctx) // ctx is cancelled when the lock is lost
//	})
//
// A lock can be lost while your code runs: the process was stopped for longer
// than the ttl, the store was away. Lost and Context tell; nothing can stop your
// code but itself. So a lock alone protects efficiency. For correctness give
// Fence to the resource, and let the resource refuse a smaller one than it has
// seen. Do and Unlock return ErrLost when the lock had been lost: their error matters.
//
// A Lock is exclusive unless its Mode says otherwise. NewRWLock is for many readers and one writer, with
// upgrade and downgrade; NewSemaphore for a number of permits, each with a slot of its own; NewLockAll for
// several names. NewJob is for a job that runs once in a period, NewElection for a leader.
//
// libpawl is installed first (make && sudo make install in a checkout of pawl), so that
// pkg-config finds it; a C compiler is needed as well. Then
//
//	go get github.com/pawl-lock/pawl/bindings/go@v0.2.0
//
// The module has libpawl's version, in tags such as bindings/go/v0.2.0. It asks for a libpawl
// that is not older than itself. To work with a checkout instead of a version:
//
//	go mod edit -replace github.com/pawl-lock/pawl/bindings/go=/path/to/pawl/bindings/go
//	go mod tidy
//
// A Go program that ends runs no function of libpawl's. Unlock and Do return when the release has
// left this process, so the store frees the lock although the program ends. Close the client for what
// else there is: leases kept by Retain, places in queues that were given up a moment ago, and
// connections that were down or full at the Unlock. UnlockWait returns when the store has confirmed.
//
// A thousand goroutines that wait need no thousand threads: one goroutine
// per client hands out the results of libpawl's asynchronous calls.
package pawl
