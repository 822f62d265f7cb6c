// SPDX-License-Identifier: MIT

package pawlbeego

import (
	gocontext "context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/beego/beego/v2/core/logs"
	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/server/web/context"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// DefaultWait is how long a request waits for its lock.
const DefaultWait = 5 * time.Second

// A Namer says which lock a request needs; "": none.
type Namer func(ctx *context.Context) string

// Name is one lock for all requests.
func Name(name string) Namer { return func(*context.Context) string { return name } }

// NameFromParam takes the lock's name from a parameter of the pattern that the filter was inserted
// with (":id"), or of the query.
func NameFromParam(prefix, param string) Namer {
	return func(ctx *context.Context) string {
		value := ctx.Input.Param(param)
		if value == "" {
			value = ctx.Input.Query(param)
		}
		if value == "" {
			return ""
		}
		return prefix + value
	}
}

type settings struct {
	lock    pawl.LockOptions
	wait    time.Duration
	minHold time.Duration
	shared  bool
}

// Option changes a default of Filter or Once.
type Option func(*settings)

// TTL is the length of the lease; it is renewed as long as needed.
func TTL(ttl time.Duration) Option { return func(s *settings) { s.lock.TTL = ttl } }

// SharedReads lets GET and HEAD requests of a name run beside each other, and every other one alone:
// who reads has the lock in pawl.ModeShared. For handlers of GET that change nothing. The store has to
// grant that mode (pawl.Client.Caps); where it does not, reads are answered 503.
func SharedReads() Option { return func(s *settings) { s.shared = true } }

// Wait is how long a request, or a task, waits for its lock. 0: not at all.
func Wait(wait time.Duration) Option { return func(s *settings) { s.wait = wait } }

// MinHold keeps a task's lock at least this long after it was acquired: clocks of the nodes
// may differ by more than the task takes, and the late one must not run it again.
func MinHold(hold time.Duration) Option { return func(s *settings) { s.minHold = hold } }

func collect(wait time.Duration, options []Option) *settings {
	s := &settings{wait: wait}
	for _, option := range options {
		option(s)
	}
	return s
}

// lockFor is the lock that a request needs.
func (s *settings) lockFor(client *pawl.Client, name, method string) *pawl.Lock {
	opts := s.lock
	if s.shared && (method == http.MethodGet || method == http.MethodHead) {
		opts.Mode = pawl.ModeShared
	}
	return client.NewLock(name, &opts)
}

// acquire waits as long as the settings say, within ctx.
func (s *settings) acquire(ctx gocontext.Context, lock *pawl.Lock) error {
	if s.wait <= 0 {
		return lock.TryLock(ctx)
	}
	ctx, cancel := gocontext.WithTimeout(ctx, s.wait)
	defer cancel()
	return lock.Lock(ctx)
}

type key struct{}

// LockOf returns the lock under which a handler runs; nil outside of Filter. Its
// Fence is what the handler gives to the resource that it changes.
func LockOf(ctx *context.Context) *pawl.Lock {
	lock, _ := ctx.Request.Context().Value(key{}).(*pawl.Lock)
	return lock
}

// Filter runs what follows it in the chain under a lock. The request's context is cancelled
// when the lock is lost. A request that cannot have the lock in time is answered 423 Locked
// with Retry-After; one whose store does not answer, 503 Service Unavailable, and Beego's log
// says why. Where nobody knows whether the lock is busy, the answer is 503.
//
// Start the application with Run instead of web.Run: it releases the locks when a signal ends the
// process.
func Filter(client *pawl.Client, name Namer, options ...Option) web.FilterChain {
	warnAtStart()
	s := collect(DefaultWait, options)
	return func(next web.FilterFunc) web.FilterFunc {
		return func(ctx *context.Context) {
			which := name(ctx)
			if which == "" {
				next(ctx)
				return
			}
			lock := s.lockFor(client, which, ctx.Request.Method)
			if err := s.acquire(ctx.Request.Context(), lock); err != nil {
				refuse(ctx, client, lock, err)
				return
			}
			run(ctx, lock, next)
		}
	}
}

func run(ctx *context.Context, lock *pawl.Lock, next web.FilterFunc) {
	outer := ctx.Request
	inner, cancel := lock.Context(outer.Context())
	defer func() { // also when the handler panics
		cancel()
		if err := lock.Unlock(); err != nil {
			logs.Warn("%s %q: %v", outer.Method, outer.URL.Path, err) // visitors choose paths
		}
		keepForm(outer, ctx.Request)
		ctx.Request = outer
	}()
	ctx.Request = outer.WithContext(gocontext.WithValue(inner, key{}, lock))
	next(ctx)
}

// keepForm gives the request what its copy has read: the body is gone, and the server removes the
// files of an upload by its own request alone.
func keepForm(request, read *http.Request) {
	request.Form, request.PostForm, request.MultipartForm = read.Form, read.PostForm, read.MultipartForm
}

func refuse(ctx *context.Context, client *pawl.Client, lock *pawl.Lock, err error) {
	if ctx.Request.Context().Err() != nil {
		return // nobody is there to be answered
	}
	status, after := http.StatusServiceUnavailable, time.Second
	switch {
	case isBusy(err):
		waiters, unknown := waitersOf(ctx.Request.Context(), client, lock.Name())
		if unknown != nil {
			logs.Error("%v; %v", err, unknown)
			break
		}
		status, after = http.StatusLocked, retryAfter(waiters)
	case errors.Is(err, pawl.ErrName):
		status = http.StatusBadRequest // the name came with the request
	default:
		logs.Error("%v", err)
	}
	if status != http.StatusBadRequest {
		ctx.Output.Header("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	ctx.Output.Header("Content-Type", "text/plain; charset=utf-8")
	ctx.Output.SetStatus(status)
	_ = ctx.Output.Body([]byte(http.StatusText(status) + "\n"))
}

// isBusy tells whether somebody else has the lock, as opposed to a store that does not answer.
func isBusy(err error) bool {
	return errors.Is(err, pawl.ErrBusy) || errors.Is(err, pawl.ErrTimeout)
}

// lookMax is how long the store may take to say who waits: longer, and it is taken for silent.
const lookMax = time.Second

// waitersOf also proves that the store answers: one that went silent while we waited for the lock
// has not said that it is busy.
func waitersOf(ctx gocontext.Context, client *pawl.Client, name string) (int, error) {
	ctx, cancel := gocontext.WithTimeout(ctx, lookMax)
	defer cancel()
	info, err := client.Inspect(ctx, name)
	return info.Waiters, err
}

// retryAfter is a guess: a holder that works keeps renewing, one that died lets go when its
// lease ends, and most are done within a second.
func retryAfter(waiters int) time.Duration {
	wait := time.Duration(waiters) * time.Second
	switch {
	case wait < time.Second:
		return time.Second
	case wait > 30*time.Second:
		return 30 * time.Second
	}
	return wait
}
