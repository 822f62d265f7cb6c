// SPDX-License-Identifier: MIT

package pawl

import (
	"bytes"
	"context"
	"errors"
	"log"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ---- Wrong arguments -----------------------------------------------------------------------------

// C's strings end at a NUL: what stands behind it must not be dropped in silence.
func TestNoStringIsCutAtANul(t *testing.T) {
	ctx := context.Background()
	client := openTest(t, "memory:"+t.Name())
	for _, text := range []string{"\x00", "\x00a", "a\x00", "a\x00b"} {
		_, err := Open("memory:", &Options{Owner: text})
		expect(t, err, ErrOwner)
		_, err = Open("memory:"+text, nil)
		expect(t, err, ErrURL)
		_, err = Open(text, nil)
		expect(t, err, ErrURL)
		expect(t, client.NewLock("n", &LockOptions{Owner: text}).Lock(ctx), ErrOwner)
		expect(t, client.NewLock(text, nil).Lock(ctx), ErrName)
		_, err = client.Inspect(ctx, text)
		expect(t, err, ErrName)
		expect(t, client.Break(ctx, text, 1), ErrName)
		expect(t, client.ReleaseToken(ctx, "n", text), ErrArgument)
		_, err = client.RenewToken(ctx, "n", text, time.Second)
		expect(t, err, ErrArgument)
		_, err = client.CheckToken(ctx, "n", text)
		expect(t, err, ErrArgument)
	}
}

func TestAWrongTokenIsNoToken(t *testing.T) {
	ctx := context.Background()
	client := openTest(t, "memory:"+t.Name())
	for _, token := range []string{"", "x", strings.Repeat("0", 10000)} {
		expect(t, client.ReleaseToken(ctx, "n", token), ErrArgument)
		fence, err := client.RenewToken(ctx, "n", token, time.Second)
		expect(t, err, ErrArgument)
		if remaining, err := client.CheckToken(ctx, "n", token); fence != 0 || remaining != 0 || err == nil {
			t.Fatal(fence, remaining, err)
		}
	}
}

// ---- Contexts that end ---------------------------------------------------------------------------

// Nothing is asked for a caller who has gone already, so nothing is unknown.
func TestACancelledContextAsksNothing(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	gone := canceled()
	_, inspect := client.Inspect(gone, "n")
	_, list := client.List(gone, "")
	_, doctor := client.Doctor(gone)
	_, renew := client.RenewToken(gone, "n", lock.Token(), time.Second)
	_, check := client.CheckToken(gone, "n", lock.Token())
	for _, err := range []error{inspect, list, doctor, renew, check,
		client.Break(gone, "n", lock.Fence()), client.ReleaseToken(gone, "n", lock.Token()),
		client.NewLock("other", nil).Lock(gone), client.NewLock("other", nil).TryLock(gone)} {
		expect(t, err, context.Canceled)
		if errors.Is(err, ErrUnknown) {
			t.Fatal("unknown, though the store was not asked: ", err)
		}
	}
	must(t, lock.Unlock()) // nothing was done
}

// The store went silent in the middle of a change: it may have been done, and the error says so.
func TestAChangeWithoutAnAnswerIsUnknown(t *testing.T) {
	s := startServer(t)
	client := openTest(t, s.url())
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	token := lock.Token()
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	for _, change := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return client.Break(ctx, "n", lock.Fence()+1) },
		func(ctx context.Context) error { return client.ReleaseToken(ctx, "other", token) },
		func(ctx context.Context) error {
			fence, err := client.RenewToken(ctx, "n", token, time.Second)
			if fence != 0 {
				t.Error("a fence of a renewal that nobody has confirmed")
			}
			return err
		},
	} {
		short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		err := change(short)
		cancel()
		expect(t, err, ErrUnknown)
		expect(t, err, context.DeadlineExceeded)
	}
	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err := client.CheckToken(short, "n", token)
	expect(t, err, context.DeadlineExceeded)
	if errors.Is(err, ErrUnknown) {
		t.Fatal("a question changes nothing")
	}
}

// Those who share a Lock wait for their turn before the store hears of them.
func TestAContextEndsTheWaitForATurn(t *testing.T) {
	lock := openTest(t, "memory:"+t.Name()).NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	expect(t, lock.Lock(canceled()), context.Canceled)
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := lock.Lock(short)
	expect(t, err, context.DeadlineExceeded)
	expect(t, err, ErrTimeout) // it stayed busy
	expect(t, lock.TryLock(context.Background()), ErrBusy)
	must(t, lock.Unlock())
	must(t, lock.TryLock(context.Background())) // nobody has taken the turn along
	must(t, lock.Unlock())
}

// ---- Second trouble ------------------------------------------------------------------------------

// A lock that was lost twice, by two ways, is told twice, and is as good as new afterwards.
func TestASecondLossIsToldAsTheFirst(t *testing.T) {
	s := startServer(t)
	client := openTest(t, s.url())
	lock := client.NewLock("n", &LockOptions{TTL: renewedSoon})
	var fence uint64
	for round := 0; round < 3; round++ {
		must(t, lock.Lock(context.Background()))
		if lock.Err() != nil || !lock.Held() || lock.Fence() <= fence {
			t.Fatal("it remembers its former loss: ", lock.Err())
		}
		fence = lock.Fence()
		inner, cancel := lock.Context(context.Background())
		defer cancel()
		s.redis("DEL", "pawl:n")
		await(t, "the loss", lock.Lost())
		await(t, "the end of the context", inner.Done())
		expect(t, lock.Err(), ErrLost)
		expect(t, lock.Unlock(), ErrLost)
		expect(t, lock.Unlock(), ErrNotHeld)
	}
	must(t, lock.Lock(context.Background()))
	must(t, lock.Unlock())
	if pending(client) != 0 {
		t.Fatal("losses leave acquisitions behind")
	}
}

// Each of a client's locks is told by Close, with its reason, before anybody else can have it.
func TestCloseTellsEachLockWhy(t *testing.T) {
	url := "memory:" + t.Name()
	client := openTest(t, url)
	var locks []*Lock
	for _, name := range []string{"a", "b", "c"} {
		lock := client.NewLock(name, nil)
		must(t, lock.Lock(context.Background()))
		locks = append(locks, lock)
	}
	must(t, client.Close())
	for _, lock := range locks {
		err := lock.Err()
		expect(t, err, ErrLost)
		expect(t, err, ErrClosed)
		expect(t, lock.Unlock(), ErrLost)
		expect(t, lock.Unlock(), ErrNotHeld)
		expect(t, lock.Err(), ErrNotHeld)
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	ctx := context.Background()
	client := openTest(t, "memory:"+t.Name())
	url, owner := client.URL(), client.Owner()
	must(t, client.Close())
	_, inspect := client.Inspect(ctx, "n")
	_, list := client.List(ctx, "")
	_, doctor := client.Doctor(ctx)
	_, check := client.CheckToken(ctx, "n", "x")
	_, renew := client.RenewToken(ctx, "n", "x", time.Second)
	lock := client.NewLock("n", nil)
	for _, err := range []error{inspect, list, doctor, check, renew, client.Break(ctx, "n", 1),
		client.ReleaseToken(ctx, "n", "x"), lock.Lock(ctx), lock.TryLock(ctx), lock.Do(ctx, nil)} {
		expect(t, err, ErrClosed)
		if errors.Is(err, ErrUnknown) {
			t.Fatal("unknown, though the store was not asked: ", err)
		}
	}
	expect(t, lock.Unlock(), ErrNotHeld)
	if lock.Held() || client.URL() != url || client.Owner() != owner {
		t.Fatal("closed, but changed")
	}
}

// Any number of goroutines may close.
func TestCloseMayBeCalledAtOnceByMany(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	must(t, client.NewLock("n", nil).Lock(context.Background()))
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
}

// ---- Do ------------------------------------------------------------------------------------------

func TestDoUnlocksAfterAPanic(t *testing.T) {
	lock := openTest(t, "memory:"+t.Name()).NewLock("n", nil)
	var inner context.Context
	func() {
		defer func() {
			if recover() != "oops" {
				t.Error("the panic was swallowed")
			}
		}()
		_ = lock.Do(context.Background(), func(ctx context.Context) error {
			inner = ctx
			panic("oops")
		})
	}()
	if inner.Err() == nil {
		t.Fatal("its context goes on")
	}
	must(t, lock.TryLock(context.Background()))
	must(t, lock.Unlock())
}

func TestDoRunsNothingWithoutTheLock(t *testing.T) {
	url := "memory:" + t.Name()
	must(t, openTest(t, url).NewLock("n", nil).Lock(context.Background()))
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := openTest(t, url).NewLock("n", nil).Do(short, func(context.Context) error {
		t.Error("it ran")
		return nil
	})
	expect(t, err, ErrTimeout)
}

// ---- Options -------------------------------------------------------------------------------------

func TestALeaseIsRetainedAndGivenUpWhenItIsWanted(t *testing.T) {
	s := startServer(t)
	ctx := context.Background()
	client := openTest(t, s.url())
	lock := client.NewLock("n", &LockOptions{Retain: time.Hour})
	must(t, lock.Lock(ctx))
	fence := lock.Fence()
	must(t, lock.Unlock())
	if s.redis("EXISTS", "pawl:n") != "1\n" {
		t.Fatal("it was not retained")
	}
	must(t, lock.Lock(ctx))
	if lock.Fence() != fence {
		t.Fatal("it was acquired anew")
	}
	must(t, lock.Unlock())
	must(t, openTest(t, s.url()).NewLock("n", nil).Lock(ctx))
}

// Only what is Detached outlives its client.
func TestCloseReleasesAllButDetachedLocks(t *testing.T) {
	s := startServer(t)
	client := openTest(t, s.url())
	must(t, client.NewLock("stays", &LockOptions{Detached: true}).Lock(context.Background()))
	must(t, client.NewLock("goes", nil).Lock(context.Background()))
	must(t, client.Close())
	if s.redis("EXISTS", "pawl:stays") != "1\n" || s.redis("EXISTS", "pawl:goes") != "0\n" {
		t.Fatal("the wrong one is left")
	}
}

// ---- RedisLock -----------------------------------------------------------------------------------

func TestARedisLockThatIsNotHeld(t *testing.T) {
	t.Setenv("PAWL_STORE", "memory:"+t.Name())
	defer closeDefaults()
	lock := &RedisLock{Key: "n", Timeout: 10}
	for round := 0; round < 2; round++ {
		if lock.Fence() != 0 {
			t.Fatal(lock.Fence())
		}
		await(t, "a closed channel", lock.Lost())
		err := lock.Unlock()
		expect(t, err, ErrNotHeld)
		if !strings.Contains(err.Error(), `"n"`) {
			t.Fatal("which one? ", err)
		}
		must(t, lock.Lock())
		if lock.Fence() == 0 {
			t.Fatal("no fence")
		}
		select {
		case <-lock.Lost():
			t.Fatal("lost")
		default:
		}
		must(t, lock.Unlock())
	}
}

// One RedisLock is shared by goroutines as one Lock is, with a client of its own and without.
func TestARedisLockMayBeShared(t *testing.T) {
	t.Setenv("PAWL_STORE", "memory:"+t.Name())
	defer closeDefaults()
	for _, own := range []*Client{nil, openTest(t, "memory:"+t.Name())} {
		lock := &RedisLock{Key: "n", Timeout: 10, Client: own}
		counter := 0
		var all sync.WaitGroup
		for i := 0; i < 10; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for j := 0; j < 10; j++ {
					if err := lock.Lock(); err != nil {
						t.Error(err)
						return
					}
					counter++
					if err := lock.Unlock(); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		all.Wait()
		if counter != 100 {
			t.Fatal(counter)
		}
	}
}

func TestTheClientOfARedisLockIsTheOneThatWasGiven(t *testing.T) {
	t.Setenv("PAWL_STORE", "memory:"+t.Name())
	defer closeDefaults()
	own := openTest(t, "memory:"+t.Name())
	lock := &RedisLock{Key: "n", Timeout: 10, Client: own}
	must(t, lock.Lock())
	must(t, lock.Unlock())
	must(t, own.Close())
	expect(t, lock.Lock(), ErrClosed) // another client would be another store, perhaps
	first, err := DefaultClient()
	must(t, err)
	second, err := DefaultClient()
	must(t, err)
	if first != second || first == own {
		t.Fatal("there is one default client")
	}
}

// safeBuffer is written by a goroutine of pawl's.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.text.Write(p)
	select {
	case b.news <- struct{}{}:
	default:
	}
	return n, err
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestTheDefaultClientsWarningsAreLogged(t *testing.T) {
	buffer := &safeBuffer{news: make(chan struct{}, 1)}
	saved := log.Writer()
	log.SetOutput(buffer)
	defer log.SetOutput(saved)
	t.Setenv("PAWL_STORE", "memory:") // it warns that nobody else sees its locks
	defer closeDefaults()
	_, err := DefaultClient()
	must(t, err)
	await(t, "the warning", buffer.news)
	if text := buffer.String(); !strings.Contains(text, "pawl: warning: ") || strings.Count(text, "\n") != 1 {
		t.Fatalf("%q", text)
	}
}
