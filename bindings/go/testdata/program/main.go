// SPDX-License-Identifier: MIT

// A whole program, for what only a program shows: its end, and where it finds its configuration.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

func fail(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// turncoat is cancelled between the grant and the look that follows it.
type turncoat struct {
	context.Context
	looks int
}

func (t *turncoat) Err() error {
	if t.looks++; t.looks == 1 {
		return nil
	}
	return context.Canceled
}

func main() {
	switch os.Args[1] {
	case "unlock": // the release is main's last deed
		client, err := pawl.Open(os.Args[2], nil)
		fail(err)
		lock := client.NewLock("n", nil)
		fail(lock.Lock(context.Background()))
		defer lock.Unlock()
	case "second", "later": // the store has confirmed one release before, and is not waited for any more
		client, err := pawl.Open(os.Args[2], nil)
		fail(err)
		lock := client.NewLock("n", nil)
		fail(lock.Lock(context.Background()))
		fail(lock.Unlock())
		fail(lock.Lock(context.Background()))
		if os.Args[1] == "later" {
			time.Sleep(20 * time.Millisecond) // libpawl's own thread has the connection again, probably
		}
		defer lock.Unlock()
	case "redislock":
		lock := &pawl.RedisLock{Key: "n", Timeout: 30}
		fail(lock.Lock())
		defer lock.Unlock()
	case "retain": // what is kept for later is given back by Close
		client, err := pawl.Open(os.Args[2], nil)
		fail(err)
		defer client.Close()
		lock := client.NewLock("n", &pawl.LockOptions{Retain: time.Hour})
		fail(lock.Lock(context.Background()))
		fail(lock.Unlock())
	case "killed": // it holds until somebody kills it
		client, err := pawl.Open(os.Args[2], nil)
		fail(err)
		lock := client.NewLock("n", &pawl.LockOptions{TTL: time.Second})
		fail(lock.Lock(context.Background()))
		fmt.Println(lock.Fence())
		_, _ = os.Stdin.Read(make([]byte, 1))
	case "gone": // the lock is granted to a caller who has gone
		client, err := pawl.Open(os.Args[2], nil)
		fail(err)
		if err := client.NewLock("n", nil).Lock(&turncoat{Context: context.Background()}); err == nil {
			fmt.Println("locked")
			os.Exit(1)
		}
	case "where": // which store a RedisLock takes
		client, err := pawl.DefaultClient()
		fail(err)
		fmt.Println(client.URL())
	}
}
