// SPDX-License-Identifier: MIT

// A Beego application whose instances share one counter in Redis: the one that
// the tutorial "a distributed lock with Redis in Beego" sets out to build.
//
//	GET /add             one more, under pawl's lock, its fence checked by the counter
//	GET /counter         the number
//	GET /order/:id       a handler under a lock of its own by pawl's filter
//	GET /original/add    one more, under the tutorial's algorithm
//	GET /original/counter
//	GET /original/variable   what this process alone has counted
package main

import (
	"log"

	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/server/web/context"

	"beego-counter/controllers"
	"beego-counter/models"

	"github.com/pawl-lock/pawl/bindings/go/pawlbeego"
)

func main() {
	client, err := pawlbeego.Open(nil)
	if err != nil {
		log.Fatal(err)
	}
	url, err := pawlbeego.StoreURL()
	if err != nil {
		log.Fatal(err)
	}
	store, err := models.Open(url) // the counters are beside the locks
	if err != nil {
		log.Fatal(err)
	}

	web.Router("/add", &controllers.CounterController{Client: client, Store: store}, "get:Add")
	web.Router("/counter", &controllers.CounterController{Client: client, Store: store}, "get:Counter")
	web.Router("/original/add", &controllers.OriginalController{Store: store}, "get:Add")
	web.Router("/original/counter", &controllers.OriginalController{Store: store}, "get:Counter")
	web.Router("/original/variable", &controllers.OriginalController{Store: store}, "get:Variable")

	web.InsertFilterChain("/order/:id", pawlbeego.Filter(client, pawlbeego.NameFromParam("order:", ":id")))
	web.Get("/order/:id", func(ctx *context.Context) {
		_ = ctx.Output.JSON(map[string]uint64{"fence": pawlbeego.LockOf(ctx).Fence()}, false, false)
	})
	if err := pawlbeego.Run(client); err != nil {
		log.Fatal(err)
	}
}
