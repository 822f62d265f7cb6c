// SPDX-License-Identifier: MIT

package pawl

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What a function makes of a loss, it says; that it was a loss, Do says.
func TestDoReturnsTheLossBesideTheFunctionsError(t *testing.T) {
	s := startServer(t)
	lock := openTest(t, s.url()).NewLock("n", &LockOptions{TTL: renewedSoon})
	oops := errors.New("oops")
	for _, own := range []error{context.Canceled, oops, nil} {
		err := lock.Do(context.Background(), func(ctx context.Context) error {
			s.redis("DEL", "pawl:n")
			await(t, "the end of the context", ctx.Done())
			expect(t, lock.Err(), ErrLost)
			return own
		})
		expect(t, err, ErrLost)
		if own != nil {
			expect(t, err, own)
		}
		if strings.Count(err.Error(), "pawl:") != 1 || strings.Contains(err.Error(), "\n") {
			t.Fatalf("not one line with one prefix: %q", err)
		}
	}
}

func TestUnlockSaysThatTheStoreHasNotConfirmed(t *testing.T) {
	s := startServer(t)
	client, err := Open(s.url(), &Options{ReleaseTimeout: 50 * time.Millisecond})
	must(t, err)
	defer client.Close()
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	expect(t, lock.UnlockWait(), ErrUnknown)
	expect(t, lock.UnlockWait(), ErrNotHeld)
	expect(t, lock.Unlock(), ErrNotHeld)
	if lock.Held() || lock.Token() != "" || lock.Fence() != 0 || lock.Remaining() != 0 {
		t.Fatal("unlocked, but it says that it holds")
	}
	expect(t, lock.Err(), ErrNotHeld)
}

func TestResignAndProclaimSayThatTheStoreHasNotConfirmed(t *testing.T) {
	s := startServer(t)
	client, err := Open(s.url(), &Options{ReleaseTimeout: 50 * time.Millisecond})
	must(t, err)
	defer client.Close()
	election := client.NewElection("e", nil)
	must(t, election.Campaign(context.Background()))
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	short, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	said := election.Proclaim(short, []byte("one"))
	expect(t, said, ErrUnknown)
	expect(t, said, context.DeadlineExceeded)
	expect(t, election.Resign(), ErrUnknown)
	expect(t, election.Resign(), ErrNotHeld)
	if election.Lock().Held() {
		t.Fatal("resigned, but it says that it holds")
	}
}

// The store's word counts: what it gave away was not ours until the end.
func TestUnlockOfABrokenLockIsALoss(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := context.Background()
		client := openTest(t, url)
		lock := openTest(t, url).NewLock("n", nil)
		must(t, lock.Lock(ctx))
		fence := lock.Fence()
		expect(t, client.Break(ctx, "n", fence+1), ErrNotHeld)
		if !lock.Held() {
			t.Fatal("broken by another fence")
		}
		must(t, client.Break(ctx, "n", fence))
		info, err := client.Inspect(ctx, "n")
		must(t, err)
		if b := info.Broken; b == nil || b.By != client.Owner() || b.Fence != fence || b.Ago < 0 {
			t.Fatalf("broken: %+v", info.Broken)
		}
		expect(t, lock.UnlockWait(), ErrLost)
	})
}

func TestTheDeadlineSaysWhy(t *testing.T) {
	ctx := context.Background()
	url := "memory:" + t.Name()
	must(t, openTest(t, url).NewLock("n", nil).Lock(ctx))
	waiting := openTest(t, url).NewLock("n", nil)
	short, cancel := context.WithTimeout(ctx, answered)
	defer cancel()
	err := waiting.Lock(short)
	expect(t, err, context.DeadlineExceeded)
	expect(t, err, ErrTimeout)

	away := openTest(t, "redis+unix:///nonexistent/s").NewLock("n", nil)
	short, cancel = context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	err = away.Lock(short)
	expect(t, err, ErrUnavailable)
	expect(t, err, context.DeadlineExceeded)
	if errors.Is(err, ErrTimeout) {
		t.Fatal("nobody has said that it is busy")
	}
}

func TestListAndTheQueue(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := context.Background()
		client := openTest(t, url)
		must(t, client.NewLock("other", nil).Lock(ctx))
		lock := client.NewLock("list:a", &LockOptions{Owner: "holder"})
		must(t, lock.Lock(ctx))
		short, cancel := context.WithCancel(ctx)
		got := make(chan error)
		go func() {
			got <- openTest(t, url).NewLock("list:a", &LockOptions{Owner: "waiter"}).Lock(short)
		}()
		await(t, "the waiter", lock.Wanted())
		infos, err := client.List(ctx, "list:")
		must(t, err)
		if len(infos) != 1 || infos[0].Name != "list:a" || infos[0].Owner != "holder" ||
			len(infos[0].Queue) != 1 || infos[0].Queue[0].Owner != "waiter" ||
			infos[0].Queue[0].Place <= 0 {
			t.Fatalf("%+v", infos)
		}
		cancel()
		expect(t, <-got, context.Canceled)
		_, err = client.Doctor(ctx)
		must(t, err)
		_, err = client.List(canceled(), "")
		expect(t, err, context.Canceled)
	})
}

func TestATokenCarriesALeaseOn(t *testing.T) {
	s := startServer(t)
	ctx := context.Background()
	first := openTest(t, s.url())
	lock := first.NewLock("n", &LockOptions{Detached: true, TTL: 10 * time.Second})
	must(t, lock.Lock(ctx))
	fence := lock.Fence()
	token, err := lock.Detach()
	must(t, err)
	_, err = lock.Detach()
	expect(t, err, ErrNotHeld)
	must(t, first.Close())
	client := openTest(t, s.url())
	remaining, err := client.CheckToken(ctx, "n", token)
	must(t, err)
	if remaining <= 0 || remaining > 10*time.Second {
		t.Fatal(remaining)
	}
	got, err := client.RenewToken(ctx, "n", token, 20*time.Second)
	must(t, err)
	if got != fence {
		t.Fatalf("fence %d, expected %d", got, fence)
	}
	if remaining, err = client.CheckToken(ctx, "n", token); err != nil || remaining <= 10*time.Second {
		t.Fatal(remaining, err)
	}
	must(t, client.ReleaseToken(ctx, "n", token))
	expect(t, client.ReleaseToken(ctx, "n", token), ErrLost)
	expect(t, client.ReleaseToken(ctx, "n", "a\x00b"), ErrArgument)
	must(t, client.NewLock("n", nil).TryLock(ctx))
}

func TestEventsComeInOrderAndMayCallBack(t *testing.T) {
	s := startServer(t)
	var mu sync.Mutex
	var kinds []EventKind
	doubted, held := make(chan struct{}), make(chan struct{})
	lock := openTest(t, s.url()).NewLock("n", &LockOptions{TTL: 3 * time.Second})
	lock.opts.OnEvent = func(e Event) {
		mu.Lock()
		kinds = append(kinds, e.Kind)
		mu.Unlock()
		switch e.Kind {
		case EventDoubt:
			if e.Err == nil || e.Remaining <= 0 {
				t.Errorf("%+v", e)
			}
			close(doubted)
		case EventHeld:
			if e.Err != nil {
				t.Errorf("held, because of %v", e.Err)
			}
			if err := lock.Unlock(); err != nil { // a callback may wait for the store
				t.Error(err)
			}
			close(held)
		}
	}
	must(t, lock.Lock(context.Background()))
	s.signal(syscall.SIGSTOP)
	await(t, "doubt", doubted)
	s.signal(syscall.SIGCONT)
	await(t, "recovery", held)
	mu.Lock()
	defer mu.Unlock()
	if len(kinds) != 2 || kinds[0] != EventDoubt || kinds[1] != EventHeld {
		t.Fatal(kinds)
	}
}

// A store that locks nobody else out says so, once, where somebody listens.
func TestMemoryWarnsOnce(t *testing.T) {
	lines := make(chan string, 10)
	client, err := Open("memory:", &Options{Log: func(severity Severity, line string) {
		if severity == SeverityWarning {
			lines <- line
		}
	}})
	must(t, err)
	select {
	case line := <-lines:
		if !strings.Contains(line, "memory of this process alone") {
			t.Fatal(line)
		}
	case <-time.After(patience):
		t.Fatal("no warning")
	}
	for i := 0; i < 3; i++ {
		must(t, client.NewLock("n", nil).Do(context.Background(), func(context.Context) error { return nil }))
	}
	client.Close()
	if len(lines) != 0 {
		t.Fatal(<-lines)
	}
}

func TestTheDefaultClientCanBeClosed(t *testing.T) {
	t.Setenv("PAWL_STORE", "memory:"+t.Name())
	t.Setenv("BEEGO_RUNMODE", "")
	lock := &RedisLock{Key: "n", Timeout: 10}
	expect(t, lock.Unlock(), ErrNotHeld)
	must(t, lock.Lock())
	client, err := DefaultClient()
	must(t, err)
	must(t, client.Close())
	expect(t, lock.Unlock(), ErrLost)
	must(t, lock.Lock()) // on a new client
	must(t, lock.Unlock())
	closeDefaults()
}
