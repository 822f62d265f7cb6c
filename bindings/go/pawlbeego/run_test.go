// SPDX-License-Identifier: MIT

package pawlbeego

import (
	"bufio"
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
)

// start runs a program that dies with the test.
func start(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func awaitListener(t *testing.T, network, address string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		if conn, err := net.Dial(network, address); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody listens at " + address)
		}
		time.Sleep(5 * time.Millisecond) // nothing tells
	}
}

// startRedis starts a real server and returns its socket.
func startRedis(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("SKIP: there is no redis-server")
	}
	dir, err := os.MkdirTemp("", "pawl-beego") // t.TempDir is too long for a socket's path
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	start(t, exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "",
		"--appendonly", "no", "--dir", dir))
	awaitListener(t, "unix", socket)
	return socket
}

// isLocked asks the server itself.
func isLocked(t *testing.T, socket, name string) bool {
	t.Helper()
	out, err := exec.Command("redis-cli", "-s", socket, "EXISTS", "pawl:"+name).Output()
	must(t, err)
	return string(out) == "1\n"
}

var built struct {
	sync.Once
	dir string
	out []byte
	err error
}

// buildOnce builds testdata/program and returns its path.
func buildOnce(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "pawl-beego"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(built.dir, "program"), "./testdata/program")
		built.out, built.err = build.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("%v\n%s", built.err, built.out)
	}
	return filepath.Join(built.dir, "program")
}

func TestMain(m *testing.M) {
	redirectLog()
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// application is testdata/program.
type application struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	lines   chan string // what it writes
	log     strings.Builder
	drained sync.WaitGroup
}

func startApplication(t *testing.T, way, store string) *application {
	t.Helper()
	program := buildOnce(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := free.Addr().String()
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	a := &application{t: t, address: address, lines: make(chan string, 1000)}
	a.cmd = exec.Command(program, way, store, port)
	reader, writer, err := os.Pipe()
	must(t, err)
	a.cmd.Stdout, a.cmd.Stderr = writer, writer
	start(t, a.cmd)
	writer.Close()
	a.drained.Add(1)
	go func() {
		defer a.drained.Done()
		defer close(a.lines)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			a.lines <- scanner.Text()
		}
	}()
	awaitListener(t, "tcp", address)
	return a
}

// says waits for a line.
func (a *application) says(line string) {
	a.t.Helper()
	for {
		select {
		case got, more := <-a.lines:
			a.log.WriteString(got + "\n")
			if got == line {
				return
			}
			if !more {
				a.t.Fatalf("it ended without saying %q:\n%s", line, a.log.String())
			}
		case <-time.After(patience):
			a.t.Fatalf("it never says %q:\n%s", line, a.log.String())
		}
	}
}

// end signals it and returns how it ended, and all that it has said.
func (a *application) end(signal syscall.Signal) (state *os.ProcessState, said string) {
	a.t.Helper()
	must(a.t, a.cmd.Process.Signal(signal))
	late := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() }) // its state says so
	_ = a.cmd.Wait()
	late.Stop()
	a.drained.Wait()
	for line := range a.lines {
		a.log.WriteString(line + "\n")
	}
	return a.cmd.ProcessState, a.log.String()
}

const warning = "under web.Run alone"

// What the comments of Filter, Once and Run say.
func TestRunReleasesAtASignal(t *testing.T) {
	socket := startRedis(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		a := startApplication(t, "run", "redis+unix://"+socket)
		go func() {
			if response, err := http.Get("http://" + a.address + "/held"); err == nil {
				response.Body.Close()
			}
		}()
		a.says("held")
		if !isLocked(t, socket, "n") || !isLocked(t, socket, "held") {
			t.Fatal("nothing is held")
		}
		state, said := a.end(signal)
		if !state.Success() || !strings.Contains(said, "\ntold\n") ||
			!strings.HasSuffix(said, "closed\n") ||
			!strings.Contains(said, "requests still run after 10ms") {
			t.Fatalf("%v:\n%s", state, said)
		}
		if strings.Contains(said, warning) {
			t.Fatal("warned of what was done right:\n" + said)
		}
		if isLocked(t, socket, "n") || isLocked(t, socket, "held") {
			t.Fatal("a lock outlived its process:\n" + said)
		}
	}
}

func TestRunReleasesInGracefulMode(t *testing.T) {
	socket := startRedis(t)
	a := startApplication(t, "graceful", "redis+unix://"+socket)
	ended := make(chan struct{})
	var signaller sync.WaitGroup
	signaller.Add(1)
	go func() { // Beego listens a moment before it listens to signals
		defer signaller.Done()
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				_ = a.cmd.Process.Signal(syscall.SIGTERM)
			}
		}
	}()
	state, said := a.end(syscall.SIGTERM)
	close(ended)
	signaller.Wait()
	if !state.Success() || !strings.HasSuffix(said, "closed\n") || isLocked(t, socket, "n") {
		t.Fatalf("%v:\n%s", state, said)
	}
}

// Beego has no hook for its end: whoever starts an application with web.Run is told.
func TestWebRunAloneLeavesItsLocksAndSaysSo(t *testing.T) {
	socket := startRedis(t)
	a := startApplication(t, "plain", "redis+unix://"+socket)
	state, said := a.end(syscall.SIGTERM)
	if state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM || !isLocked(t, socket, "n") {
		t.Fatal("then the comments of Filter, Once and Run say what is not so")
	}
	if strings.Count(said, warning) != 1 {
		t.Fatal("no warning, or more than one:\n" + said)
	}
}

// Run returns when the port is taken: nothing waits for a signal that may never come.
func TestRunReturnsWhenBeegoCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	program := buildOnce(t)
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	said := make(chan string, 1)
	cmd := exec.Command(program, "run", "memory:", port)
	go func() {
		out, _ := cmd.CombinedOutput()
		said <- string(out)
	}()
	select {
	case text := <-said:
		if !strings.HasSuffix(text, "closed\n") {
			t.Fatal(text)
		}
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		t.Fatal("it waits for ever")
	}
}
