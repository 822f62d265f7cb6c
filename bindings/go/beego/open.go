// SPDX-License-Identifier: MIT

// Package beego puts handlers and tasks of a Beego v2 application under pawl's locks.
//
//	client, err := beego.Open(nil) // the store that conf/app.conf chooses
//	web.InsertFilterChain("/order/:id", beego.Filter(client, beego.NameFromParam("order:", ":id")))
//	task.AddTask("report", task.NewTask("report", "0 0 3 * * *",
//		beego.Once(client, "report", report, beego.MinHold(time.Minute))))
package beego

import (
	"os"
	"path/filepath"

	"github.com/beego/beego/v2/server/web"

	"pawl.example/pawl"
)

// Open opens the store that the application's configuration chooses: the file
// that Beego itself has read, conf/app.conf or conf/$BEEGO_RUNMODE.app.conf, in the
// working directory or beside the program. See pawl/config.h for its keys.
func Open(opts *pawl.Options) (*pawl.Client, error) {
	return pawl.OpenConfig(configuration(), opts)
}

// StoreURL is the URL of that store, for an application that keeps its data beside its locks.
// It may hold a password.
func StoreURL() (string, error) { return pawl.ConfigURL(configuration()) }

func configuration() string {
	name := "app.conf"
	if mode := os.Getenv("BEEGO_RUNMODE"); mode != "" {
		name = mode + ".app.conf"
	}
	path := filepath.Join(web.WorkPath, "conf", name)
	if _, err := os.Stat(path); err != nil {
		beside := filepath.Join(web.AppPath, "conf", name)
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return path
}
