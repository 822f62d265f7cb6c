// SPDX-License-Identifier: MIT

// Package pawlbeego puts handlers and tasks of a Beego v2 application under pawl's locks.
//
//	client, err := pawlbeego.Open(nil) // the store that conf/app.conf chooses
//	if err != nil {
//		return err
//	}
//	web.InsertFilterChain("/order/:id",
//		pawlbeego.Filter(client, pawlbeego.NameFromParam("order:", ":id")))
//	task.AddTask("report", task.NewTask("report", "0 0 3 * * *",
//		pawlbeego.Once(client, "report", report, pawlbeego.MinHold(time.Minute))))
//	return pawlbeego.Run(client) // web.Run, and locks that are released at SIGTERM
//
// After libpawl is installed (see package pawl):
//
//	go get github.com/pawl-lock/pawl/bindings/go/pawlbeego@v0.2.0
package pawlbeego

import (
	"os"
	"path/filepath"

	"github.com/beego/beego/v2/core/logs"
	"github.com/beego/beego/v2/server/web"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// Open opens the store that the application's configuration chooses: the file
// that Beego itself has read, conf/app.conf or conf/$BEEGO_RUNMODE.app.conf, in the
// working directory or beside the program. See pawl/config.h for its keys. Without a Log in opts
// warnings go to Beego's log.
func Open(opts *pawl.Options) (*pawl.Client, error) {
	own := pawl.Options{}
	if opts != nil {
		own = *opts
	}
	if own.Log == nil {
		own.Log = logWarnings
	}
	return pawl.OpenConfig(configuration(), &own)
}

func logWarnings(severity pawl.Severity, line string) {
	if severity >= pawl.SeverityWarning {
		logs.Warn("pawl: %s", line)
	}
}

// StoreURL is the URL of that store, for an application that keeps its data beside its locks.
// It may hold a password.
func StoreURL() (string, error) { return pawl.ConfigURL(configuration()) }

// configuration is the file that Beego has read, in the folders where it looked when it started:
// the program may be in another one by now. "": it has read none; pawl looks, and says where.
func configuration() string {
	for _, dir := range []string{web.WorkPath, web.AppPath} {
		file, err := pawl.ConfigPath(filepath.Join(dir, "conf"))
		if err != nil {
			continue
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			return file
		}
	}
	return ""
}
