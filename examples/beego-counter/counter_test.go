// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"beego-counter/models"
)

const (
	patience = 20 * time.Second
	requests = 60
	workers  = 12
)

// start runs a program that dies with the test.
func start(t *testing.T, env []string, path string, args ...string) *exec.Cmd {
	t.Helper()
	return startInto(t, nil, env, path, args...)
}

// startInto is start, with what the program says in a file.
func startInto(t *testing.T, said io.Writer, env []string, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Stdout = said
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func awaitListener(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody listens on " + address)
		}
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

var built struct {
	sync.Once
	program string
	err     error
}

// buildOnce builds the application, and returns its path.
func buildOnce(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		built.program = filepath.Join(buildDir, "beego-counter")
		out, err := exec.Command("go", "build", "-o", built.program, ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%v\n%s", err, out)
		}
	})
	must(t, built.err)
	return built.program
}

var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "beego-counter")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// fleet is a Redis server and two processes of the application.
type fleet struct {
	redis     string
	instances []string
	processes []*exec.Cmd
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	return startFleetOn(t, startRedis(t))
}

func startFleetOn(t *testing.T, redis string, settings ...string) *fleet {
	t.Helper()
	f := &fleet{redis: redis}
	program := buildOnce(t)
	for i := 0; i < 2; i++ {
		address := freeAddress(t)
		env := append([]string{"COUNTER_PORT=" + portOf(address), "COUNTER_REDIS=" + f.redis}, settings...)
		f.processes = append(f.processes, start(t, env, program))
		awaitListener(t, address)
		f.instances = append(f.instances, "http://"+address)
	}
	return f
}

func get(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

// load asks for so many increments through both instances; one in ten overruns its ttl.
func (f *fleet) load(t *testing.T, path string) time.Duration {
	t.Helper()
	begin := time.Now()
	jobs := make(chan int)
	var wg sync.WaitGroup
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range jobs {
				url := f.instances[i%2] + path
				if i%10 == 0 {
					url += "?overrun=1"
				}
				if _, err := get(url); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := 0; i < requests; i++ {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	return time.Since(begin)
}

// result of a load, as the store has it.
func (f *fleet) result(t *testing.T, path, name string) (survived, overlaps int64) {
	t.Helper()
	text, err := get(f.instances[0] + path)
	if err != nil {
		t.Fatal(err)
	}
	survived, err = strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	overlaps, err = openStore(f.redis).Overlaps(name)
	if err != nil {
		t.Fatal(err)
	}
	return survived, overlaps
}

func TestNoIncrementIsLost(t *testing.T) {
	f := startFleet(t)
	took := f.load(t, "/add")
	survived, overlaps := f.result(t, "/counter", "counted")
	t.Logf("pawl:     %d asked, %d survived, %d overlaps, %v", requests, survived, overlaps,
		took.Round(time.Millisecond))
	if survived != requests || overlaps != 0 {
		t.Fatal("increments were lost, or two were inside at once")
	}
}

func TestTheOriginalLosesIncrements(t *testing.T) {
	f := startFleet(t)
	took := f.load(t, "/original/add")
	survived, overlaps := f.result(t, "/original/counter", "original")
	t.Logf("original: %d asked, %d survived, %d overlaps, %v", requests, survived, overlaps,
		took.Round(time.Millisecond))
	if survived >= requests || overlaps == 0 {
		t.Fatal("the original lost nothing: this load shows nothing")
	}
}

// All that the configuration says of the server is true of the counter, too.
func TestTheCounterIsWhereTheLocksAre(t *testing.T) {
	f := startFleetOn(t, startRedis(t, "--requirepass", "p@ss/word"),
		"COUNTER_PASSWORD=p@ss/word", "COUNTER_DB=3")
	for i, instance := range f.instances {
		text, err := get(instance + "/add")
		must(t, err)
		if text != fmt.Sprint(i+1) {
			t.Fatal(text)
		}
	}
	if n := redisCli(t, f.redis, "-a", "p@ss/word", "--no-auth-warning", "-n", "3", "HGET", "counted",
		"value"); n != "2\n" {
		t.Fatal("the counter is elsewhere: " + n)
	}
}

func TestWhereTheCounterCannotBe(t *testing.T) {
	for _, url := range []string{"sqlite:/tmp/x.db", "memory:", "redis://h:port", ""} {
		if _, err := models.Open(url); err == nil {
			t.Fatal(url)
		}
	}
}

// The lock of a handler that panics is given back; it would be renewed for ever.
func TestAPanicGivesTheLockBack(t *testing.T) {
	f := startFleet(t)
	if _, err := get(f.instances[0] + "/add?panic=1"); err == nil {
		t.Fatal("it has not panicked")
	}
	got := make(chan error, 1)
	go func() {
		_, err := get(f.instances[1] + "/add")
		got <- err
	}()
	select {
	case err := <-got:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("the lock is still held")
	}
}

func TestTheFilterGuardsAHandler(t *testing.T) {
	f := startFleet(t)
	first, err := get(f.instances[0] + "/order/7")
	if err != nil {
		t.Fatal(err)
	}
	second, err := get(f.instances[1] + "/order/7")
	if err != nil {
		t.Fatal(err)
	}
	var a, b uint64
	if _, err := fmt.Sscanf(first+second, `{"fence":%d}{"fence":%d}`, &a, &b); err != nil {
		t.Fatalf("%v in %q %q", err, first, second)
	}
	if a == 0 || b <= a {
		t.Fatalf("fence %d after %d", b, a)
	}
}

// A holder that overslept its lock: the counter itself refuses its late write, whether its
// successor has written already or has only read.
func TestTheCounterRefusesAnOldFence(t *testing.T) {
	f := startFleet(t)
	store := openStore(f.redis)
	must(t, store.WriteFenced("c", 1, 100))
	old, err := store.ReadFenced("c", 100)
	must(t, err)
	must(t, store.WriteFenced("c", old+1, 100)) // the same holder
	next, err := store.ReadFenced("c", 200)     // the successor
	must(t, err)
	if err := store.WriteFenced("c", old+1, 100); err != models.ErrStale {
		t.Fatal(err)
	}
	if _, err := store.ReadFenced("c", 100); err != models.ErrStale {
		t.Fatal(err)
	}
	must(t, store.WriteFenced("c", next+1, 200))
	if value, err := store.Read("c"); err != nil || value != 3 {
		t.Fatal(value, err)
	}
}

// A visitor sees that the counter is away, by the status; where it should be is for the log.
func TestAStoreThatIsAwayIsNoAnswerOfItsOwn(t *testing.T) {
	f := startFleetOn(t, freeAddress(t), "COUNTER_PASSWORD=hunter2")
	var all sync.WaitGroup
	for _, path := range []string{"/add", "/counter", "/original/add", "/original/counter", "/order/7"} {
		path := path
		all.Add(1)
		go func() {
			defer all.Done()
			response, err := http.Get(f.instances[0] + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: %s %q %v", path, response.Status, body, err)
			}
			for _, secret := range []string{portOf(f.redis), "127.0.0.1", "hunter2", "refused"} {
				if strings.Contains(string(body), secret) {
					t.Errorf("%s tells everybody %q: %q", path, secret, body)
				}
			}
		}()
	}
	all.Wait()
}

// startRefuser starts a server that refuses whatever it is asked, in these words.
func startRefuser(t *testing.T, words string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go refuse(client, "-"+words+"\r\n")
		}
	}()
	return listener.Addr().String()
}

// refuse answers each command; one begins with "*".
func refuse(client net.Conn, answer string) {
	defer client.Close()
	for lines := bufio.NewScanner(client); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "*") {
			continue
		}
		if _, err := io.WriteString(client, answer); err != nil {
			return
		}
	}
}

// A server chooses some of the log's words, and a visitor the lock's name: no terminal obeys them.
func TestTheLogIsHarmlessWhateverAServerSays(t *testing.T) {
	redis := startRefuser(t, "ERR hostile \x1b[2J \u009b2J \u202e \xff <script>")
	said, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	defer said.Close()
	address := freeAddress(t)
	startInto(t, said, []string{"COUNTER_PORT=" + portOf(address), "COUNTER_REDIS=" + redis}, buildOnce(t))
	awaitListener(t, address)
	for _, path := range []string{"/add", "/counter", "/original/add", "/original/counter",
		"/order/%1b%5b2J%0aforged"} {
		response, err := http.Get("http://" + address + path)
		must(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusServiceUnavailable ||
			strings.Contains(string(body), "hostile") {
			t.Errorf("%s: %s %q %v", path, response.Status, body, err)
		}
	}
	text, err := os.ReadFile(said.Name())
	must(t, err)
	if lines := strings.Count(string(text), "[E]"); lines != 5 {
		t.Errorf("%d of 5 refusals are logged: %q", lines, text)
	}
	for _, harm := range []string{"\x1b[2J", "\u009b", "\u202e", "\xff", "\nforged"} {
		if strings.Contains(string(text), harm) {
			t.Errorf("%q is logged as it is: %q", harm, text)
		}
	}
}

// A lock that cannot be given back changes nothing about what has been counted.
func TestTheOriginalSaysWhatItHasCounted(t *testing.T) {
	f := startFleet(t)
	redisCli(t, f.redis, "ACL", "SETUSER", "default", "-del")
	if text, err := get(f.instances[0] + "/original/add"); err != nil || text != "1" {
		t.Fatalf("%q %v", text, err)
	}
}

// What was asked and never answered is neither a success nor a failure.
func TestAWriteWithoutAnAnswerIsUnknown(t *testing.T) {
	redis := startRedis(t)
	proxy := startProxy(t, redis)
	store := openStore(proxy.address)
	value, err := store.ReadFenced("c", 1)
	must(t, err)
	must(t, store.WriteFenced("c", value+1, 1)) // its script is known to the server
	proxy.answerNoMore()
	if err := store.WriteFenced("c", value+2, 1); !errors.Is(err, models.ErrUnknown) {
		t.Fatal(err)
	}
	if value, err := openStore(redis).Read("c"); err != nil || value != 2 {
		t.Fatal(value, err) // this one was done
	}
}

func TestATermSignalLetsRequestsEndAndLeavesNoLock(t *testing.T) {
	f := startFleet(t)
	got := make(chan error, 1)
	go func() {
		_, err := get(f.instances[0] + "/add?overrun=1")
		got <- err
	}()
	for end := time.Now().Add(patience); redisCli(t, f.redis, "EXISTS", "pawl:counter") != "1\n"; {
		if time.Now().After(end) {
			t.Fatal("the lock is not held")
		}
	}
	must(t, f.processes[0].Process.Signal(syscall.SIGTERM))
	must(t, <-got)
	must(t, f.processes[0].Wait())
	if redisCli(t, f.redis, "EXISTS", "pawl:counter") != "0\n" {
		t.Fatal("the lock outlived its process")
	}
}
