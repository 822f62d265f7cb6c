// SPDX-License-Identifier: MIT

// Package pawlmetrics serves what pawl counts to Prometheus. It needs nothing but net/http: the
// text is pawl's own, so Prometheus' Go client is not needed, and does not get in the way of one.
package pawlmetrics

import (
	"bytes"
	"net/http"
	"strconv"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// Handler answers GET and HEAD with the metrics:
//
//	http.Handle("/metrics/locks", pawlmetrics.Handler(metrics))
func Handler(metrics *pawl.Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET is wanted", http.StatusMethodNotAllowed)
			return
		}
		var page bytes.Buffer
		if _, err := metrics.WriteTo(&page); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
		if r.Method == http.MethodGet {
			_, _ = page.WriteTo(w) // who has hung up does not read an error either
		}
	})
}
