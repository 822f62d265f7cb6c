// SPDX-License-Identifier: MIT

package pawl

import (
	"context"
	"errors"
	"testing"
	"time"
)

const longPeriod = 366 * 24 * time.Hour

func breakIt(t *testing.T, client *Client, name string) {
	t.Helper()
	info, err := client.Inspect(context.Background(), name)
	must(t, err)
	must(t, client.Break(context.Background(), name, info.Fence))
}

// awaitInfo asks until it is so; releases and places in queues are on their way.
func awaitInfo(t *testing.T, client *Client, name string, what func(Info) bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		info, err := client.Inspect(context.Background(), name)
		must(t, err)
		if what(info) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never came: %+v", info)
		}
	}
}

func isFree(info Info) bool     { return !info.Held }
func isAwaited(info Info) bool  { return info.Waiters > 0 }
func hasNoQueue(info Info) bool { return info.Waiters == 0 }

func TestSeveralNamesAreHeldAllOrNone(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, b, ctx := openTest(t, url), openTest(t, url), within(t)
		all, one := a.NewLockAll([]string{"c", "b", "a"}, nil), b.NewLock("b", nil)
		must(t, one.Lock(ctx))
		expect(t, all.TryLock(ctx), ErrBusy)
		waits, giveUp := context.WithCancel(ctx)
		ended := make(chan error)
		go func() { ended <- all.Lock(waits) }()
		awaitInfo(t, b, "b", isAwaited)
		giveUp()
		expect(t, <-ended, context.Canceled)
		awaitInfo(t, b, "a", isFree)
		must(t, one.Unlock())

		must(t, all.Lock(ctx))
		fences := all.Fences()
		if len(fences) != 3 || fences["c"] != all.Fence() || all.Name() != "c, b, a" {
			t.Fatalf("%v, %q", fences, all.Name())
		}
		awaitInfo(t, b, "b", func(info Info) bool { return info.Fence == fences["b"] })
		breakIt(t, b, "b") // the loss of one is the loss of all
		await(t, "the loss", all.Lost())
		expect(t, all.Unlock(), ErrLost)
		awaitInfo(t, b, "a", isFree)
		expect(t, a.NewLockAll(nil, nil).Lock(ctx), ErrNames)
		expect(t, a.NewLockAll([]string{"a", "a"}, nil).Lock(ctx), ErrNames)
		expect(t, a.NewLockAll(make([]string, 65), nil).Lock(ctx), ErrNames)
		expect(t, a.NewLockAll([]string{"a\x00"}, nil).Lock(ctx), ErrName)
		if all.Fences() != nil {
			t.Fatal("it is not held")
		}
	})
}

func TestAJobRunsOnceInAPeriod(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, b, ctx := openTest(t, url), openTest(t, url), within(t)
		mine, theirs := a.NewJob("job", JobOptions{Every: longPeriod}), b.NewJob("job", JobOptions{Every: longPeriod})
		info, err := mine.Look(ctx)
		must(t, err)
		if info.Outcome != OutcomeNever || !info.Due || !info.Began.IsZero() {
			t.Fatalf("%+v", info)
		}
		oops := errors.New("oops")
		ran, err := mine.Do(ctx, func(context.Context, *Lock) error { return oops })
		expect(t, err, oops)
		if !ran {
			t.Fatal("it ran")
		}
		ran, err = mine.Do(ctx, func(_ context.Context, run *Lock) error {
			if !run.Held() || run.Fence() == 0 {
				t.Error("it is held")
			}
			_, err := theirs.TryDo(ctx, func(context.Context, *Lock) error { return oops })
			expect(t, err, ErrBusy)
			return nil
		})
		must(t, err)
		again, err := theirs.Do(ctx, func(context.Context, *Lock) error { return oops })
		must(t, err)
		if !ran || again {
			t.Fatal("it ran once")
		}
		info, err = theirs.Look(ctx)
		must(t, err)
		if info.Outcome != OutcomeSucceeded || info.Due || info.Owner != a.Owner() || info.Next.Before(info.Now) {
			t.Fatalf("%+v", info)
		}
		_, err = a.NewJob("x", JobOptions{}).Do(ctx, nil)
		expect(t, err, ErrArgument)
	})
}

func TestARunThatIsLostOrGivenUpDoesNotCount(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, b, ctx := openTest(t, url), openTest(t, url), within(t)
		job := a.NewJob("job", JobOptions{Every: longPeriod})
		ran, err := job.Do(ctx, func(ctx context.Context, run *Lock) error {
			breakIt(t, b, "job")
			await(t, "the loss", ctx.Done())
			return nil
		})
		expect(t, err, ErrLost)
		if !ran {
			t.Fatal("it ran")
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = job.Do(ctx, func(context.Context, *Lock) error { panic("oops") })
		}()
		held := b.NewLock("job", nil)
		must(t, held.Lock(ctx))
		waits, giveUp := context.WithCancel(ctx)
		ended := make(chan error)
		go func() {
			_, err := job.Do(waits, func(context.Context, *Lock) error { return nil })
			ended <- err
		}()
		awaitInfo(t, b, "job", isAwaited)
		giveUp()
		expect(t, <-ended, context.Canceled)
		awaitInfo(t, b, "job", hasNoQueue)
		must(t, held.Unlock())
		info, err := job.Look(ctx)
		must(t, err)
		if !info.Due {
			t.Fatal("nothing counts")
		}
	})
}

func TestALeaderIsKnownByItsValue(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, b, ctx := openTest(t, url), openTest(t, url), within(t)
		watches, stop := context.WithCancel(ctx)
		news, err := b.Observe(watches, "e")
		must(t, err)
		hear := func(what func(Leader) bool) {
			t.Helper()
			for end := time.After(patience); ; {
				select {
				case leader := <-news:
					if what(leader) {
						return
					}
				case <-end:
					t.Fatal("never told")
				}
			}
		}
		nobody := func(l Leader) bool { return !l.Leads && l.Err == nil }
		hear(nobody)
		mine, theirs := a.NewElection("e", nil), b.NewElection("e", nil)
		expect(t, mine.Proclaim(ctx, nil), ErrNotHeld)
		expect(t, mine.Resign(), ErrNotHeld)
		must(t, mine.Lead(ctx, []byte("one\x00"), func(ctx context.Context) error {
			hear(func(l Leader) bool { return string(l.Value) == "one\x00" })
			expect(t, theirs.TryCampaign(ctx), ErrBusy)
			must(t, mine.Proclaim(ctx, []byte("two")))
			hear(func(l Leader) bool { return string(l.Value) == "two" })
			leader, err := b.Leader(ctx, "e")
			must(t, err)
			if !leader.Leads || leader.Fence != mine.Lock().Fence() || leader.Owner != a.Owner() {
				t.Errorf("%+v", leader)
			}
			expect(t, mine.Proclaim(ctx, make([]byte, 4097)), ErrValue)
			return nil
		}))
		hear(nobody)
		lost := theirs.Lead(ctx, nil, func(ctx context.Context) error {
			breakIt(t, a, "e")
			await(t, "the loss", ctx.Done())
			expect(t, theirs.Proclaim(context.Background(), []byte("late")), ErrLost)
			return nil
		})
		expect(t, lost, ErrLost)
		stop()
		for range news { // until it is closed
		}
	})
}

func TestALatchOpensWhenAllHaveCome(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, b, ctx := openTest(t, url), openTest(t, url), within(t)
		mine, theirs := a.NewLatch("latch", 3, nil), b.NewLatch("latch", 3, nil)
		opened := make(chan error, 2)
		for i := 0; i < 2; i++ { // goroutines share it
			go func() { opened <- mine.Wait(ctx) }()
		}
		left, err := theirs.CountDown(ctx)
		must(t, err)
		if left != 2 {
			t.Fatal(left)
		}
		short, cancel := context.WithTimeout(ctx, answered)
		defer cancel()
		expect(t, theirs.Wait(short), ErrTimeout)
		waits, giveUp := context.WithCancel(ctx)
		time.AfterFunc(20*time.Millisecond, giveUp)
		expect(t, theirs.Wait(waits), context.Canceled)
		_, err = a.NewLatch("latch", 4, nil).CountDown(ctx)
		expect(t, err, ErrCount)
		left, err = mine.Left(ctx)
		must(t, err)
		if left != 2 {
			t.Fatal(left)
		}
		left, err = mine.CountDownBy(ctx, 2)
		must(t, err)
		if left != 0 || mine.Name() != "latch" {
			t.Fatal(left)
		}
		must(t, <-opened)
		must(t, <-opened)
		must(t, theirs.Wait(ctx))
		_, err = mine.CountDownBy(ctx, 4)
		expect(t, err, ErrParties)
		expect(t, a.NewLatch("x", 0, nil).Wait(ctx), ErrParties)
		expect(t, a.NewLatch("x", 1, &LatchOptions{Keep: -1}).Wait(ctx), ErrArgument)
		expect(t, a.NewLatch("", 1, nil).Wait(ctx), ErrName)
	})
}

func TestTheCloseEndsWhoWaitsForALatch(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		a, ctx := openTest(t, url), within(t)
		ended := make(chan error)
		go func() { ended <- a.NewLatch("latch", 1, nil).Wait(ctx) }()
		go func() { ended <- func() error { _, err := a.NewBarrier("b", 2, nil).Wait(ctx); return err }() }()
		awaitInfo(t, a, "b", func(info Info) bool { return info.Holders == 1 })
		must(t, a.Close())
		expect(t, <-ended, ErrClosed)
		expect(t, <-ended, ErrClosed)
		expect(t, a.NewLatch("latch", 1, nil).Wait(ctx), ErrClosed)
	})
}

func TestABarrierLetsAllThroughTogether(t *testing.T) {
	onEveryStore(t, func(t *testing.T, url string) {
		const parties = 3
		a, b, ctx := openTest(t, url), openTest(t, url), within(t)
		mine, theirs := a.NewBarrier("b", parties, nil), b.NewBarrier("b", parties, nil)
		type passed struct {
			round uint64
			err   error
		}
		through := make(chan passed, parties)
		wait := func(barrier *Barrier, ctx context.Context) {
			round, err := barrier.Wait(ctx)
			through <- passed{round, err}
		}
		for round := uint64(1); round <= 2; round++ {
			go wait(mine, ctx)
			go wait(mine, ctx)
			awaitInfo(t, b, "b", func(info Info) bool { return info.Holders == 2 })
			go wait(theirs, ctx)
			for i := 0; i < parties; i++ {
				if p := <-through; p.err != nil || p.round != round {
					t.Fatalf("%+v", p)
				}
			}
			awaitInfo(t, b, "b", isFree)
		}
		waits, giveUp := context.WithCancel(ctx) // breaks it for the others
		go wait(mine, ctx)
		awaitInfo(t, b, "b", func(info Info) bool { return info.Holders == 1 })
		ended := make(chan error)
		go func() { _, err := theirs.Wait(waits); ended <- err }()
		awaitInfo(t, b, "b", func(info Info) bool { return info.Holders == 2 })
		giveUp()
		expect(t, <-ended, context.Canceled)
		expect(t, (<-through).err, ErrBroken)
		awaitInfo(t, b, "b", isFree)
		short, cancel := context.WithTimeout(ctx, answered)
		defer cancel()
		_, err := mine.Wait(short)
		expect(t, err, ErrTimeout)
		_, err = a.NewBarrier("b", 0, nil).Wait(ctx)
		expect(t, err, ErrParties)
		_, err = a.NewBarrier("b", 1, &BarrierOptions{TTL: 1}).Wait(ctx)
		expect(t, err, ErrTTL)
		round, err := a.NewBarrier("alone", 1, nil).Wait(ctx)
		must(t, err)
		if round != 1 || mine.Name() != "b" {
			t.Fatal(round)
		}
	})
}
