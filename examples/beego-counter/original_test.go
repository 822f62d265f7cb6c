// SPDX-License-Identifier: MIT

// Each flaw of the tutorial's lock, shown on a real Redis, and beside it what
// pawl does in the same place. docs/tutorial.md tells the story.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"beego-counter/models"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

func startRedis(t *testing.T, options ...string) string {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIP: there is no redis-server")
	}
	address := freeAddress(t)
	start(t, nil, server, append([]string{"--port", portOf(address), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", t.TempDir()}, options...)...)
	awaitListener(t, address)
	return address
}

func openPawl(t *testing.T, address string) *pawl.Client {
	t.Helper()
	client, err := pawl.Open("redis://"+address, nil)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func redisCli(t *testing.T, address string, args ...string) string {
	t.Helper()
	all := append([]string{"-h", "127.0.0.1", "-p", portOf(address)}, args...)
	out, err := exec.Command("redis-cli", all...).Output()
	must(t, err)
	return string(out)
}

func openStore(address string) *models.Store {
	store, err := models.Open("redis://" + address)
	if err != nil {
		panic(err)
	}
	return store
}

func original(address string) *models.OriginalLock {
	return &models.OriginalLock{Store: openStore(address), Key: "lock", Token: "token", Timeout: 1}
}

// lockSoon tells whether lock succeeds before the time is over.
func lockSoon(lock func() error, within time.Duration) bool {
	got := make(chan error, 1)
	go func() { got <- lock() }()
	select {
	case err := <-got:
		return err == nil
	case <-time.After(within):
		return false
	}
}

// ---- 1. Nothing renews the lease ----------------------------------------------------

func TestFlaw1NothingRenewsTheLease(t *testing.T) {
	address := startRedis(t)
	a, b := original(address), original(address)
	must(t, a.Lock()) // for one second, whatever the work takes
	if !lockSoon(b.Lock, 3*time.Second) {
		t.Fatal("the original renews after all")
	}

	client, other := openPawl(t, address), openPawl(t, address)
	lock := client.NewLock("n", &pawl.LockOptions{TTL: time.Second})
	must(t, lock.Lock(context.Background()))
	short, cancel := context.WithTimeout(context.Background(), 2500*time.Millisecond)
	defer cancel()
	if err := other.NewLock("n", nil).Lock(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("another got in: %v", err)
	}
	must(t, lock.Unlock())
}

// ---- 2. Unlock removes whoever's lock is there; 3. the loser is not told ---------------

func TestFlaw2UnlockRemovesSomebodyElsesLock(t *testing.T) {
	address := startRedis(t)
	a, b, c := original(address), original(address), original(address)
	must(t, a.Lock())
	must(t, b.Lock())                  // a's second is over
	if err := a.Unlock(); err != nil { // it had lost its lock, and hears nothing of it
		t.Fatal("the original tells after all")
	}
	if !lockSoon(c.Lock, 500*time.Millisecond) { // b has held it for a moment only
		t.Fatal("the original compares tokens after all")
	}

	client, other := openPawl(t, address), openPawl(t, address)
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	if err := other.NewLock("n", nil).Unlock(); !errors.Is(err, pawl.ErrNotHeld) {
		t.Fatal(err)
	}
	if !lock.Held() || redisCli(t, address, "EXISTS", "pawl:n") != "1\n" {
		t.Fatal("it removed somebody else's lock")
	}
	must(t, lock.Unlock())
}

func TestFlaw3TheLoserIsNotTold(t *testing.T) {
	address := startRedis(t)
	a := original(address)
	must(t, a.Lock())
	redisCli(t, address, "DEL", "lock") // whatever the reason: it is lost
	if err := a.Unlock(); err != nil {
		t.Fatal("the original tells after all")
	}

	lock := openPawl(t, address).NewLock("n", &pawl.LockOptions{TTL: 300 * time.Millisecond})
	must(t, lock.Lock(context.Background()))
	redisCli(t, address, "DEL", "pawl:n")
	select {
	case <-lock.Lost():
	case <-time.After(patience):
		t.Fatal("pawl does not tell")
	}
	if err := lock.Unlock(); !errors.Is(err, pawl.ErrLost) {
		t.Fatal(err)
	}
}

// ---- 4. A waiter sleeps while the lock is free ------------------------------------------

const handOffs = 20

// meanHandOff is the time from an unlock to the waiter's lock. begin starts a waiter, which
// closes got when it has the lock; it is called when the waiter has begun to wait.
func meanHandOff(t *testing.T, lock, unlock func() error, begin func(got chan<- time.Time)) time.Duration {
	t.Helper()
	var total time.Duration
	for i := 0; i < handOffs; i++ {
		must(t, lock())
		got := make(chan time.Time, 1)
		begin(got)
		released := time.Now()
		must(t, unlock())
		total += (<-got).Sub(released)
	}
	return total / handOffs
}

func setCalls(t *testing.T, address string) int {
	t.Helper()
	found := regexp.MustCompile(`cmdstat_set:calls=(\d+)`).FindStringSubmatch(
		redisCli(t, address, "INFO", "commandstats"))
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	must(t, err)
	return n
}

func TestFlaw4AWaiterSleepsWhileTheLockIsFree(t *testing.T) {
	address := startRedis(t)
	holder, waiter := original(address), original(address)
	holder.Timeout, waiter.Timeout = 60, 60
	slow := meanHandOff(t, holder.Lock, holder.Unlock, func(got chan<- time.Time) {
		before := setCalls(t, address)
		go func() {
			if waiter.Lock() == nil {
				got <- time.Now()
				_ = waiter.Unlock()
			}
		}()
		for setCalls(t, address) == before { // until it has tried, and sleeps
		}
	})

	ctx := context.Background()
	a, b := openPawl(t, address).NewLock("n", nil), openPawl(t, address).NewLock("n", nil)
	quick := meanHandOff(t, func() error { return a.Lock(ctx) }, a.Unlock, func(got chan<- time.Time) {
		wanted := a.Wanted()
		go func() {
			if b.Lock(ctx) == nil {
				got <- time.Now()
				_ = b.Unlock()
			}
		}()
		<-wanted
	})
	t.Logf("from one's unlock to the other's lock: original %v, pawl %v", slow, quick)
	if slow < 15*time.Millisecond || quick > slow/2 {
		t.Fatal("the original is as quick")
	}
}

// ---- 5. Waiters have no order; 6. and hammer the server ---------------------------------

func TestFlaw5WaitersHaveNoOrder(t *testing.T) {
	const waiters = 10
	address := startRedis(t)
	inOrder := func(order []int) bool {
		for i := range order {
			if order[i] != i {
				return false
			}
		}
		return len(order) == waiters
	}
	var mu sync.Mutex
	var order []int
	serve := func(i int) {
		mu.Lock()
		order = append(order, i)
		mu.Unlock()
	}

	first := original(address)
	first.Timeout = 60
	must(t, first.Lock())
	var all sync.WaitGroup
	for i := 0; i < waiters; i++ {
		before := setCalls(t, address)
		lock, i := original(address), i
		all.Add(1)
		go func() {
			defer all.Done()
			if err := lock.Lock(); err != nil {
				t.Error(err)
			}
			serve(i)
			_ = lock.Unlock()
		}()
		for setCalls(t, address) == before {
		}
	}
	must(t, first.Unlock())
	all.Wait()
	t.Logf("original: %v", order)
	if inOrder(order) {
		t.Fatal("by a chance of one in 3 628 800 the original kept the order")
	}

	order = nil
	ctx := context.Background()
	client := openPawl(t, address)
	head := client.NewLock("n", nil)
	must(t, head.Lock(ctx))
	for i := 0; i < waiters; i++ {
		lock, i := openPawl(t, address).NewLock("n", nil), i
		all.Add(1)
		go func() {
			defer all.Done()
			if err := lock.Lock(ctx); err != nil {
				t.Error(err)
			}
			serve(i)
			_ = lock.Unlock()
		}()
		for {
			info, err := client.Inspect(ctx, "n")
			must(t, err)
			if info.Waiters == i+1 {
				break
			}
		}
	}
	must(t, head.Unlock())
	all.Wait()
	t.Logf("pawl:     %v", order)
	if !inOrder(order) {
		t.Fatal("pawl did not keep the order")
	}
}

func commands(t *testing.T, address string) int {
	t.Helper()
	found := regexp.MustCompile(`total_commands_processed:(\d+)`).FindStringSubmatch(
		redisCli(t, address, "INFO", "stats"))
	n, err := strconv.Atoi(found[1])
	must(t, err)
	return n
}

func TestFlaw6WaitersHammerTheServer(t *testing.T) {
	const waiters, span = 20, 2 * time.Second
	address := startRedis(t)
	first := original(address)
	first.Timeout = 60
	must(t, first.Lock())
	var all sync.WaitGroup
	for i := 0; i < waiters; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			lock := original(address)
			if lock.Lock() == nil {
				_ = lock.Unlock()
			}
		}()
	}
	before := commands(t, address)
	time.Sleep(span) // the measurement
	polled := commands(t, address) - before
	must(t, first.Unlock())
	all.Wait()

	ctx := context.Background()
	client := openPawl(t, address)
	head := client.NewLock("n", nil)
	must(t, head.Lock(ctx))
	for i := 0; i < waiters; i++ {
		lock := openPawl(t, address).NewLock("n", nil)
		all.Add(1)
		go func() {
			defer all.Done()
			if lock.Lock(ctx) == nil {
				_ = lock.Unlock()
			}
		}()
	}
	for {
		info, err := client.Inspect(ctx, "n")
		must(t, err)
		if info.Waiters == waiters {
			break
		}
	}
	before = commands(t, address)
	time.Sleep(span) // the measurement
	waited := commands(t, address) - before
	must(t, head.Unlock())
	all.Wait()
	t.Logf("%d waiters for %v: original %d commands, pawl %d", waiters, span, polled, waited)
	if polled < 10*waiters || waited > 2*waiters {
		t.Fatal("the original polls no more than pawl")
	}
}

// ---- 7. A lost reply leaves a lock that nobody holds --------------------------------------

// muteProxy passes everything on, until it is told to swallow the next answer and hang up.
type muteProxy struct {
	address string
	mute    int32 // atomic
}

func startProxy(t *testing.T, to string) *muteProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	p := &muteProxy{address: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go p.answer(client, server)
		}
	}()
	return p
}

func (p *muteProxy) answerNoMore() { atomic.StoreInt32(&p.mute, 1) }

func (p *muteProxy) answer(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	buffer := make([]byte, 65536)
	for {
		n, err := server.Read(buffer)
		if err != nil || atomic.CompareAndSwapInt32(&p.mute, 1, 0) {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestFlaw7ALostReplyLeavesALockThatNobodyHolds(t *testing.T) {
	address := startRedis(t)
	proxy := startProxy(t, address)
	a := original(proxy.address)
	a.Timeout = 60
	proxy.answerNoMore()
	if err := a.Lock(); err == nil {
		t.Fatal("the original asks again after all")
	}
	if redisCli(t, address, "EXISTS", "lock") != "1\n" {
		t.Fatal("the original cleans up after all")
	}

	ctx := context.Background()
	client := openPawl(t, proxy.address)
	warm := client.NewLock("warm", nil) // connected, scripts loaded
	must(t, warm.Lock(ctx))
	must(t, warm.Unlock())
	for {
		info, err := client.Inspect(ctx, "warm") // its release has been answered
		must(t, err)
		if !info.Held {
			break
		}
	}
	proxy.answerNoMore()
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(ctx)) // it asks again, with the same token
	if atomic.LoadInt32(&proxy.mute) != 0 {
		t.Fatal("no reply was lost")
	}
	must(t, lock.Unlock())
	must(t, openPawl(t, address).NewLock("n", nil).Lock(ctx)) // nothing stayed behind
}

// ---- 8. Nothing stops a late write: TestTheOriginalLosesIncrements; -----------------------
// ---- 9. and its counter is one process's variable ------------------------------------------

func TestFlaw9TheCounterIsOneProcesssVariable(t *testing.T) {
	f := startFleet(t)
	for i := 0; i < 10; i++ {
		if _, err := get(f.instances[i%2] + "/original/add"); err != nil {
			t.Fatal(err)
		}
	}
	for i, instance := range f.instances {
		text, err := get(instance + "/original/variable")
		must(t, err)
		if text != "5" {
			t.Fatalf("instance %d has counted %s", i, text)
		}
	}
	for i := 0; i < 10; i++ {
		text, err := get(f.instances[i%2] + "/add")
		must(t, err)
		if text != fmt.Sprint(i+1) {
			t.Fatalf("pawl's counter says %s after %d", text, i+1)
		}
	}
}
