// SPDX-License-Identifier: MIT

package pawl

import (
	"context"
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// onEveryGrantor runs a test on the stores that grant the mode; the others must say that they do not.
func onEveryGrantor(t *testing.T, mode Mode, test func(t *testing.T, url string)) {
	onEveryStore(t, func(t *testing.T, url string) {
		client := openTest(t, url)
		caps, err := client.Caps(context.Background())
		must(t, err)
		if caps.Grants(mode) {
			test(t, url)
			return
		}
		_, err = client.NewSemaphore("n", 2, nil).Acquire(context.Background(), 1)
		if mode != ModePermit {
			err = client.NewLock("n", &LockOptions{Mode: mode}).Lock(context.Background())
		}
		expect(t, err, ErrUnsupported)
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// read, write and so on, of the first and of another client.
func rwLocks(t *testing.T, url string) (a, b *RWLock) {
	t.Helper()
	return openTest(t, url).NewRWLock("n", nil), openTest(t, url).NewRWLock("n", nil)
}

func TestReadersShareAndAWriterIsAlone(t *testing.T) {
	onEveryGrantor(t, ModeShared, func(t *testing.T, url string) {
		ctx := within(t)
		a, b := rwLocks(t, url)
		one, err := a.RLock(ctx)
		must(t, err)
		two, err := a.RLock(ctx) // one client's readers may be many
		must(t, err)
		three, err := b.TryRLock(ctx)
		must(t, err)
		_, err = b.TryLock(ctx)
		expect(t, err, ErrBusy)
		if !one.Held() || !two.Held() || !three.Held() || three.Mode() != ModeShared {
			t.Fatal("three readers, and they do not say so")
		}
		granted := make(chan *Lock)
		go func() {
			writer, err := b.Lock(ctx)
			if err != nil {
				t.Error(err)
			}
			granted <- writer
		}()
		await(t, "the news that somebody waits", one.Wanted())
		must(t, two.Unlock())
		must(t, three.Unlock())
		most := one.Fence()
		select {
		case <-granted:
			t.Fatal("a writer beside a reader")
		default:
		}
		must(t, one.Unlock())
		writer := <-granted
		if writer.Fence() <= most || writer.Mode() != ModeExclusive {
			t.Fatalf("fence %d after %d, mode %v", writer.Fence(), most, writer.Mode())
		}
		_, err = a.TryRLock(ctx)
		expect(t, err, ErrBusy)
		must(t, writer.Unlock())
		must(t, a.RDo(ctx, func(context.Context) error { return nil }))
		must(t, a.Do(ctx, func(context.Context) error { return nil }))
	})
}

func TestAWriterThatWaitsStopsLaterReaders(t *testing.T) {
	onEveryGrantor(t, ModeShared, func(t *testing.T, url string) {
		ctx := within(t)
		a, b := rwLocks(t, url)
		reader, err := a.RLock(ctx)
		must(t, err)
		var order []string
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			writer, err := b.Lock(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			order = append(order, "writer")
			must(t, writer.Unlock())
		}()
		await(t, "the news that somebody waits", reader.Wanted())
		late := openTest(t, url).NewRWLock("n", nil)
		_, err = late.TryRLock(ctx)
		expect(t, err, ErrBusy)
		must(t, reader.Unlock())
		must(t, late.RDo(ctx, func(context.Context) error {
			order = append(order, "reader")
			return nil
		}))
		wg.Wait()
		if len(order) != 2 || order[0] != "writer" {
			t.Fatal(order)
		}
	})
}

func TestUpgradeAndDowngrade(t *testing.T) {
	onEveryGrantor(t, ModeUpdate, func(t *testing.T, url string) {
		ctx := within(t)
		a, b := rwLocks(t, url)
		held, err := a.ULock(ctx)
		must(t, err)
		_, err = b.TryULock(ctx)
		expect(t, err, ErrBusy) // there is one at a time, so two upgrades never wait for each other
		reader, err := b.RLock(ctx)
		must(t, err)
		before := held.Fence()
		expect(t, held.TryUpgrade(ctx), ErrBusy)
		expect(t, reader.Upgrade(ctx), ErrMode)
		if held.Mode() != ModeUpdate || !held.Held() || held.Fence() != before {
			t.Fatal("an upgrade that was refused changed something")
		}
		upgraded := make(chan error)
		go func() { upgraded <- held.Upgrade(ctx) }()
		await(t, "the news that somebody waits", reader.Wanted())
		expect(t, held.Upgrade(ctx), ErrState)
		must(t, reader.Unlock())
		must(t, <-upgraded)
		after := held.Fence()
		if held.Mode() != ModeExclusive || after <= before {
			t.Fatalf("%v, fence %d after %d", held.Mode(), after, before)
		}
		must(t, held.Upgrade(ctx))
		_, err = b.TryRLock(ctx)
		expect(t, err, ErrBusy)
		must(t, held.Downgrade(ModeUpdate))
		must(t, held.Upgrade(ctx))
		must(t, held.Downgrade(ModeShared))
		expect(t, held.Downgrade(ModeUpdate), ErrMode)
		expect(t, held.Downgrade(ModeExclusive), ErrMode)
		reader, err = b.RLock(ctx)
		must(t, err)
		must(t, reader.Unlock())
		if held.Mode() != ModeShared || held.Fence() < after {
			t.Fatal(held.Mode(), held.Fence())
		}
		must(t, held.Unlock())
		expect(t, held.Upgrade(ctx), ErrNotHeld)
		expect(t, held.Downgrade(ModeShared), ErrNotHeld)
	})
}

// Whatever ends the wait of an upgrade, the lock stays held in update mode.
func TestAnUpgradeEndsWithItsContext(t *testing.T) {
	onEveryGrantor(t, ModeUpdate, func(t *testing.T, url string) {
		ctx := within(t)
		a, b := rwLocks(t, url)
		held, err := a.ULock(ctx)
		must(t, err)
		reader, err := b.RLock(ctx)
		must(t, err)
		expect(t, held.Upgrade(canceled()), context.Canceled)
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		err = held.Upgrade(short)
		expect(t, err, context.DeadlineExceeded)
		expect(t, err, ErrTimeout) // it stayed busy
		waits, stop := context.WithCancel(ctx)
		got := make(chan error)
		go func() { got <- held.Upgrade(waits) }()
		await(t, "the news that somebody waits", reader.Wanted())
		stop()
		expect(t, <-got, context.Canceled)
		if !held.Held() || held.Mode() != ModeUpdate {
			t.Fatal("an upgrade that ended took the lock along")
		}
		must(t, reader.Unlock())
		must(t, held.Upgrade(ctx)) // nothing of the others is left
		must(t, held.Unlock())
	})
}

func TestUnlockAndCloseEndAnUpgrade(t *testing.T) {
	onEveryGrantor(t, ModeUpdate, func(t *testing.T, url string) {
		ctx := within(t)
		for _, end := range []func(client *Client, held *Lock) error{
			func(_ *Client, held *Lock) error { return held.Unlock() },
			func(client *Client, _ *Lock) error { return client.Close() },
		} {
			client := openTest(t, url)
			held, err := client.NewRWLock("n", nil).ULock(ctx)
			must(t, err)
			reader, err := openTest(t, url).NewRWLock("n", nil).RLock(ctx)
			must(t, err)
			got := make(chan error)
			go func() { got <- held.Upgrade(ctx) }()
			await(t, "the news that somebody waits", reader.Wanted())
			must(t, end(client, held))
			err = <-got
			if !errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
			if held.Held() {
				t.Fatal("held, though it was given back")
			}
			must(t, reader.Unlock())
		}
	})
}

// Upgrades, unlocks and cancellations that come at the same moment: for -race, and for handles that
// are freed while somebody waits on them.
func TestUpgradesRaceWithTheirEnd(t *testing.T) {
	onEveryGrantor(t, ModeUpdate, func(t *testing.T, url string) {
		a, b := rwLocks(t, url)
		ctx := within(t)
		for round := 0; round < 60; round++ {
			held, err := a.ULock(ctx)
			must(t, err)
			reader, err := b.RLock(ctx)
			must(t, err)
			waits, stop := context.WithCancel(ctx)
			var wg sync.WaitGroup
			wg.Add(3)
			go func() { defer wg.Done(); _ = held.Upgrade(waits) }()
			go func() { defer wg.Done(); stop(); must(t, reader.Unlock()) }()
			go func() { defer wg.Done(); must(t, held.Unlock()) }()
			wg.Wait()
		}
		must(t, a.Do(ctx, func(context.Context) error { return nil }))
	})
}

func TestReadersAndWritersKeepAPairWhole(t *testing.T) {
	onEveryGrantor(t, ModeShared, func(t *testing.T, url string) {
		const each, rounds = 8, 12
		a, b := rwLocks(t, url)
		ctx := within(t)
		var left, right int // equal whenever nobody writes; the race detector watches, too
		var wg sync.WaitGroup
		work := func(do func(context.Context, func(context.Context) error) error, fn func()) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for i := 0; i < rounds; i++ {
					if err := do(ctx, func(context.Context) error { fn(); return nil }); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		for i := 0; i < each; i++ {
			for _, rw := range []*RWLock{a, b} {
				work(rw.RDo, func() {
					if left != right {
						t.Errorf("a reader beside a writer: %d %d", left, right)
					}
				})
			}
			if i%4 == 0 {
				work(b.Do, func() { left++; right++ })
				work(a.Do, func() { left++; right++ })
			}
		}
		wg.Wait()
		if left != 4*rounds || right != left {
			t.Fatal(left, right)
		}
	})
}

func TestPermitsAndTheirSlots(t *testing.T) {
	onEveryGrantor(t, ModePermit, func(t *testing.T, url string) {
		ctx := within(t)
		a := openTest(t, url).NewSemaphore("n", 3, nil)
		b := openTest(t, url).NewSemaphore("n", 3, nil)
		one, err := a.Acquire(ctx, 1)
		must(t, err)
		two, err := b.TryAcquire(ctx, 2)
		must(t, err)
		taken := append(append([]int{}, one.Slots()...), two.Slots()...)
		sort.Ints(taken)
		if len(taken) != 3 || taken[0] != 0 || taken[1] != 1 || taken[2] != 2 || one.Mode() != ModePermit {
			t.Fatal(one.Slots(), two.Slots(), one.Mode())
		}
		_, err = b.TryAcquire(ctx, 1)
		expect(t, err, ErrBusy)
		info, err := a.client.Inspect(ctx, "n")
		must(t, err)
		if info.Capacity != 3 || info.Holders != 2 || len(info.HeldBy) != 2 || info.Mode != ModePermit ||
			info.HeldBy[0].Units+info.HeldBy[1].Units != 3 || info.HeldBy[1].Fence != info.Fence ||
			info.HeldBy[0].Remaining <= 0 || info.HeldBy[0].Owner == "" {
			t.Fatalf("%+v", info)
		}
		expect(t, one.Upgrade(ctx), ErrMode)
		slot := one.Slots()[0]
		fence := one.Fence()
		must(t, one.Unlock())
		if one.Slots() != nil {
			t.Fatal("slots of nothing")
		}
		must(t, b.Do(ctx, 1, func(_ context.Context, slots []int) error {
			if len(slots) != 1 || slots[0] != slot {
				t.Errorf("slot %v after %d", slots, slot)
			}
			return nil
		}))
		one, err = a.Acquire(ctx, 1)
		must(t, err)
		if one.Slots()[0] != slot || one.Fence() <= fence {
			t.Fatalf("slot %v of fence %d after %d of %d", one.Slots(), one.Fence(), slot, fence)
		}
		must(t, one.Unlock())
		must(t, two.Unlock())
	})
}

func TestWhatIsNoPermitIsRefused(t *testing.T) {
	onEveryGrantor(t, ModePermit, func(t *testing.T, url string) {
		ctx := within(t)
		client, other := openTest(t, url), openTest(t, url)
		for _, wrong := range [][2]int{{0, 1}, {-1, 1}, {1025, 1}, {1<<32 + 3, 1}, {3, 0}, {3, 4}, {3, -1},
			{3, 1<<32 + 1}, {0, 0}} {
			_, err := client.NewSemaphore("n", wrong[0], nil).Acquire(ctx, wrong[1])
			if !errors.Is(err, ErrUnits) {
				t.Fatalf("capacity %d, units %d: %v", wrong[0], wrong[1], err)
			}
		}
		expect(t, client.NewLock("n", &LockOptions{Mode: ModePermit}).Lock(ctx), ErrUnits)
		expect(t, client.NewLock("n", &LockOptions{Mode: 77}).Lock(ctx), ErrUnsupported)
		permit, err := client.NewSemaphore("n", 3, nil).Acquire(ctx, 1)
		must(t, err)
		for _, from := range []*Client{client, other} {
			_, err = from.NewSemaphore("n", 4, nil).Acquire(ctx, 1)
			expect(t, err, ErrCapacity)
			expect(t, from.NewLock("n", nil).Lock(ctx), ErrKind)
			_, err = from.NewRWLock("n", nil).RLock(ctx)
			expect(t, err, ErrKind)
		}
		if !permit.Held() {
			t.Fatal("a refusal took the permit")
		}
		must(t, permit.Unlock())
	})
}

func TestPermitsBoundHowManyAreInside(t *testing.T) {
	onEveryGrantor(t, ModePermit, func(t *testing.T, url string) {
		const capacity, goroutines = 4, 200
		ctx := within(t)
		clients := []*Client{openTest(t, url), openTest(t, url)}
		var inside, served int32
		var users [capacity]int32
		var wg sync.WaitGroup
		for i := 0; i < goroutines; i++ {
			permits, units := clients[i%2].NewSemaphore("n", capacity, nil), 1+i%3
			wg.Add(1)
			go func() {
				defer wg.Done()
				err := permits.Do(ctx, units, func(_ context.Context, slots []int) error {
					if now := atomic.AddInt32(&inside, int32(units)); now > capacity {
						t.Errorf("%d permits of %d are out", now, capacity)
					}
					for _, slot := range slots {
						if atomic.AddInt32(&users[slot], 1) != 1 {
							t.Errorf("slot %d is out twice", slot)
						}
					}
					for _, slot := range slots {
						atomic.AddInt32(&users[slot], -1)
					}
					atomic.AddInt32(&inside, -int32(units))
					atomic.AddInt32(&served, 1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		if served != goroutines {
			t.Fatal(served)
		}
	})
}

// Each holder is told, and each is as good as new afterwards.
func TestALossIsToldToEveryReader(t *testing.T) {
	s := startServer(t)
	ctx := within(t)
	client := openTest(t, s.url())
	rw := client.NewRWLock("n", &LockOptions{TTL: time.Second})
	var readers []*Lock
	for i := 0; i < 5; i++ {
		reader, err := rw.RLock(ctx)
		must(t, err)
		readers = append(readers, reader)
	}
	permit, err := client.NewSemaphore("p", 2, &LockOptions{TTL: time.Second}).Acquire(ctx, 1)
	must(t, err)
	inner, cancel := readers[0].Context(ctx)
	defer cancel()
	s.signal(syscall.SIGSTOP) // nothing can be renewed
	defer s.signal(syscall.SIGCONT)
	for _, lock := range append(readers, permit) {
		await(t, "a loss", lock.Lost())
		expect(t, lock.Err(), ErrLost)
		expect(t, lock.Unlock(), ErrLost)
	}
	await(t, "the end of a context", inner.Done())
	s.signal(syscall.SIGCONT)
	must(t, rw.Do(ctx, func(context.Context) error { return nil }))
	if pending(client) != 0 {
		t.Fatal("losses leave acquisitions behind")
	}
}

func TestTheModesHaveNames(t *testing.T) {
	for mode, word := range map[Mode]string{ModeExclusive: "exclusive", ModeShared: "shared",
		ModeUpdate: "update", ModePermit: "permit", 9: "unknown", -1: "unknown"} {
		if mode.String() != word {
			t.Error(mode.String(), word)
		}
	}
	client := openTest(t, "memory:"+t.Name())
	caps, err := client.Caps(context.Background())
	must(t, err)
	if caps.Grants(-1) || caps.Grants(99) || !caps.Grants(ModeExclusive) || !caps.Fair || !caps.List {
		t.Fatalf("%+v", caps)
	}
	lock := client.NewLock("n", &LockOptions{Mode: ModeUpdate})
	if lock.Mode() != ModeUpdate || lock.Slots() != nil {
		t.Fatal("before the first acquisition it says what it will ask for")
	}
}

// The handle of a waiting upgrade is freed: nobody tells its end any more, and nobody waits for it.
func TestNobodyWaitsOnAHandleThatIsGone(t *testing.T) {
	gone := make(chan struct{})
	close(gone)
	for _, ctx := range []context.Context{context.Background(), canceled()} {
		if code := outcome(ctx, make(chan Code), gone, func() {}); code != errCanceled {
			t.Fatal(code)
		}
	}
}

// An upgrade does not take the outcome of another one for its own.
func TestASecondUpgradeIsRefusedUntilTheFirstIsTold(t *testing.T) {
	ctx := within(t)
	held, err := openTest(t, "memory:"+t.Name()).NewRWLock("n", nil).ULock(ctx)
	must(t, err)
	held.held.upgrading = true // the first has ended, and its goroutine has yet to hear of it
	expect(t, held.Upgrade(ctx), ErrState)
	held.held.upgrading = false
	must(t, held.Upgrade(ctx))
	must(t, held.Unlock())
}

// ---- Re-entrant ----------------------------------------------------------------------------------

func TestAReentrantLockCounts(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := within(t)
		client, other := openTest(t, url), openTest(t, url).NewLock("n", nil)
		lock := client.NewLock("n", &LockOptions{Reentrant: true})
		must(t, lock.Lock(ctx))
		fence := lock.Fence()
		must(t, lock.TryLock(ctx))
		must(t, lock.Do(ctx, func(ctx context.Context) error { return lock.Do(ctx, func(context.Context) error { return nil }) }))
		expect(t, lock.Lock(canceled()), context.Canceled)
		must(t, lock.Unlock())
		if !lock.Held() || lock.Fence() != fence {
			t.Fatal("an inner Unlock gave it back")
		}
		expect(t, other.TryLock(ctx), ErrBusy)
		must(t, lock.Lock(ctx))
		_, err := lock.Detach()
		expect(t, err, ErrState)
		must(t, lock.Unlock())
		must(t, lock.Unlock())
		expect(t, lock.Unlock(), ErrNotHeld)
		must(t, other.Lock(ctx))
		expect(t, lock.TryLock(ctx), ErrBusy)
		must(t, other.Unlock())
		must(t, lock.Lock(ctx))
		must(t, lock.Unlock())
	})
}

func TestEveryUnlockOfALostReentrantLockSaysSo(t *testing.T) {
	s := startServer(t)
	ctx := within(t)
	lock := openTest(t, s.url()).NewLock("n", &LockOptions{Reentrant: true, TTL: renewedSoon})
	must(t, lock.Lock(ctx))
	must(t, lock.Lock(ctx))
	must(t, lock.Lock(ctx))
	s.redis("DEL", "pawl:n")
	await(t, "the loss", lock.Lost())
	expect(t, lock.Lock(ctx), ErrLost)
	for i := 0; i < 3; i++ {
		expect(t, lock.Unlock(), ErrLost)
	}
	must(t, lock.Lock(ctx)) // as good as new
	must(t, lock.Unlock())
}

// Goroutines that share it come and go; the last one gives it back, and nobody is left out.
func TestGoroutinesComeIntoAReentrantLock(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		ctx := within(t)
		lock := openTest(t, url).NewLock("n", &LockOptions{Reentrant: true})
		other := openTest(t, url).NewLock("n", nil)
		var inside int32
		var wg sync.WaitGroup
		for i := 0; i < 16; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for round := 0; round < 20; round++ {
					if err := lock.Do(ctx, func(context.Context) error {
						atomic.AddInt32(&inside, 1)
						defer atomic.AddInt32(&inside, -1)
						return nil
					}); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		for round := 0; round < 5; round++ {
			must(t, other.Do(ctx, func(context.Context) error {
				if now := atomic.LoadInt32(&inside); now != 0 {
					t.Errorf("%d are inside beside another holder", now)
				}
				return nil
			}))
		}
		wg.Wait()
		must(t, other.TryLock(ctx))
		must(t, other.Unlock())
	})
}

func TestAReleaseThatIsMissingIsTold(t *testing.T) {
	ctx := within(t)
	lock := openTest(t, "memory:"+t.Name()).NewLock("n", &LockOptions{Reentrant: true})
	for i := 0; i < 10000; i++ {
		must(t, lock.Lock(ctx))
	}
	expect(t, lock.Lock(ctx), ErrReentry)
	for i := 0; i < 10000; i++ {
		must(t, lock.Unlock())
	}
	expect(t, lock.Unlock(), ErrNotHeld)
}
