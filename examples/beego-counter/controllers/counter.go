// SPDX-License-Identifier: MIT

// Package controllers has the tutorial's controller, once with pawl and once as it was.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/beego/beego/v2/core/logs"
	"github.com/beego/beego/v2/server/web"

	"beego-counter/models"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// TTLSeconds is short, so that a holder that takes longer need not take long.
const TTLSeconds = 1

// work is what a handler does between reading and writing. ?overrun=1 takes longer than the
// lock's ttl: a slow disk, a full queue, a pause of the machine. ?panic=1 is a bug.
func work(c *web.Controller) {
	if c.GetString("panic") != "" {
		panic("the handler has a bug")
	}
	if c.GetString("overrun") != "" {
		time.Sleep(TTLSeconds*time.Second + 300*time.Millisecond)
	}
}

// Waiting is how long a request waits for the lock.
const Waiting = 10 * time.Second

// reply answers with the counter, or with why there is none. What the store said is for the log:
// it may name hosts and users that are no visitor's business.
func reply(c *web.Controller, value int64, err error) {
	if err == nil {
		c.Ctx.WriteString(fmt.Sprintf("%d\n", value))
		return
	}
	if c.Ctx.Request.Context().Err() != nil {
		return // nobody is there to be answered
	}
	status, text := verdict(err)
	logs.Error("%s %q: %s", c.Ctx.Request.Method, c.Ctx.Request.URL.Path, oneLine(err))
	c.Ctx.Output.Header("Content-Type", "text/plain; charset=utf-8")
	if status != http.StatusGatewayTimeout {
		c.Ctx.Output.Header("Retry-After", "1")
	}
	c.Ctx.Output.SetStatus(status)
	_ = c.Ctx.Output.Body([]byte(text + "\n")) // WriteString would answer 200
}

// oneLine is for the log, which is read on a terminal: a server chose some of the words, and a
// terminal obeys control characters. What is not printable becomes a question mark.
func oneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, err.Error())
}

func verdict(err error) (status int, text string) {
	switch {
	case errors.Is(err, models.ErrUnknown):
		return http.StatusGatewayTimeout, "no answer: it may or may not have been counted"
	case errors.Is(err, models.ErrStale):
		return http.StatusServiceUnavailable, "the lock was lost, and another holder came: not counted"
	case errors.Is(err, pawl.ErrTimeout):
		return http.StatusLocked, "others were busy with the counter the whole time: not counted"
	}
	return http.StatusServiceUnavailable, "the counter cannot be reached: nothing was done"
}

// CounterController counts under pawl's lock.
type CounterController struct {
	web.Controller
	Client *pawl.Client
	Store  *models.Store
}

// Add is GET /add.
func (c *CounterController) Add() {
	lock := &pawl.RedisLock{Key: "counter", Timeout: TTLSeconds, Client: c.Client}
	ctx, cancel := context.WithTimeout(c.Ctx.Request.Context(), Waiting)
	defer cancel()
	if err := lock.LockContext(ctx); err != nil {
		reply(&c.Controller, 0, err)
		return
	}
	value, err := c.addLocked(lock)
	reply(&c.Controller, value, err)
}

func (c *CounterController) addLocked(lock *pawl.RedisLock) (int64, error) {
	defer func() { // also after a panic: the lease is renewed for as long as nobody gives it back
		if err := lock.Unlock(); err != nil {
			// The counter judges by the fence: had a newer holder come, it would have refused.
			logs.Warn("%s", oneLine(err))
			c.Ctx.Output.Header("X-Lock-Lost", "1")
		}
	}()
	if err := c.Store.Enter("counted"); err != nil {
		return 0, err
	}
	defer c.Store.Leave("counted")
	value, err := c.Store.ReadFenced("counted", lock.Fence())
	if err != nil {
		return 0, err
	}
	work(&c.Controller)
	return value + 1, c.Store.WriteFenced("counted", value+1, lock.Fence())
}

// Counter is GET /counter.
func (c *CounterController) Counter() {
	value, err := c.Store.Read("counted")
	reply(&c.Controller, value, err)
}

// variable is the tutorial's counter: each process has its own.
var variable int64

// OriginalController counts as the tutorial does.
type OriginalController struct {
	web.Controller
	Store *models.Store
}

// Add is GET /original/add.
func (c *OriginalController) Add() {
	lock := &models.OriginalLock{Store: c.Store, Key: "original:lock", Token: "token",
		Timeout: TTLSeconds}
	if err := lock.Lock(); err != nil {
		reply(&c.Controller, 0, err)
		return
	}
	value, err := c.addLocked()
	if err := lock.Unlock(); err != nil {
		logs.Warn("original lock: %s", oneLine(err)) // it has been counted all the same
	}
	reply(&c.Controller, value, err)
}

func (c *OriginalController) addLocked() (int64, error) {
	if err := c.Store.Enter("original"); err != nil {
		return 0, err
	}
	defer c.Store.Leave("original")
	value, err := c.Store.Read("original")
	if err != nil {
		return 0, err
	}
	work(&c.Controller)
	atomic.AddInt64(&variable, 1)
	return value + 1, c.Store.Write("original", value+1)
}

// Counter is GET /original/counter.
func (c *OriginalController) Counter() {
	value, err := c.Store.Read("original")
	reply(&c.Controller, value, err)
}

// Variable is GET /original/variable: what the tutorial would answer for /counter.
func (c *OriginalController) Variable() { reply(&c.Controller, atomic.LoadInt64(&variable), nil) }
