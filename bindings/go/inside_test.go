// SPDX-License-Identifier: MIT

package pawl

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"time"
)

// ---- Numbers and words ---------------------------------------------------------------------------

func TestDurationsAreRoundedAwayFromZero(t *testing.T) {
	for given, wanted := range map[time.Duration]int64{
		0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, 2 * time.Millisecond: 2,
		-1: -1, -time.Millisecond: -1, -time.Millisecond - 1: -2, time.Second: 1000, -time.Second: -1000,
	} {
		if got := milliseconds(given); got != wanted {
			t.Errorf("%v is %d ms, not %d", given, got, wanted)
		}
	}
}

func TestStoreTimeoutZeroIsTheDefaultAndNegativeForEver(t *testing.T) {
	for given, wanted := range map[time.Duration]int64{0: 0, 1: 1, time.Second: 1000, -1: -1, math.MinInt64: -1} {
		if got := storeTimeout(given); got != wanted {
			t.Errorf("%v is %d, not %d", given, got, wanted)
		}
	}
}

func TestABareNumberIsSeconds(t *testing.T) {
	for given, wanted := range map[time.Duration]time.Duration{
		0: 0, 1: time.Second, 10: 10 * time.Second, -1: -1, time.Millisecond: time.Millisecond,
		time.Millisecond - 1: (time.Millisecond - 1) * time.Second, time.Minute: time.Minute,
	} {
		if got := ttlOf(given); got != wanted {
			t.Errorf("%d is %v, not %v", given, got, wanted)
		}
	}
}

func TestEveryCodeIsItsOwn(t *testing.T) {
	codes := map[string]Code{
		"BUSY": ErrBusy, "TIMEOUT": ErrTimeout, "LOST": ErrLost, "NOT_HELD": ErrNotHeld,
		"UNKNOWN": ErrUnknown, "UNAVAILABLE": ErrUnavailable, "AUTH": ErrAuth,
		"PERMISSION": ErrPermission, "TLS": ErrTLS, "URL": ErrURL, "SCHEME": ErrScheme, "OPTION": ErrOption,
		"NAME": ErrName, "TTL": ErrTTL, "ARGUMENT": ErrArgument, "OWNER": ErrOwner,
		"UNSUPPORTED": ErrUnsupported, "SYSTEM": ErrSystem, "CLOSED": ErrClosed,
	}
	for name, code := range codes {
		if code.Name() != "PAWL_ERR_"+name || code.Error() == "" {
			t.Errorf("%s is called %s", name, code.Name())
		}
	}
}

func TestWordsOfEventsAndSeverities(t *testing.T) {
	for kind, word := range map[EventKind]string{EventDoubt: "doubt", EventHeld: "held",
		EventLost: "lost", EventWanted: "wanted", -1: "unknown", 99: "unknown"} {
		if kind.String() != word {
			t.Errorf("%d is %q", int(kind), kind)
		}
	}
	for severity, word := range map[Severity]string{SeverityOK: "ok", SeverityNote: "note",
		SeverityWarning: "warning", SeverityError: "error", -1: "unknown", 4: "unknown"} {
		if severity.String() != word {
			t.Errorf("%d is %q", int(severity), severity)
		}
	}
}

// ---- Errors --------------------------------------------------------------------------------------

func TestErrorsAreOneLine(t *testing.T) {
	for _, one := range []struct {
		err  *Error
		text string
	}{
		{&Error{Op: "open", Err: io.EOF}, "pawl: open: EOF"},
		{&Error{Op: "lock", Name: "a\nb", Err: io.EOF}, `pawl: lock "a\nb": EOF`},
		{&Error{Op: "lock", Name: "n", Err: io.EOF, Cause: io.ErrClosedPipe},
			`pawl: lock "n": EOF: io: read/write on closed pipe`},
		{&Error{Op: "lock", Name: "n", Err: io.EOF, Cause: io.ErrClosedPipe, Message: "why"},
			`pawl: lock "n": why`},
		{&Error{Op: "unlock", Name: "n", Err: ErrLost, Message: "broken by me"}, `pawl: unlock "n": lost: broken by me`},
		{&Error{Op: "unlock", Name: "n", Err: ErrLost, Message: "lost it"}, `pawl: unlock "n": lost it`},
	} {
		if one.err.Error() != one.text {
			t.Errorf("%q, not %q", one.err, one.text)
		}
	}
}

func TestErrorsAreFoundByTheirParts(t *testing.T) {
	e := &Error{Op: "lock", Err: ErrLost, Cause: ErrClosed}
	if !errors.Is(e, ErrLost) || !errors.Is(e, ErrClosed) || errors.Is(e, ErrBusy) || e.Timeout() {
		t.Fatal(e)
	}
	alone := &Error{Op: "lock", Err: ErrLost}
	if errors.Is(alone, ErrClosed) || errors.Is(alone, context.DeadlineExceeded) {
		t.Fatal(alone)
	}
	for _, late := range []*Error{{Err: ErrTimeout}, {Err: context.DeadlineExceeded},
		{Err: ErrUnavailable, Cause: context.DeadlineExceeded}} {
		if !late.Timeout() {
			t.Fatal(late)
		}
	}
	if join(nil, nil) != nil || join(io.EOF, nil) != io.EOF || join(nil, io.EOF) != io.EOF {
		t.Fatal("a join of one is another")
	}
	for _, joined := range []error{join(io.EOF, e), join(e, io.EOF)} {
		var found *Error
		if !errors.Is(joined, io.EOF) || !errors.Is(joined, ErrLost) || errors.Is(joined, ErrBusy) ||
			!errors.As(joined, &found) || found != e {
			t.Fatal(joined)
		}
	}
	var none interface{ NoSuchMethod() }
	if errors.As(join(io.EOF, e), &none) {
		t.Fatal("found what is not there")
	}
}

// ---- What a context's end means ------------------------------------------------------------------

// lateTimer is a context whose deadline has passed, and whose own timer has not noticed.
type lateTimer struct{ context.Context }

func (lateTimer) Deadline() (time.Time, bool) { return time.Now(), true }

func TestWhyNothingWasLocked(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	late := lateTimer{context.Background()}
	expired, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	early, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, one := range []struct {
		ctx   context.Context
		code  Code
		is    []error
		isNot []error
	}{
		{late, ErrTimeout, []error{ErrTimeout, context.DeadlineExceeded}, nil},
		{late, ErrUnavailable, []error{ErrUnavailable, context.DeadlineExceeded}, []error{ErrTimeout}},
		{expired, ErrUnavailable, []error{ErrUnavailable, context.DeadlineExceeded}, []error{ErrTimeout}},
		{expired, ErrTimeout, []error{ErrTimeout, context.DeadlineExceeded}, nil},
		{early, ErrUnavailable, []error{ErrUnavailable}, []error{context.DeadlineExceeded}},
		{context.Background(), ErrBusy, []error{ErrBusy}, []error{context.DeadlineExceeded}},
		{canceled(), ErrUnavailable, []error{context.Canceled}, []error{ErrUnavailable}},
		{canceled(), ErrClosed, []error{ErrClosed}, nil},
		{canceled(), errCanceled, []error{context.Canceled}, nil},
		{expired, errCanceled, []error{context.DeadlineExceeded}, []error{ErrTimeout}},
	} {
		err := client.whyNot("lock", one.ctx, "n", one.code)
		for _, target := range one.is {
			if !errors.Is(err, target) {
				t.Errorf("%v, %v: %v is not %v", one.ctx, one.code, err, target)
			}
		}
		for _, target := range one.isNot {
			if errors.Is(err, target) {
				t.Errorf("%v, %v: %v is %v", one.ctx, one.code, err, target)
			}
		}
	}
}

func TestTheWaitIsTheContexts(t *testing.T) {
	if wait := waitOf(context.Background(), false); wait != -1 {
		t.Fatal(wait)
	}
	if wait := waitOf(context.Background(), true); wait != 0 {
		t.Fatal(wait)
	}
	expired, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	if wait := waitOf(expired, false); wait != 1 { // 0 would be a try
		t.Fatal(wait)
	}
	hour, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if wait := waitOf(hour, false); wait <= 3599000 || wait > 3600000 {
		t.Fatal(wait)
	}
	if wait := askWait(hour); wait != askMax {
		t.Fatal(wait)
	}
	if wait := askWait(context.Background()); wait != askMax {
		t.Fatal(wait)
	}
	soon, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if wait := askWait(soon); wait <= 9*time.Second || wait > 10*time.Second+askGrace {
		t.Fatal(wait)
	}
}

// What changes the store, and ended before its answer, may have been done.
func TestWhoStoppedWaitingDoesNotKnow(t *testing.T) {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded, ErrClosed} {
		err := unknownIfEnded(&Error{Op: "break", Err: end, started: true})
		if e := err.(*Error); e.Err != ErrUnknown || e.Cause != end {
			t.Errorf("%v became %v", end, err)
		}
		err = unknownIfEnded(&Error{Op: "break", Err: end}) // the store was not asked
		if e := err.(*Error); e.Err != end || e.Cause != nil {
			t.Errorf("%v became %v", end, err)
		}
	}
	if err := unknownIfEnded(&Error{Op: "break", Err: ErrNotHeld, started: true}); err.(*Error).Err != ErrNotHeld {
		t.Error(err)
	}
	if unknownIfEnded(nil) != nil || unknownIfEnded(io.EOF) != io.EOF {
		t.Error("another error was changed")
	}
}

func TestWhyAQuestionFailed(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	if err := client.whyNoAnswer(canceled(), ErrPermission); err != ErrPermission {
		t.Error("the store's own answer became", err)
	}
	for _, code := range []Code{ErrUnavailable, ErrUnknown, ErrTimeout, ErrClosed} {
		if err := client.whyNoAnswer(canceled(), code); err != context.Canceled {
			t.Error(code, "became", err)
		}
		if err := client.whyNoAnswer(context.Background(), code); err != code {
			t.Error(code, "became", err)
		}
	}
	must(t, client.Close())
	if err := client.whyNoAnswer(context.Background(), ErrUnavailable); err != ErrClosed {
		t.Error(err)
	}
}

// ---- An acquisition ------------------------------------------------------------------------------

func TestALossIsToldOnceAndNotAfterTheEnd(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	var told []Event
	lock := client.NewLock("n", &LockOptions{OnEvent: func(e Event) { told = append(told, e) }})
	must(t, lock.Lock(context.Background()))
	a := lock.current()
	a.lose(&Error{Op: "hold", Err: ErrLost, Cause: ErrClosed, Message: "first"})
	a.lose(&Error{Op: "hold", Err: ErrLost, Cause: ErrBusy, Message: "second"})
	await(t, "the loss", lock.Lost())
	expect(t, lock.Err(), ErrClosed)
	drained(t, &a.events)
	if len(told) != 1 || told[0].Kind != EventLost || told[0].Err != ErrClosed || told[0].Message != "first" {
		t.Fatalf("%+v", told)
	}
	expect(t, lock.Unlock(), ErrLost)

	told = nil
	must(t, lock.Lock(context.Background()))
	a = lock.current()
	lost := lock.Lost()
	must(t, lock.Unlock())
	a.lose(&Error{Op: "hold", Err: ErrLost})
	a.happen(Event{Kind: EventDoubt})
	select {
	case <-lost:
		t.Fatal("lost after it was unlocked")
	default:
	}
	if a.reason() != nil {
		t.Fatal(a.reason())
	}
	drained(t, &a.events)
	if len(told) != 0 {
		t.Fatalf("told after it was unlocked: %+v", told)
	}
}

// drained waits for all that was queued before.
func drained(t *testing.T, s *serial) {
	t.Helper()
	end := make(chan struct{})
	s.run(func() { close(end) })
	await(t, "the end of the callbacks", end)
}

// However many wait, there is one thing to receive.
func TestWantedIsOneSignal(t *testing.T) {
	lock := openTest(t, "memory:"+t.Name()).NewLock("n", nil)
	must(t, lock.Lock(context.Background()))
	for i := 0; i < 3; i++ {
		lock.current().happen(Event{Kind: EventWanted})
	}
	await(t, "the signal", lock.Wanted())
	select {
	case <-lock.Wanted():
		t.Fatal("a second signal")
	default:
	}
	must(t, lock.Unlock())
	if lock.Wanted() != nil {
		t.Fatal("nobody can want what is not held")
	}
}

func TestContextsUnderALock(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	lock := client.NewLock("n", nil)
	ctx, cancel := lock.Context(context.Background()) // nothing is held
	if ctx.Err() == nil || lock.Lost() != (<-chan struct{})(closedChannel) {
		t.Fatal("a context of a lock that is not held goes on")
	}
	cancel()

	must(t, lock.Lock(context.Background()))
	a := lock.current()
	first, cancelFirst := lock.Context(context.Background())
	second, cancelSecond := lock.Context(context.Background())
	defer cancelSecond()
	cancelFirst()
	if first.Err() == nil || second.Err() != nil || len(a.cancels) != 1 {
		t.Fatal("who cancels his own context cancels it, and no other")
	}
	must(t, lock.Unlock())
	if second.Err() == nil {
		t.Fatal("the lock is free, and the context goes on")
	}
	late, cancel := a.context(context.Background())
	defer cancel()
	if late.Err() == nil {
		t.Fatal("a context of an acquisition that has ended goes on")
	}

	must(t, lock.Lock(context.Background()))
	lock.current().lose(&Error{Op: "hold", Name: "n", Err: ErrLost, Cause: ErrClosed})
	late, cancel = lock.Context(context.Background())
	defer cancel()
	if late.Err() == nil {
		t.Fatal("a context of a lost lock goes on")
	}
	expect(t, lock.Unlock(), ErrLost)
}

// ---- Callbacks -----------------------------------------------------------------------------------

func TestCallbacksRunInOrderOneAtATime(t *testing.T) {
	var s serial
	for round := 0; round < 3; round++ { // it starts again after it was idle
		var order []int
		inside := false
		for i := 0; i < 1000; i++ {
			i := i
			s.run(func() {
				if inside {
					t.Error("two at once")
				}
				inside = true
				order = append(order, i)
				inside = false
			})
		}
		drained(t, &s)
		for i, got := range order {
			if got != i {
				t.Fatalf("%d came as number %d", got, i)
			}
		}
		if len(order) != 1000 {
			t.Fatalf("%d of 1000 ran", len(order))
		}
		for idle := false; !idle; time.Sleep(time.Millisecond) { // nothing tells of its end
			s.mu.Lock()
			idle = !s.running
			s.mu.Unlock()
		}
	}
}

func registrySize() int {
	registry.Lock()
	defer registry.Unlock()
	return len(registry.all)
}

// pending is how many acquisitions a client keeps.
func pending(client *Client) int {
	n := 0
	client.held.Range(func(_, _ interface{}) bool { n++; return true })
	return n
}

// Whatever ends, ends without a trace: what C may call back, and what Close must tell.
func TestNothingIsRegisteredAfterItsEnd(t *testing.T) {
	ctx := context.Background()
	before := registrySize()
	none := func(what string, client *Client) {
		t.Helper()
		// the handle of the client's log is left
		if n := registrySize() - before - 1; n != 0 || pending(client) != 0 {
			t.Fatalf("%s: %d callbacks and %d acquisitions are left", what, n, pending(client))
		}
	}
	client, err := Open("memory:"+t.Name(), &Options{Log: func(Severity, string) {}})
	must(t, err)
	none("open", client)
	lock := client.NewLock("n", nil)
	must(t, lock.Lock(ctx))
	expect(t, client.NewLock("n", nil).TryLock(ctx), ErrBusy)
	must(t, lock.Unlock())
	none("unlock and busy", client)
	must(t, lock.Lock(ctx))
	_, err = lock.Detach()
	must(t, err)
	none("detach", client)
	expect(t, client.NewLock("", nil).Lock(ctx), ErrName)
	none("a wrong name", client)
	expect(t, client.NewLock("gone", nil).Lock(&turncoat{Context: ctx}), context.Canceled)
	none("a caller who has gone", client)
	_, err = client.Inspect(ctx, "n")
	must(t, err)
	_, err = client.List(ctx, "")
	must(t, err)
	_, err = client.Doctor(ctx)
	must(t, err)
	none("questions", client)
	must(t, client.Close())
	if registrySize() != before {
		t.Fatal("close leaves callbacks")
	}
	_, err = Open("nosuch://h", &Options{Log: func(Severity, string) {}})
	expect(t, err, ErrScheme)
	if registrySize() != before {
		t.Fatal("a failed open leaves callbacks")
	}
}

// turncoat is cancelled between the grant and the look that follows it.
type turncoat struct {
	context.Context
	mu    sync.Mutex
	looks int
}

func (c *turncoat) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looks++; c.looks == 1 {
		return nil
	}
	return context.Canceled
}

// Close waits for those who are inside a call: it frees what they use.
func TestCloseWaitsForCallsUnderWay(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	leave, err := client.use()
	must(t, err)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		client.Close()
	}()
	await(t, "the beginning of the close", client.closing)
	await(t, "the end of the pump", client.pumped)
	select {
	case <-closed:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond): // a mistake may pass, what is right never fails
	}
	leave()
	await(t, "the end of the close", closed)
}
