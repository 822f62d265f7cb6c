// SPDX-License-Identifier: MIT

package pawlbeego

import (
	gocontext "context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/server/web/context"
	"github.com/beego/beego/v2/task"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

const patience = 20 * time.Second

func openTest(t *testing.T, url string) *pawl.Client {
	t.Helper()
	client, err := pawl.Open(url, nil)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Error("never came: " + what)
	}
}

// serve runs handlers behind a filter in a real Beego router behind a real HTTP server.
func serve(t *testing.T, filter web.FilterChain, handler func(ctx *context.Context)) string {
	t.Helper()
	router := web.NewControllerRegister()
	router.InsertFilterChain("/order/:id", filter) // its own pattern gives it its parameters
	router.Get("/order/:id", handler)
	router.Init()
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, string(body)
}

func TestFilterSerialisesOneName(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "locks.db")
	var inside, most, served int32
	var last uint64 // no lock of its own: the race detector watches
	handler := func(ctx *context.Context) {
		if n := atomic.AddInt32(&inside, 1); n > atomic.LoadInt32(&most) {
			atomic.StoreInt32(&most, n)
		}
		atomic.AddInt32(&served, 1)
		if fence := LockOf(ctx).Fence(); fence < last { // equal: the lease stayed on this node
			t.Errorf("fence %d after %d", fence, last)
		} else {
			last = fence
		}
		atomic.AddInt32(&inside, -1)
		_ = ctx.Output.Body([]byte("done"))
	}
	name := NameFromParam("order:", ":id")
	nodes := []string{ // two nodes of one fleet
		serve(t, Filter(openTest(t, url), name), handler),
		serve(t, Filter(openTest(t, url), name), handler),
	}
	var wg sync.WaitGroup
	for i := 0; i < 100; i++ {
		node := nodes[i%2]
		wg.Add(1)
		go func() {
			defer wg.Done()
			response, body := get(t, node+"/order/7")
			if response.StatusCode != 200 {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		}()
	}
	wg.Wait()
	if most != 1 || served != 100 {
		t.Fatalf("%d requests, up to %d at once", served, most)
	}
}

func TestFilterAnswers423(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	inside, leave := make(chan struct{}), make(chan struct{})
	url := serve(t, Filter(client, NameFromParam("order:", ":id"), Wait(0)),
		func(ctx *context.Context) {
			if ctx.Input.Param(":id") == "7" {
				close(inside)
				await(t, "the leave", leave)
			}
			_ = ctx.Output.Body([]byte("done"))
		})
	got := make(chan int)
	go func() {
		response, _ := get(t, url+"/order/7")
		got <- response.StatusCode
	}()
	await(t, "the first request", inside)
	response, body := get(t, url+"/order/7")
	if response.StatusCode != http.StatusLocked || response.Header.Get("Retry-After") != "1" {
		t.Fatalf("%v %q", response, body)
	}
	if response, _ := get(t, url+"/order/8"); response.StatusCode != 200 {
		t.Fatal("another name waits, too")
	}
	close(leave)
	if code := <-got; code != 200 {
		t.Fatal(code)
	}
}

func TestFilterAnswers423AfterItsWait(t *testing.T) {
	url := "memory:" + t.Name()
	holder := openTest(t, url).NewLock("n", nil)
	must(t, holder.Lock(gocontext.Background()))
	server := serve(t, Filter(openTest(t, url), Name("n"), Wait(30*time.Millisecond)),
		func(*context.Context) { t.Error("ran without the lock") })
	if response, _ := get(t, server+"/order/7"); response.StatusCode != http.StatusLocked {
		t.Fatal(response.Status)
	}
}

func TestFilterAnswers503And400(t *testing.T) {
	client, err := pawl.Open("redis+unix:///nonexistent/s",
		&pawl.Options{StoreTimeout: 50 * time.Millisecond})
	must(t, err)
	defer client.Close()
	never := func(*context.Context) { t.Error("ran without the lock") }
	server := serve(t, Filter(client, Name("n")), never)
	response, _ := get(t, server+"/order/7")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Fatal(response.Status)
	}
	server = serve(t, Filter(openTest(t, "memory:"), NameFromParam("", ":id")), never)
	response, _ = get(t, server+"/order/"+strings.Repeat("x", 600))
	if response.StatusCode != http.StatusBadRequest {
		t.Fatal(response.Status)
	}
}

// Where the store is silent nobody knows whether the lock is busy, however short the wait.
func TestFilterAnswers503WhenNobodyKnows(t *testing.T) {
	client := openTest(t, "redis+unix:///nonexistent/s") // it may be silent for five seconds
	server := serve(t, Filter(client, Name("n"), Wait(30*time.Millisecond)),
		func(*context.Context) { t.Error("ran without the lock") })
	if response, _ := get(t, server+"/order/7"); response.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(response.Status)
	}
	err := Once(client, "n", func(gocontext.Context) error { return nil },
		Wait(30*time.Millisecond))(gocontext.Background())
	if !errors.Is(err, pawl.ErrUnavailable) {
		t.Fatalf("another node does it? %v", err)
	}
}

func TestFilterWithoutANameLocksNothing(t *testing.T) {
	server := serve(t, Filter(openTest(t, "memory:"), NameFromParam("o:", "absent")),
		func(ctx *context.Context) {
			if LockOf(ctx) != nil {
				t.Error("a lock without a name")
			}
			_ = ctx.Output.Body([]byte("x"))
		})
	if response, _ := get(t, server+"/order/7"); response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
}

func TestFilterUnlocksAfterAPanic(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	server := serve(t, Filter(client, Name("n")), func(*context.Context) { panic("oops") })
	if response, _ := get(t, server+"/order/7"); response.StatusCode != 500 {
		t.Fatal(response.Status)
	}
	must(t, client.NewLock("n", nil).TryLock(gocontext.Background()))
}

func TestFilterTellsTheHandlerOfALoss(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	server := serve(t, Filter(client, Name("n")), func(ctx *context.Context) {
		go client.Close() // the shortest way to lose a lock
		await(t, "the end of the request's context", ctx.Request.Context().Done())
		_ = ctx.Output.Body([]byte("stopped"))
	})
	if _, body := get(t, server+"/order/7"); body != "stopped" {
		t.Fatal(body)
	}
}

// ---- Once ------------------------------------------------------------------------

func TestOnceRunsOnOneNode(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "locks.db")
	const nodes = 5
	var ran int32
	var all sync.WaitGroup
	for i := 0; i < nodes; i++ {
		fn := Once(openTest(t, url), "report", func(gocontext.Context) error {
			atomic.AddInt32(&ran, 1)
			return nil
		}, MinHold(time.Hour)) // the nodes' clocks differ: the last comes when the first is done
		tk := task.NewTask("report", "0 0 3 * * *", fn)
		all.Add(1)
		go func() {
			defer all.Done()
			if err := tk.Run(gocontext.Background()); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if ran != 1 {
		t.Fatalf("it ran %d times", ran)
	}
}

func TestOnceLetsGoAfterItsMinimumHold(t *testing.T) {
	url := "memory:" + t.Name()
	const hold = 300 * time.Millisecond
	start := time.Now()
	must(t, Once(openTest(t, url), "n", func(gocontext.Context) error { return nil },
		MinHold(hold))(gocontext.Background()))
	if time.Since(start) > hold/2 {
		t.Fatal("the task waited for the end of the hold")
	}
	other := openTest(t, url).NewLock("n", nil)
	must(t, other.Lock(gocontext.Background()))
	if held := time.Since(start); held < hold {
		t.Fatalf("held for %v only", held)
	}
}

func TestOnceReportsErrors(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	oops := errors.New("oops")
	ctx := gocontext.Background()
	failing := Once(client, "n", func(gocontext.Context) error { return oops })
	if err := failing(ctx); !errors.Is(err, oops) {
		t.Fatal(err)
	}
	must(t, client.NewLock("n", nil).TryLock(ctx)) // it was unlocked
	if err := Once(client, "", nil)(ctx); !errors.Is(err, pawl.ErrName) {
		t.Fatal(err)
	}
	if err := failing(ctx); err != nil { // busy: another node does it
		t.Fatal(err)
	}
}

// ---- Open --------------------------------------------------------------------------

func TestOpenFindsTheApplicationsConfiguration(t *testing.T) {
	dir := t.TempDir()
	saved := web.WorkPath
	web.WorkPath = dir
	defer func() { web.WorkPath = saved }()
	t.Setenv("BEEGO_RUNMODE", "")
	must(t, os.Mkdir(filepath.Join(dir, "conf"), 0o700))
	put(t, filepath.Join(dir, "conf", "app.conf"), "adapter = memory\npawlowner = plain\n")
	put(t, filepath.Join(dir, "conf", "test.app.conf"), "adapter = memory\npawlowner = test\n")
	for mode, owner := range map[string]string{"": "plain", "test": "test"} {
		t.Setenv("BEEGO_RUNMODE", mode)
		client, err := Open(nil)
		must(t, err)
		if client.Owner() != owner {
			t.Fatalf("mode %q opened %q", mode, client.Owner())
		}
		if url, err := StoreURL(); err != nil || url != client.URL() {
			t.Fatal(url, err)
		}
		client.Close()
	}
	t.Setenv("BEEGO_RUNMODE", "absent")
	_, err := Open(nil)
	if err == nil || !strings.Contains(err.Error(), "absent.app.conf") {
		t.Fatal(err)
	}
}
