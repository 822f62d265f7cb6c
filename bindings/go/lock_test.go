// SPDX-License-Identifier: MIT

package pawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func openTest(t *testing.T, url string) *Client {
	t.Helper()
	client, err := Open(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got %v, expected %v", err, target)
	}
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("never came: " + what)
	}
}

// onEveryStore runs a test on the stores that need nothing but this machine.
func onEveryStore(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("memory", func(t *testing.T) { test(t, "memory:"+t.Name()) })
	t.Run("sqlite", func(t *testing.T) {
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "locks.db"))
	})
	t.Run("redis", func(t *testing.T) { test(t, startServer(t).url()) })
}

func TestLockAndUnlock(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, b := openTest(t, url).NewLock("n", nil), openTest(t, url).NewLock("n", nil)
		ctx := context.Background()
		must(t, a.Lock(ctx))
		first := a.Fence()
		if first == 0 || !a.Held() || a.Remaining() <= 0 || a.Err() != nil {
			t.Fatal("held, but it does not say so")
		}
		expect(t, b.TryLock(ctx), ErrBusy)
		short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		expect(t, b.Lock(short), context.DeadlineExceeded)
		must(t, a.Unlock())
		if a.Held() || a.Fence() != 0 {
			t.Fatal("not held, but it says so")
		}
		expect(t, a.Unlock(), ErrNotHeld)
		must(t, b.Lock(ctx))
		if b.Fence() <= first {
			t.Fatalf("fence %d after %d", b.Fence(), first)
		}
		must(t, b.Unlock())
	})
}

func TestWaiterIsHandedTheLock(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := context.Background()
		holder, waiting := openTest(t, url), openTest(t, url)
		a, b := holder.NewLock("n", nil), waiting.NewLock("n", nil)
		must(t, a.Lock(ctx))
		got := make(chan error)
		go func() { got <- b.Lock(ctx) }()
		await(t, "the news that somebody waits", a.Wanted())
		info, err := holder.Inspect(ctx, "n")
		must(t, err)
		if !info.Held || info.Waiters != 1 || info.Owner != holder.Owner() ||
			info.Fence != a.Fence() || len(info.HeldBy) != 1 || info.HeldBy[0].Owner != info.Owner {
			t.Fatalf("inspect: %+v", info)
		}
		must(t, a.Unlock())
		must(t, <-got)
		must(t, b.Unlock())
	})
}

// One Lock shared by goroutines, and Locks of their own: a plain counter stays whole.
func TestGoroutinesExcludeEachOther(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		const goroutines, rounds = 20, 10
		client := openTest(t, url)
		shared := client.NewLock("n", nil)
		counter := 0 // the race detector watches, too
		var wg sync.WaitGroup
		for i := 0; i < goroutines; i++ {
			lock := shared
			if i%2 == 0 {
				lock = client.NewLock("n", nil)
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				for j := 0; j < rounds; j++ {
					err := lock.Do(context.Background(), func(context.Context) error {
						counter++
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			}()
		}
		wg.Wait()
		if counter != goroutines*rounds {
			t.Fatalf("%d increments survived of %d", counter, goroutines*rounds)
		}
	})
}

func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for _, line := range bytes.Split(status, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("Threads:")) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(line[8:])))
			must(t, err)
			return n
		}
	}
	t.Fatal("no Threads: in /proc/self/status")
	return 0
}

func TestThousandWaitersNeedFewThreads(t *testing.T) {
	s := startServer(t)
	ctx := context.Background()
	const waiters = 1000
	outside := openTest(t, s.url()).NewLock("n", nil)
	must(t, outside.Lock(ctx))
	client := openTest(t, s.url())
	before := threads(t)
	counter := 0
	var started, ended sync.WaitGroup
	for i := 0; i < waiters; i++ {
		started.Add(1)
		ended.Add(1)
		go func() {
			defer ended.Done()
			lock := client.NewLock("n", nil)
			started.Done()
			if err := lock.Lock(ctx); err != nil {
				t.Error(err)
				return
			}
			counter++
			must(t, lock.Unlock())
		}()
	}
	started.Wait()
	await(t, "the news that somebody waits", outside.Wanted())
	pending := func() int {
		n := 0
		client.held.Range(func(_, _ interface{}) bool { n++; return true })
		return n
	}
	for end := time.Now().Add(patience); pending() < waiters; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("only %d of %d wait", pending(), waiters)
		}
	}
	more := threads(t) - before
	must(t, outside.Unlock())
	ended.Wait()
	if counter != waiters {
		t.Fatalf("%d increments survived of %d", counter, waiters)
	}
	if more > 20 {
		t.Fatalf("%d goroutines waited on %d more threads", waiters, more)
	}
	t.Logf("%d goroutines waited on %d more threads", waiters, more)
}

func TestLossIsTold(t *testing.T) {
	s := startServer(t)
	ctx := context.Background()
	client := openTest(t, s.url())
	lock := client.NewLock("n", &LockOptions{TTL: time.Second})
	must(t, lock.Lock(ctx))
	inner, cancel := lock.Context(ctx)
	defer cancel()
	s.signal(syscall.SIGSTOP) // nothing can be renewed
	defer s.signal(syscall.SIGCONT)
	await(t, "the loss", lock.Lost())
	await(t, "the end of the context", inner.Done())
	if lock.Held() {
		t.Fatal("lost, but held")
	}
	if lock.Err() == nil {
		t.Fatal("lost without a reason")
	}
	expect(t, lock.Unlock(), ErrLost)
	s.signal(syscall.SIGCONT)
	must(t, lock.Lock(ctx)) // everything recovers by itself
	must(t, lock.Unlock())
}

func TestSomebodyElsesTokenIsALoss(t *testing.T) {
	s := startServer(t)
	lock := openTest(t, s.url()).NewLock("n", &LockOptions{TTL: renewedSoon})
	must(t, lock.Lock(context.Background()))
	if s.redis("DEL", "pawl:n") != "1\n" {
		t.Fatal("the key is called otherwise")
	}
	await(t, "the loss", lock.Lost())
	expect(t, lock.Unlock(), ErrLost)
}

func TestDoTellsItsFunction(t *testing.T) {
	s := startServer(t)
	lock := openTest(t, s.url()).NewLock("n", &LockOptions{TTL: time.Second})
	err := lock.Do(context.Background(), func(ctx context.Context) error {
		s.signal(syscall.SIGSTOP)
		await(t, "the end of the context", ctx.Done())
		return nil
	})
	s.signal(syscall.SIGCONT)
	expect(t, err, ErrLost)
	oops := errors.New("oops")
	expect(t, lock.Do(context.Background(), func(context.Context) error { return oops }), oops)
	must(t, lock.TryLock(context.Background())) // it was unlocked
	must(t, lock.Unlock())
}

func TestCancelLeavesTheQueue(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := context.Background()
		holder := openTest(t, url)
		a := holder.NewLock("n", nil)
		must(t, a.Lock(ctx))
		waiting := openTest(t, url)
		for i := 0; i < 20; i++ {
			short, cancel := context.WithCancel(ctx)
			got := make(chan error)
			go func() { got <- waiting.NewLock("n", nil).Lock(short) }()
			if i == 0 {
				await(t, "the news that somebody waits", a.Wanted())
			}
			cancel()
			expect(t, <-got, context.Canceled)
		}
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			info, err := holder.Inspect(ctx, "n")
			must(t, err)
			if info.Waiters == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d waiters stayed behind", info.Waiters)
			}
		}
		must(t, a.Unlock())
		expect(t, a.Lock(canceled()), context.Canceled)
		expect(t, a.TryLock(canceled()), context.Canceled)
	})
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCloseTellsEverybody(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := context.Background()
		client, other := openTest(t, url), openTest(t, url)
		held, foreign := client.NewLock("held", nil), other.NewLock("busy", nil)
		must(t, held.Lock(ctx))
		must(t, foreign.Lock(ctx))
		got := make(chan error)
		go func() { got <- client.NewLock("busy", nil).Lock(ctx) }()
		await(t, "the news that somebody waits", foreign.Wanted())
		lost := held.Lost()
		must(t, client.Close())
		expect(t, <-got, ErrClosed)
		await(t, "the loss by closing", lost)
		if held.Held() {
			t.Fatal("held by a closed client")
		}
		if err := held.Unlock(); err == nil {
			t.Fatal("unlocked by a closed client")
		}
		expect(t, client.NewLock("x", nil).Lock(ctx), ErrClosed)
		_, err := client.Inspect(ctx, "x")
		expect(t, err, ErrClosed)
		must(t, client.Close())
		must(t, other.NewLock("held", nil).Lock(ctx)) // it was released
	})
}

// Those who share a Lock wait for their turn here, before the store hears of them.
func TestCloseWakesThoseWhoWaitForTheirTurn(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	got := make(chan error)
	for i := 0; i < 10; i++ {
		go func() { got <- lock.Lock(context.Background()) }()
	}
	must(t, client.Close())
	for i := 0; i < 10; i++ {
		select {
		case err := <-got:
			expect(t, err, ErrClosed)
		case <-time.After(patience):
			t.Fatal("still waiting for a turn")
		}
	}
}

func TestAHungStoreBlocksNeitherInspectNorClose(t *testing.T) {
	s := startServer(t)
	client, err := Open(s.url(), &Options{StoreTimeout: time.Hour})
	must(t, err)
	must(t, client.NewLock("warm", nil).Lock(context.Background()))
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	ask := func(ctx context.Context) chan error {
		got := make(chan error, 1)
		go func() {
			_, err := client.Inspect(ctx, "n")
			got <- err
		}()
		time.Sleep(50 * time.Millisecond) // until it has asked; nothing tells
		return got
	}
	result := func(got chan error) error {
		select {
		case err := <-got:
			return err
		case <-time.After(patience):
			t.Fatal("it still waits for the store")
			return nil
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	canceled := ask(ctx)
	cancel()
	expect(t, result(canceled), context.Canceled)
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	expect(t, result(ask(short)), context.DeadlineExceeded)

	pending := ask(context.Background())
	closed := make(chan error, 1)
	go func() { closed <- client.Close() }()
	must(t, result(closed))
	expect(t, result(pending), ErrClosed)
}

// The context's deadline and the store's patience must not race for who is first.
func TestInspectEndsAsItsContextDoes(t *testing.T) {
	s := startServer(t)
	client, err := Open(s.url(), &Options{StoreTimeout: time.Hour})
	must(t, err)
	defer client.Close()
	must(t, client.NewLock("warm", nil).Lock(context.Background()))
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	var wg sync.WaitGroup
	for i := 0; i < 200; i++ {
		wg.Add(1)
		go func(after time.Duration) {
			defer wg.Done()
			ctx, cancel := context.WithTimeout(context.Background(), after)
			defer cancel()
			if _, err := client.Inspect(ctx, "n"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %v: %v", after, err)
			}
		}(20*time.Millisecond + time.Duration(i)*100*time.Microsecond)
	}
	wg.Wait()
}

// What only the store can know is in its words.
func TestTheStoresReasonIsTold(t *testing.T) {
	s := startServer(t)
	client := openTest(t, s.url()+"?db=99")
	err := client.NewLock("n", nil).Lock(context.Background())
	expect(t, err, ErrOption)
	if !strings.Contains(err.Error(), "DB index is out of range") ||
		!strings.Contains(err.Error(), s.socket) {
		t.Fatal(err)
	}
	_, err = client.Inspect(context.Background(), "n")
	expect(t, err, ErrOption)
	if !strings.Contains(err.Error(), "DB index is out of range") {
		t.Fatal(err)
	}
}

func TestMisuseIsReported(t *testing.T) {
	ctx := context.Background()
	client := openTest(t, "memory:")
	expect(t, client.NewLock("", nil).Lock(ctx), ErrName)
	expect(t, client.NewLock("a\x00b", nil).Lock(ctx), ErrName)
	expect(t, client.NewLock(strings.Repeat("x", 513), nil).Lock(ctx), ErrName)
	expect(t, client.NewLock("n", &LockOptions{TTL: time.Millisecond}).Lock(ctx), ErrTTL)
	expect(t, client.NewLock("n", &LockOptions{TTL: -1}).Lock(ctx), ErrTTL)
	expect(t, client.NewLock("n", &LockOptions{TTL: 25 * time.Hour}).Lock(ctx), ErrTTL)
	expect(t, client.NewLock("n", &LockOptions{Owner: "a\nb"}).Lock(ctx), ErrOwner)
	_, err := Open("memory:", &Options{Owner: "a\x00b"})
	expect(t, err, ErrOwner)
	_, err = Open("nosuch://h", nil)
	expect(t, err, ErrScheme)
	_, err = Open("redis://user:hunter2@h:port", nil)
	expect(t, err, ErrURL)
	if strings.Contains(err.Error(), "hunter2") {
		t.Fatal("a secret in " + err.Error())
	}
	if ErrBusy.Name() != "PAWL_ERR_BUSY" || ErrBusy.Error() == "" {
		t.Fatal(ErrBusy.Name())
	}
}

func TestAStoreThatIsNotThere(t *testing.T) {
	client, err := Open("redis+unix:///nonexistent/socket",
		&Options{StoreTimeout: 100 * time.Millisecond})
	must(t, err)
	defer client.Close()
	err = client.NewLock("n", nil).Lock(context.Background())
	expect(t, err, ErrUnavailable)
	if !strings.Contains(err.Error(), "/nonexistent/socket") {
		t.Fatalf("which store? %v", err)
	}
}

func TestConfig(t *testing.T) {
	s := startServer(t)
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.conf")
	text := fmt.Sprintf("appname = x\n[cache]\nadapter = redis\nconn = %s\ndbnum = 1\nkey = k\n", s.socket)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	client, err := OpenConfig(path, &Options{Owner: "label"})
	must(t, err)
	defer client.Close()
	if client.Owner() != "label" {
		t.Fatal(client.Owner())
	}
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(ctx))
	if s.redis("-n", "1", "EXISTS", "k:n") != "1\n" {
		t.Fatal("the lock is not where the configuration says: " + s.redis("-n", "1", "KEYS", "*"))
	}
	must(t, lock.Unlock())
	url, err := ConfigURL(path)
	must(t, err)
	if url != "redis+unix://"+s.socket+"?db=1&prefix=k%3A" {
		t.Fatal(url)
	}
	must(t, os.WriteFile(path, []byte("a = 1\nrubbish\n"), 0o600))
	_, err = ConfigURL(path)
	expect(t, err, ErrOption)
	_, err = OpenConfig(path, nil)
	expect(t, err, ErrOption)
	if !strings.Contains(err.Error(), "app.conf:2: expected") {
		t.Fatal(err)
	}
}

func TestRedisLock(t *testing.T) {
	s := startServer(t)
	t.Setenv("PAWL_STORE", s.url())
	t.Setenv("BEEGO_RUNMODE", "")
	defer closeDefaults()
	a := &RedisLock{Key: "counter", Token: "node-1", Timeout: 10}
	b := &RedisLock{Key: "counter", Token: "node-2", Timeout: 10 * time.Second}
	must(t, a.Lock())
	if ttl := s.redis("TTL", "pawl:counter"); ttl != "10\n" && ttl != "9\n" {
		t.Fatal("ttl " + ttl)
	}
	if token := s.redis("GET", "pawl:counter"); strings.Contains(token, "node-1") {
		t.Fatal("the token can be guessed: " + token)
	}
	observer := openTest(t, s.url())
	info, err := observer.Inspect(context.Background(), "counter")
	must(t, err)
	if info.Owner != "node-1" {
		t.Fatalf("%+v", info)
	}
	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	expect(t, b.LockContext(short), context.DeadlineExceeded)
	expect(t, b.Unlock(), ErrNotHeld) // somebody else's lock stays
	fence := a.Fence()
	must(t, a.Unlock())
	must(t, b.Lock())
	if b.Fence() <= fence {
		t.Fatalf("fence %d after %d", b.Fence(), fence)
	}
	info, err = observer.Inspect(context.Background(), "counter")
	must(t, err)
	if info.Owner != "node-2" {
		t.Fatalf("%+v", info)
	}
	must(t, b.Unlock())
	await(t, "the end", b.Lost())

	broken := &RedisLock{Key: "", Token: "t", Timeout: 10}
	expect(t, broken.Lock(), ErrName)
}

// The token is a label of each lock; the locks share one client, whatever their labels.
func TestEveryRedisLockHasItsLabel(t *testing.T) {
	url := "memory:" + t.Name()
	t.Setenv("PAWL_STORE", url)
	t.Setenv("BEEGO_RUNMODE", "")
	defer closeDefaults()
	observer := openTest(t, url)
	own := openTest(t, url)
	for i := 0; i < 100; i++ {
		lock := &RedisLock{Key: "n", Token: fmt.Sprint("t", i), Timeout: 10}
		if i%2 == 1 {
			lock.Client = own
		}
		must(t, lock.Lock())
		info, err := observer.Inspect(context.Background(), "n")
		must(t, err)
		if info.Owner != lock.Token {
			t.Fatalf("%q is shown as %q", lock.Token, info.Owner)
		}
		must(t, lock.Unlock())
	}
	for _, token := range []string{"two\nlines", "a\x00b", strings.Repeat("x", 256)} {
		expect(t, (&RedisLock{Key: "n", Token: token, Timeout: 10}).Lock(), ErrOwner)
	}
}

func closeDefaults() {
	defaults.Lock()
	client := defaults.client
	defaults.client = nil
	defaults.Unlock()
	if client != nil {
		client.Close()
	}
}

// Clients that come and go under load: what -race and the C library's asserts are for.
func TestOpenAndCloseUnderLoad(t *testing.T) {
	url := startServer(t).url()
	var done int32
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for round := 0; round < 10; round++ {
				client, err := Open(url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var users sync.WaitGroup
				for j := 0; j < 5; j++ {
					users.Add(1)
					go func() {
						defer users.Done()
						lock := client.NewLock("n", nil)
						for lock.Lock(context.Background()) == nil {
							atomic.AddInt32(&done, 1)
							_ = lock.Unlock()
						}
					}()
				}
				for target := atomic.LoadInt32(&done) + 5; atomic.LoadInt32(&done) < target; {
					time.Sleep(time.Millisecond)
				}
				client.Close()
				users.Wait()
			}
		}()
	}
	wg.Wait()
}
