// SPDX-License-Identifier: MIT

// Package pawl is a distributed lock over the store that you already run: Redis,
// or an embedded SQLite file. It is libpawl by cgo; pkg-config finds it.
//
//	client, err := pawl.Open("redis://127.0.0.1", nil)
//	defer client.Close()
//	lock := client.NewLock("nightly", nil)
//	err = lock.Do(ctx, func(ctx context.Context) error {
//		return backup(ctx) // ctx is cancelled when the lock is lost
//	})
//
// A lock can be lost while your code runs: the process was stopped for longer
// than the ttl, the store was away. Lost and Context tell; nothing can stop your
// code but itself. So a lock alone protects efficiency. For correctness give
// Fence to the resource, and let the resource refuse a smaller one than it has
// seen.
//
// The module's name is that of no server: the binding is a part of the checkout that its
// libpawl was built from, and "go get" cannot fetch one without the other. Name the checkout
// in your go.mod:
//
//	go mod edit -replace pawl.example/pawl=/path/to/pawl/bindings/go
//	go mod tidy
//
// A thousand goroutines that wait need no thousand threads: one goroutine
// per client hands out the results of libpawl's asynchronous calls.
package pawl
