// SPDX-License-Identifier: MIT

package pawlbeego

import (
	"bytes"
	gocontext "context"
	"errors"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/beego/beego/v2/core/logs"
	"github.com/beego/beego/v2/server/web"
	"github.com/beego/beego/v2/server/web/context"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

// logged is what Beego's log has received, instead of the console.
type logged struct {
	mu    sync.Mutex
	lines []string
	news  chan struct{}
}

func (l *logged) Init(string) error                { return nil }
func (l *logged) Destroy()                         {}
func (l *logged) Flush()                           {}
func (l *logged) SetFormatter(_ logs.LogFormatter) {}

func (l *logged) WriteMsg(message *logs.LogMsg) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, message.OldStyleFormat())
	select {
	case l.news <- struct{}{}:
	default:
	}
	return nil
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// await waits for a line with these words, and returns it.
func (l *logged) await(t *testing.T, words string) string {
	t.Helper()
	end := time.After(patience)
	for {
		l.mu.Lock()
		for _, line := range l.lines {
			if strings.Contains(line, words) {
				l.mu.Unlock()
				return line
			}
		}
		l.mu.Unlock()
		select {
		case <-l.news:
		case <-end:
			t.Fatalf("nobody logs %q: %q", words, l.text())
		}
	}
}

var theLog = &logged{news: make(chan struct{}, 1)}

// redirectLog sends Beego's log to the tests, before anything logs: Beego allows no change later.
func redirectLog() {
	logs.Register("pawl-test", func() logs.Logger { return theLog })
	_ = logs.GetBeeLogger().DelLogger(logs.AdapterConsole)
	if err := logs.SetLogger("pawl-test"); err != nil {
		panic(err)
	}
	web.BConfig.Log.Outputs = map[string]string{"pawl-test": ""} // when it reads a configuration
}

// takeLog is the log from now on.
func takeLog(t *testing.T) *logged {
	t.Helper()
	theLog.mu.Lock()
	defer theLog.mu.Unlock()
	theLog.lines = nil
	return theLog
}

func TestDocumentedTimes(t *testing.T) {
	if DefaultWait != 5*time.Second || DrainTimeout != 5*time.Second {
		t.Fatal("the README says otherwise")
	}
	for waiters, after := range map[int]time.Duration{0: 1, 1: 1, 2: 2, 29: 29, 30: 30, 31: 30, 1000: 30} {
		if got := retryAfter(waiters); got != after*time.Second {
			t.Errorf("%d waiters: %v", waiters, got)
		}
	}
}

// ---- Filter --------------------------------------------------------------------------------------

// A visitor reads a plain word; host, file and reason are for the log.
func TestARefusedVisitorLearnsNothingOfTheStore(t *testing.T) {
	log := takeLog(t)
	client, err := pawl.Open("redis+unix://somebody:hunter2@/nonexistent/s",
		&pawl.Options{StoreTimeout: 50 * time.Millisecond})
	must(t, err)
	defer client.Close()
	server := serve(t, Filter(client, Name("n")), func(*context.Context) { t.Error("ran without the lock") })
	response, body := get(t, server+"/order/7")
	if response.StatusCode != http.StatusServiceUnavailable || body != "Service Unavailable\n" ||
		response.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		response.Header.Get("Retry-After") != "1" {
		t.Fatalf("%v %q", response, body)
	}
	line := log.await(t, "/nonexistent/s")
	if strings.Contains(log.text(), "hunter2") || strings.Contains(line, "\n") {
		t.Fatalf("%q", log.text())
	}
}

// A visitor chooses the path: no line of his own making gets into the log.
func TestALossIsLoggedInOneLine(t *testing.T) {
	log := takeLog(t)
	client := openTest(t, "memory:"+t.Name())
	server := serve(t, Filter(client, NameFromParam("order:", ":id"), TTL(time.Hour)),
		func(ctx *context.Context) {
			lock := LockOf(ctx)
			if lock.Remaining() < 30*time.Minute {
				t.Errorf("the ttl is ignored: %v", lock.Remaining())
			}
			must(t, client.Break(gocontext.Background(), lock.Name(), lock.Fence()))
			_ = ctx.Output.Body([]byte("done"))
		})
	if _, body := get(t, server+"/order/7%0aforged"); body != "done" {
		t.Fatal(body)
	}
	line := log.await(t, "/order/7")
	if strings.Contains(line, "\n") || !strings.Contains(line, "GET") || !strings.Contains(line, "lost") {
		t.Fatalf("%q", line)
	}
}

func TestAnUnlockThatIsFineIsNotLogged(t *testing.T) {
	log := takeLog(t)
	server := serve(t, Filter(openTest(t, "memory:"+t.Name()), Name("n")), func(ctx *context.Context) {
		_ = ctx.Output.Body([]byte("done"))
	})
	if _, body := get(t, server+"/order/7"); body != "done" || log.text() != "" {
		t.Fatalf("%q %q", body, log.text())
	}
}

// The longer the line, the later a visitor is told to come again.
func TestABusyAnswerCountsTheWaiters(t *testing.T) {
	log := takeLog(t)
	ctx, cancel := gocontext.WithCancel(gocontext.Background())
	url := "memory:" + t.Name()
	holder := openTest(t, url)
	must(t, holder.NewLock("n", nil).Lock(ctx))
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	for i := 0; i < 3; i++ {
		client := openTest(t, url)
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			_ = client.NewLock("n", nil).Lock(ctx)
		}()
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // nothing tells
		info, err := holder.Inspect(ctx, "n")
		must(t, err)
		if info.Waiters == 3 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nobody waits")
		}
	}
	server := serve(t, Filter(openTest(t, url), Name("n"), Wait(0)), func(*context.Context) { t.Error("ran") })
	response, body := get(t, server+"/order/7")
	if response.StatusCode != http.StatusLocked || body != "Locked\n" || response.Header.Get("Retry-After") != "3" {
		t.Fatalf("%v %q", response, body)
	}
	if log.text() != "" { // being busy is no trouble
		t.Fatal(log.text())
	}
}

func TestAWrongNameIsTheVisitorsFault(t *testing.T) {
	log := takeLog(t)
	server := serve(t, Filter(openTest(t, "memory:"), NameFromParam("", ":id")), func(*context.Context) { t.Error("ran") })
	response, body := get(t, server+"/order/"+strings.Repeat("x", 600))
	if response.StatusCode != http.StatusBadRequest || body != "Bad Request\n" ||
		response.Header.Get("Retry-After") != "" || log.text() != "" {
		t.Fatalf("%v %q %q", response, body, log.text())
	}
}

// A visitor chooses the name, and the holder its label: neither gets into a page, nor raw into a log.
func TestHostileNamesAndLabelsAreHarmless(t *testing.T) {
	const path = "/order/%3Cscript%3E%22%27%26%0d%0aforged%1b%5b2J%c2%9b%ff"
	const name = "order:<script>\"'&\r\nforged\x1b[2J\u009b\xff"
	log := takeLog(t)
	holder, err := pawl.Open("memory:"+t.Name(), &pawl.Options{Owner: "<script>label\u009b2J\u202e\xff"})
	must(t, err)
	defer holder.Close()
	must(t, holder.NewLock(name, nil).Lock(gocontext.Background()))
	away, err := pawl.Open("redis+unix:///nonexistent/s", &pawl.Options{StoreTimeout: 50 * time.Millisecond})
	must(t, err)
	defer away.Close()
	for _, client := range []*pawl.Client{openTest(t, "memory:"+t.Name()), away} {
		server := serve(t, Filter(client, NameFromParam("order:", ":id"), Wait(0)),
			func(*context.Context) { t.Error("ran without the lock") })
		response, body := get(t, server+path)
		if want := http.StatusText(response.StatusCode) + "\n"; response.StatusCode < 423 || body != want {
			t.Fatalf("%v %q", response, body)
		}
		for key, values := range response.Header {
			if strings.Contains(strings.Join(values, ""), "script") {
				t.Errorf("%s: %q", key, values)
			}
		}
	}
	line := log.await(t, "/nonexistent/s")
	if strings.IndexFunc(line, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) >= 0 ||
		!strings.Contains(line, `\x1b[2J`) || strings.Contains(log.text(), "label") {
		t.Fatalf("%q", log.text())
	}
}

func TestTheNameMayComeFromTheQuery(t *testing.T) {
	server := serve(t, Filter(openTest(t, "memory:"+t.Name()), NameFromParam("order:", "which")),
		func(ctx *context.Context) { _ = ctx.Output.Body([]byte(LockOf(ctx).Name())) })
	if _, body := get(t, server+"/order/7?which=a"); body != "order:a" {
		t.Fatal(body)
	}
}

// requestOf is a request in Beego's hands, and what it was answered.
func requestOf(ctx gocontext.Context) (*context.Context, *httptest.ResponseRecorder) {
	recorder := httptest.NewRecorder()
	own := context.NewContext()
	own.Reset(recorder, httptest.NewRequest("GET", "/order/7", nil).WithContext(ctx))
	return own, recorder
}

func TestNobodyAnswersAVisitorWhoHasGone(t *testing.T) {
	log := takeLog(t)
	gone, cancel := gocontext.WithCancel(gocontext.Background())
	cancel()
	ctx, recorder := requestOf(gone)
	Filter(openTest(t, "memory:"+t.Name()), Name("n"))(func(*context.Context) { t.Error("ran") })(ctx)
	if recorder.Body.Len() != 0 || len(recorder.Header()) != 0 || log.text() != "" {
		t.Fatal(recorder, log.text())
	}
}

// What comes after the filter in the chain of another filter has no lock any more.
func TestTheRequestIsGivenBackAsItWas(t *testing.T) {
	ctx, _ := requestOf(gocontext.Background())
	before := ctx.Request
	var inner *http.Request
	Filter(openTest(t, "memory:"+t.Name()), Name("n"))(func(ctx *context.Context) {
		inner = ctx.Request
		if LockOf(ctx) == nil || ctx.Request.Context().Err() != nil {
			t.Error("no lock")
		}
	})(ctx)
	if ctx.Request != before || LockOf(ctx) != nil || inner.Context().Err() == nil {
		t.Fatal("the lock is free, and its request goes on")
	}
}

// upload is the request of a browser that sends a file.
func upload(t *testing.T, url string, size int) *http.Request {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	must(t, form.WriteField("title", "report"))
	file, err := form.CreateFormFile("file", "report.bin")
	must(t, err)
	_, err = file.Write(make([]byte, size))
	must(t, err)
	must(t, form.Close())
	request, err := http.NewRequest("POST", url, &body)
	must(t, err)
	request.Header.Set("Content-Type", form.FormDataContentType())
	return request
}

// The server removes the files of a form by the request that it made: what was read behind the filter,
// from a copy with another context, has to be known there as well.
func TestAnUploadLeavesNoFileBehind(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder) // where large uploads are kept
	config := *web.BConfig
	config.MaxMemory = 1024
	router := web.NewControllerRegisterWithCfg(&config)
	title := make(chan string, 1)
	router.InsertFilterChain("/order/:id", func(next web.FilterFunc) web.FilterFunc {
		return func(ctx *context.Context) {
			next(ctx)
			title <- ctx.Request.PostFormValue("title")
		}
	})
	router.InsertFilterChain("/order/:id", Filter(openTest(t, "memory:"+t.Name()), Name("n")))
	router.Post("/order/:id", func(ctx *context.Context) {
		if kept, err := os.ReadDir(folder); err != nil || len(kept) != 1 {
			t.Error("the upload is not in a file: ", kept, err)
		}
	})
	router.Init()
	server := httptest.NewServer(router)
	defer server.Close()
	response, err := http.DefaultClient.Do(upload(t, server.URL+"/order/7", 1<<20))
	must(t, err)
	response.Body.Close()
	if seen := <-title; response.StatusCode != 200 || seen != "report" {
		t.Errorf("%d, and the title is %q in the filter around it", response.StatusCode, seen)
	}
	server.Close() // waits until the request has been cleaned up
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Error("left behind: ", left, err)
	}
}

// ---- Once ----------------------------------------------------------------------------------------

// A task whose own time is over knows nothing of another node.
func TestOnceOfAContextThatEndsIsAnError(t *testing.T) {
	url := "memory:" + t.Name()
	must(t, openTest(t, url).NewLock("n", nil).Lock(gocontext.Background()))
	short, cancel := gocontext.WithTimeout(gocontext.Background(), 20*time.Millisecond)
	defer cancel()
	err := Once(openTest(t, url), "n", func(gocontext.Context) error {
		t.Error("ran")
		return nil
	}, Wait(time.Hour))(short)
	if !errors.Is(err, gocontext.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// lateTimer is a context whose deadline has come, and whose timer has not gone off yet.
type lateTimer struct {
	gocontext.Context
	deadline time.Time
}

func (c lateTimer) Deadline() (time.Time, bool) { return c.deadline, true }

func TestOnceOfAContextWhoseTimerIsLateIsAnError(t *testing.T) {
	url := "memory:" + t.Name()
	must(t, openTest(t, url).NewLock("n", nil).Lock(gocontext.Background()))
	ctx := lateTimer{gocontext.Background(), time.Now().Add(20 * time.Millisecond)}
	err := Once(openTest(t, url), "n", func(gocontext.Context) error {
		t.Error("ran")
		return nil
	}, Wait(time.Hour))(ctx)
	if !errors.Is(err, gocontext.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestOnceWaitsIfItIsToldTo(t *testing.T) {
	url := "memory:" + t.Name()
	holder := openTest(t, url).NewLock("n", nil)
	must(t, holder.Lock(gocontext.Background()))
	ran := false
	task := Once(openTest(t, url), "n", func(gocontext.Context) error {
		ran = true
		return nil
	}, Wait(patience))
	done := make(chan error, 1)
	go func() { done <- task(gocontext.Background()) }()
	await(t, "the task's wish", holder.Wanted())
	must(t, holder.Unlock())
	must(t, <-done)
	if !ran {
		t.Fatal("it did not wait")
	}
}

// MinHold keeps the lock, not the task's context.
func TestOnceEndsItsContextWithTheTask(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	var inner gocontext.Context
	must(t, Once(client, "n", func(ctx gocontext.Context) error {
		inner = ctx
		return nil
	}, MinHold(time.Hour))(gocontext.Background()))
	if inner.Err() == nil {
		t.Fatal("it goes on")
	}
	if err := client.NewLock("n", nil).TryLock(gocontext.Background()); !errors.Is(err, pawl.ErrBusy) {
		t.Fatal(err)
	}
}

// A loss is the task's error, at once, however long the lock was to be held.
func TestOnceReportsALossInSpiteOfMinHold(t *testing.T) {
	client := openTest(t, "memory:"+t.Name())
	err := Once(client, "n", func(ctx gocontext.Context) error {
		must(t, client.Close())
		await(t, "the end of the context", ctx.Done())
		return nil
	}, MinHold(time.Hour))(gocontext.Background())
	if !errors.Is(err, pawl.ErrLost) {
		t.Fatal(err)
	}
}

// Nobody waits for the end of the hold: a loss until then is logged.
func TestALossDuringTheHoldIsLogged(t *testing.T) {
	log := takeLog(t)
	client := openTest(t, "memory:"+t.Name())
	must(t, Once(client, "lost", func(gocontext.Context) error { return nil },
		MinHold(20*time.Millisecond))(gocontext.Background()))
	info, err := client.Inspect(gocontext.Background(), "lost")
	must(t, err)
	if err := client.Break(gocontext.Background(), "lost", info.Fence); err != nil {
		t.Skip("SKIP: the machine was too slow to break it in time") // then it was unlocked, and well
	}
	log.await(t, `"lost"`)

	must(t, Once(client, "kept", func(gocontext.Context) error { return nil },
		MinHold(time.Millisecond))(gocontext.Background()))
	must(t, client.NewLock("kept", nil).Lock(gocontext.Background()))
	if strings.Contains(log.text(), "kept") {
		t.Fatal(log.text())
	}
}

// ---- Open ----------------------------------------------------------------------------------------

// inFolder lets Beego have looked for its configuration there.
func inFolder(t *testing.T, work, app string) {
	t.Helper()
	t.Setenv("BEEGO_RUNMODE", "")
	savedWork, savedApp := web.WorkPath, web.AppPath
	web.WorkPath, web.AppPath = work, app
	t.Cleanup(func() { web.WorkPath, web.AppPath = savedWork, savedApp })
}

func TestOpenLooksBesideTheProgramToo(t *testing.T) {
	beside := t.TempDir()
	must(t, os.Mkdir(filepath.Join(beside, "conf"), 0o700))
	put(t, filepath.Join(beside, "conf", "app.conf"), "adapter = memory\npawlowner = beside\n")
	inFolder(t, t.TempDir(), beside)
	client, err := Open(nil)
	must(t, err)
	defer client.Close()
	if client.Owner() != "beside" {
		t.Fatal(client.Owner())
	}
	inFolder(t, t.TempDir(), t.TempDir())
	if client, err := Open(nil); err == nil {
		client.Close()
		t.Fatal("opened what nobody has configured")
	}
}

func TestOpensOptionsAreHeeded(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "conf"), 0o700))
	put(t, filepath.Join(dir, "conf", "app.conf"), "adapter = memory\n")
	inFolder(t, dir, dir)
	log := takeLog(t)

	client, err := Open(nil) // memory: warns that nobody else sees its locks
	must(t, err)
	client.Close()
	if line := log.await(t, "pawl: the store is the memory of this process"); !strings.Contains(line, "[W]") {
		t.Fatal(line)
	}

	own := make(chan string, 10)
	before := log.text()
	client, err = Open(&pawl.Options{Owner: "me", Log: func(severity pawl.Severity, line string) {
		if severity == pawl.SeverityWarning {
			own <- line
		}
	}})
	must(t, err)
	defer client.Close()
	if client.Owner() != "me" {
		t.Fatal(client.Owner())
	}
	select {
	case <-own:
	case <-time.After(patience):
		t.Fatal("no warning")
	}
	if log.text() != before {
		t.Fatal("told twice")
	}
}

// Notes are for who asks for them; warnings are Beego's.
func TestOnlyWarningsGoToBeegosLog(t *testing.T) {
	log := takeLog(t)
	logWarnings(pawl.SeverityOK, "fine")
	logWarnings(pawl.SeverityNote, "a note")
	if log.text() != "" {
		t.Fatal(log.text())
	}
	logWarnings(pawl.SeverityWarning, "a warning")
	logWarnings(pawl.SeverityError, "an error")
	if text := log.text(); !strings.Contains(text, "a warning") || !strings.Contains(text, "an error") {
		t.Fatal(text)
	}
}
