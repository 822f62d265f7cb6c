// SPDX-License-Identifier: MIT

package pawlbeego

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/server/web/context"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// serveAll runs a handler for each method behind a filter.
func serveAll(t *testing.T, filter web.FilterChain, handler func(ctx *context.Context)) string {
	t.Helper()
	router := web.NewControllerRegister()
	router.InsertFilterChain("/order/:id", filter)
	router.Any("/order/:id", handler)
	router.Init()
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server.URL + "/order/7"
}

func ask(t *testing.T, method, url string) int {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	response.Body.Close()
	return response.StatusCode
}

// room lets requests in, which stay until they are told to leave.
type room struct {
	t      *testing.T
	inside chan pawl.Mode
	leave  chan struct{}
	sent   sync.WaitGroup
}

func (r *room) handler(ctx *context.Context) {
	r.inside <- LockOf(ctx).Mode()
	await(r.t, "the leave", r.leave)
	_ = ctx.Output.Body([]byte("done"))
}

// enter sends a request, and returns in which mode it has come in.
func (r *room) enter(method, url string) pawl.Mode {
	r.sent.Add(1)
	go func() {
		defer r.sent.Done()
		if status := ask(r.t, method, url); status != 200 {
			r.t.Errorf("%s: %d", method, status)
		}
	}()
	select {
	case mode := <-r.inside:
		return mode
	case <-time.After(patience):
		r.t.Fatal(method + " never came in")
		return 0
	}
}

func (r *room) clear() {
	close(r.leave)
	r.sent.Wait()
	r.leave = make(chan struct{})
}

func TestReadsRunBesideEachOtherAndWritesAlone(t *testing.T) {
	for store, url := range map[string]string{"memory": "memory:" + t.Name(),
		"redis": "redis+unix://" + startRedis(t)} {
		t.Run(store, func(t *testing.T) {
			r := &room{t: t, inside: make(chan pawl.Mode), leave: make(chan struct{})}
			name := NameFromParam("order:", ":id")
			here := serveAll(t, Filter(openTest(t, url), name, Wait(0), SharedReads()), r.handler)
			there := serveAll(t, Filter(openTest(t, url), name, Wait(0), SharedReads()), r.handler)
			for _, read := range [][2]string{{"GET", here}, {"GET", here}, {"HEAD", here}, {"GET", there}} {
				if mode := r.enter(read[0], read[1]); mode != pawl.ModeShared {
					t.Fatal(read, mode)
				}
			}
			for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
				if status := ask(t, method, there); status != http.StatusLocked {
					t.Fatal(method, status)
				}
			}
			r.clear()
			if mode := r.enter("POST", there); mode != pawl.ModeExclusive {
				t.Fatal(mode)
			}
			for _, method := range []string{"GET", "HEAD", "POST"} {
				if status := ask(t, method, here); status != http.StatusLocked {
					t.Fatal(method, status)
				}
			}
			r.clear()
		})
	}
}

// Without the option all methods are alone, as they always were.
func TestReadsAreAloneUnlessTheyAreShared(t *testing.T) {
	url := "memory:" + t.Name()
	r := &room{t: t, inside: make(chan pawl.Mode), leave: make(chan struct{})}
	page := serveAll(t, Filter(openTest(t, url), Name("n"), Wait(0)), r.handler)
	if mode := r.enter("GET", page); mode != pawl.ModeExclusive {
		t.Fatal(mode)
	}
	if status := ask(t, "GET", page); status != http.StatusLocked {
		t.Fatal(status)
	}
	r.clear()
}
