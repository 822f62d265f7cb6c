// SPDX-License-Identifier: MIT

// A Beego application that holds locks when a signal ends it: "n" by a task that is over, and
// "held" by a request that never ends by itself. Arguments: run, graceful or plain; store; port.
package main

import (
	gocontext "context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/server/web/context"

	pawl "github.com/pawl-lock/pawl/bindings/go"
	"github.com/pawl-lock/pawl/bindings/go/pawlbeego"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	way, store := os.Args[1], os.Args[2]
	port, err := strconv.Atoi(os.Args[3])
	must(err)
	web.BConfig.Listen.HTTPAddr, web.BConfig.Listen.HTTPPort = "127.0.0.1", port
	web.BConfig.Listen.Graceful = way == "graceful"
	if way == "graceful" { // a signal that comes before Beego looks for it ends nothing
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	}
	pawlbeego.DrainTimeout = 10 * time.Millisecond
	client, err := pawl.Open(store, nil)
	must(err)

	done := func(gocontext.Context) error { return nil }
	must(pawlbeego.Once(client, "n", done, pawlbeego.MinHold(time.Hour))(gocontext.Background()))
	web.InsertFilterChain("/held", pawlbeego.Filter(client, pawlbeego.Name("held")))
	var held sync.WaitGroup // Run tells the handlers that are left, and does not wait for them
	web.Get("/held", func(ctx *context.Context) {
		held.Add(1)
		defer held.Done()
		fmt.Println("held")
		<-ctx.Request.Context().Done()
		fmt.Println("told")
	})
	if way == "plain" {
		web.Run()
		return
	}
	must(pawlbeego.Run(client))
	held.Wait()
	fmt.Println("closed")
}
