// SPDX-License-Identifier: MIT

// etcd's own concurrency package, which speaks gRPC: a session for each client, and its Mutex. With
// bare:// in place of etcd:// what its client needs at least: a put and a delete, no lock.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"pawl/bench/frame"
)

type mutex struct{ *concurrency.Mutex }

func (m mutex) Acquire(ctx context.Context) error { return m.Lock(ctx) }
func (m mutex) Release(ctx context.Context) error { return m.Unlock(ctx) }

type bare struct {
	client *clientv3.Client
	name   string
	lease  clientv3.LeaseID
}

func (b bare) Acquire(ctx context.Context) error {
	_, err := b.client.Put(ctx, b.name, "owner", clientv3.WithLease(b.lease))
	return err
}

func (b bare) Release(ctx context.Context) error {
	_, err := b.client.Delete(ctx, b.name)
	return err
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	isBare := len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "bare:")
	frame.Main("etcd", func(address string) func(string) frame.Lock {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}})
		must(err)
		session, err := concurrency.NewSession(client, concurrency.WithTTL(int(frame.TTL.Seconds())))
		must(err)
		return func(name string) frame.Lock {
			if isBare {
				return bare{client, name, session.Lease()}
			}
			return mutex{concurrency.NewMutex(session, name)}
		}
	})
}
