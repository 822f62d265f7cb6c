// SPDX-License-Identifier: MIT

package pawlmetrics

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

const acquired = `pawl_acquisitions_total{class="order:*",result="acquired"} `

func get(metrics *pawl.Metrics, method string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	Handler(metrics).ServeHTTP(answer, httptest.NewRequest(method, "/metrics", nil))
	return answer
}

func counting(t *testing.T) (*pawl.Metrics, *pawl.Client) {
	t.Helper()
	metrics, err := pawl.NewMetrics("order:*", "nightly*")
	if err != nil {
		t.Fatal(err)
	}
	client, err := pawl.Open("memory:"+t.Name(), &pawl.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return metrics, client
}

func TestWhatIsCountedIsServed(t *testing.T) {
	metrics, client := counting(t)
	if page := get(metrics, http.MethodGet).Body.String(); !strings.Contains(page, acquired+"0\n") {
		t.Fatal(page)
	}
	lock := client.NewLock("order:secret", nil)
	if err := lock.Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	answer := get(metrics, http.MethodGet)
	page := answer.Body.String()
	if !strings.Contains(page, acquired+"1\n") || !strings.Contains(page, `pawl_held{class="order:*"} 1`) {
		t.Error(page)
	}
	if strings.Contains(page, "secret") {
		t.Error("the name of a lock is in the text")
	}
	if got := answer.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Error(got)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyReadingIsServed(t *testing.T) {
	metrics, _ := counting(t)
	if answer := get(metrics, http.MethodPost); answer.Code != http.StatusMethodNotAllowed {
		t.Error(answer.Code)
	}
	if answer := get(metrics, http.MethodHead); answer.Code != http.StatusOK || answer.Body.Len() != 0 {
		t.Error(answer.Code, answer.Body)
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for _, classes := range [][]string{{""}, {"a\x00b"}, {"a\n"}, {"ok", strings.Repeat("x", 65)}, make([]string, 33)} {
		if _, err := pawl.NewMetrics(classes...); !errors.Is(err, pawl.ErrArgument) {
			t.Errorf("%q: %v", classes, err)
		}
	}
}

// The client keeps counting when nobody else has the object any more.
func TestAClientOutlivesTheObject(t *testing.T) {
	metrics, client := counting(t)
	_ = metrics
	metrics = nil
	runtime.GC()
	runtime.GC()
	lock := client.NewLock("order:1", nil)
	if err := lock.Lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}
