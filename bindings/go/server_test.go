// SPDX-License-Identifier: MIT

package pawl

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come at once.
const patience = 20 * time.Second

// answered is a limit that runs out; a store that a busy machine delays has answered before.
const answered = time.Second

// renewedSoon is a TTL: what is broken is noticed soon, and a busy machine loses nothing by itself.
const renewedSoon = 1500 * time.Millisecond

// server is a real redis-server on a socket of its own.
type server struct {
	t      *testing.T
	dir    string
	socket string
	cmd    *exec.Cmd
}

func startServer(t *testing.T) *server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIP: there is no redis-server")
	}
	dir, err := os.MkdirTemp("", "pawl-go") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: dir, socket: filepath.Join(dir, "s")}
	s.cmd = exec.Command(path, "--port", "0", "--unixsocket", s.socket, "--save", "",
		"--appendonly", "no", "--dir", dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		os.RemoveAll(dir)
	})
	for end := time.Now().Add(patience); ; {
		if conn, err := net.Dial("unix", s.socket); err == nil {
			conn.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatal("redis-server does not accept connections")
		}
		time.Sleep(5 * time.Millisecond) // until the socket is there; nothing tells
	}
}

func (s *server) url() string { return "redis+unix://" + s.socket }

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// redis runs redis-cli.
func (s *server) redis(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-s", s.socket}, args...)...).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}
