// SPDX-License-Identifier: MIT

package pawlbeego

import (
	gocontext "context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/beego/beego/v2/core/logs"
	"github.com/beego/beego/v2/server/web"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// DrainTimeout is how long Run lets requests end by themselves after a signal.
var DrainTimeout = 5 * time.Second

// Run is web.Run for an application that holds locks: at SIGTERM or SIGINT it takes no more
// requests, lets those that run end within DrainTimeout, and closes the client, which tells the
// handlers that are left, without waiting for them, and releases their locks. When Run returns,
// return from main.
//
// Under web.Run alone the signal ends the process at once, and its locks stay until their leases
// run out: Beego calls nobody then. Filter and Once warn of it in Beego's log when the application
// starts. An application that handles signals by itself need not heed the warning, if it closes the
// client.
//
// In Beego's graceful mode Beego itself handles the signals; Run then closes the client when
// web.Run has returned.
func Run(client *pawl.Client, params ...string) error {
	atomic.StoreInt32(&releases, 1)
	signals := make(chan os.Signal, 1)
	ended := make(chan struct{})
	if !web.BConfig.Listen.Graceful {
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		defer signal.Stop(signals)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		select {
		case got := <-signals:
			logs.Info("%v: no more requests are taken", got)
			drain()
		case <-ended:
		}
	}()
	web.Run(params...)
	close(ended)
	<-drained // web.Run returns as soon as nobody is let in any more
	return client.Close()
}

// releases is 1 when the application was started by Run.
var releases int32

var warner sync.Once

// warnAtStart registers the warning. Beego has hooks for its start only.
func warnAtStart() {
	warner.Do(func() {
		web.AddAPPStartHook(func() error {
			if atomic.LoadInt32(&releases) == 0 {
				logs.Warn("pawl: started under web.Run alone: at SIGTERM the locks stay held until " +
					"their leases run out; start with pawlbeego.Run(client)")
			}
			return nil
		})
	})
}

func drain() {
	ctx, cancel := gocontext.WithTimeout(gocontext.Background(), DrainTimeout)
	defer cancel()
	if err := web.BeeApp.Server.Shutdown(ctx); err != nil {
		logs.Warn("requests still run after %v: their locks are taken from them", DrainTimeout)
	}
}
