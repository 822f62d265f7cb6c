// SPDX-License-Identifier: MIT

// Does everything once, then many times, and says by how many bytes C's heap has grown. With the
// argument "full" it opens clients while it may have fewer and fewer descriptors.
package main

// #include <malloc.h>
// #include <stddef.h>
//
// static size_t heap_in_use(void) { return mallinfo2().uordblks; }
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

const rounds = 300

func need(ok bool, what string) {
	if !ok {
		fmt.Println(what)
		os.Exit(1)
	}
}

func must(err error) { need(err == nil, fmt.Sprint(err)) }

// everything allocates and frees in each way once. Long names make a leak of one long.
func everything(folder string) {
	ctx := context.Background()
	name, owner := strings.Repeat("n", 500), strings.Repeat("o", 200)
	client, err := pawl.Open("memory:", &pawl.Options{Owner: owner, Log: func(pawl.Severity, string) {}})
	must(err)
	opts := &pawl.LockOptions{Owner: owner, Detached: true, OnEvent: func(pawl.Event) {}}
	lock := client.NewLock(name, opts)
	must(lock.Lock(ctx))
	need(errors.Is(client.NewLock(name, opts).TryLock(ctx), pawl.ErrBusy), "not busy")
	_, err = client.Inspect(ctx, name)
	must(err)
	_, err = client.List(ctx, name)
	must(err)
	_, err = client.Doctor(ctx)
	must(err)
	token, err := lock.Detach()
	must(err)
	_, err = client.CheckToken(ctx, name, token)
	must(err)
	must(client.ReleaseToken(ctx, name, token))
	need(errors.Is(client.Break(ctx, name, 1), pawl.ErrNotHeld), "broken")
	must(lock.Lock(ctx))
	must(lock.Unlock())
	must(client.Close())

	conf := filepath.Join(folder, "app.conf")
	_, err = pawl.ConfigURL(conf)
	must(err)
	_, err = pawl.ConfigPath(folder)
	must(err)
	_, err = pawl.Open("nosuch://"+name, nil)
	need(err != nil, "opened")
}

func growth(folder string) {
	for i := 0; i < 20; i++ {
		everything(folder)
	}
	before := int(C.heap_in_use())
	for i := 0; i < rounds; i++ {
		everything(folder)
	}
	fmt.Println((int(C.heap_in_use()) - before) / rounds)
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	must(err)
	return len(entries)
}

// full: Open fails with a reason, and leaves nothing open, until there are descriptors enough.
func full() {
	warm, err := pawl.Open("memory:", nil)
	must(err)
	must(warm.Close())
	before := descriptors()
	failures := 0
	for room := 0; ; room++ {
		// one of those that were counted was for the counting
		limit := &syscall.Rlimit{Cur: uint64(before - 1 + room), Max: 1024}
		must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, limit))
		client, err := pawl.Open("memory:", nil)
		limit.Cur = 1024
		must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, limit))
		if err == nil {
			must(client.NewLock("n", nil).Do(context.Background(), func(context.Context) error { return nil }))
			must(client.Close())
			break
		}
		failures++
		need(client == nil && errors.Is(err, pawl.ErrSystem), fmt.Sprint(err))
		need(descriptors() == before, "an Open that failed left a descriptor")
	}
	need(failures > 0, "nothing failed")
	fmt.Println("full")
}

func main() {
	if os.Args[1] == "full" {
		full()
		return
	}
	growth(os.Args[1])
}
