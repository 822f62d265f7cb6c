// SPDX-License-Identifier: MIT

package pawl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// buildProgram builds a program of testdata and returns its path.
func buildProgram(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bin", name)
	out, err := exec.Command("go", "build", "-o", program, "./testdata/"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// environment is this process's, without what chooses a store, and with these settings.
func environment(settings ...string) []string {
	env := []string{}
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "PAWL_STORE=") && !strings.HasPrefix(setting, "BEEGO_RUNMODE=") {
			env = append(env, setting)
		}
	}
	return append(env, settings...)
}

// A Go program runs no atexit function of C's: a release that Unlock only hands over is lost.
func TestNothingIsHeldAfterTheProgram(t *testing.T) {
	const runs = 40
	s := startServer(t)
	program := buildProgram(t, "program")
	for _, way := range []string{"unlock", "second", "later", "redislock", "retain", "gone"} {
		left := 0
		for i := 0; i < runs; i++ {
			cmd := exec.Command(program, way, s.url())
			cmd.Env = environment("PAWL_STORE=" + s.url())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", way, err, out)
			}
			if s.redis("EXISTS", "pawl:n") != "0\n" {
				left++
				s.redis("DEL", "pawl:n")
			}
		}
		if left != 0 {
			t.Errorf("%s: %d of %d programs left their lock", way, left, runs)
		}
	}
}

func TestAHolderThatIsKilledIsOutlived(t *testing.T) {
	program := buildProgram(t, "program")
	onEveryStore(t, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "memory:") {
			return // it has one process
		}
		cmd := exec.Command(program, "killed", url)
		cmd.Env = environment()
		in, err := cmd.StdinPipe()
		must(t, err)
		defer in.Close()
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		var fence uint64
		if _, err := fmt.Fscan(out, &fence); err != nil {
			t.Error(err)
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		lock := openTest(t, url).NewLock("n", nil)
		must(t, lock.Lock(within(t)))
		if lock.Fence() <= fence {
			t.Fatalf("%d is not above %d", lock.Fence(), fence)
		}
		must(t, lock.Unlock())
	})
}

func putFile(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// Two machines that look in two places lock in two stores: one look-up, Beego's, and no store of
// our own choice.
func TestARedisLockFindsItsStoreAsBeegoDoes(t *testing.T) {
	program := buildProgram(t, "program")
	elsewhere := t.TempDir()
	where := func(dir, path string, settings ...string) string {
		cmd := exec.Command(path, "where")
		cmd.Dir = dir
		cmd.Env = environment(settings...)
		out, _ := cmd.CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	is := func(got, wanted string) {
		t.Helper()
		if !strings.HasPrefix(got, wanted) {
			t.Fatalf("%q, expected %q", got, wanted)
		}
	}

	got := where(elsewhere, program)
	for _, words := range []string{"there is no conf/app.conf in the working directory " + elsewhere,
		"none beside the program in " + filepath.Dir(program), "PAWL_STORE"} {
		if !strings.Contains(got, words) {
			t.Fatalf("%q lacks %q", got, words)
		}
	}
	is(where(elsewhere, program, "PAWL_STORE=redis://asked-for"), "redis://asked-for")

	beside := filepath.Join(filepath.Dir(program), "conf")
	putFile(t, filepath.Join(beside, "app.conf"), "[cache]\nadapter = redis\nconn = beside:6379\n")
	putFile(t, filepath.Join(beside, "test.app.conf"), "[cache]\nadapter = redis\nconn = test:6379\n")
	is(where(elsewhere, program), "redis://beside")
	is(where(elsewhere, program, "PAWL_STORE=redis://asked-for"), "redis://beside")
	is(where(elsewhere, program, "BEEGO_RUNMODE=test"), "redis://test")
	link := filepath.Join(elsewhere, "link")
	must(t, os.Symlink(program, link))
	is(where("/", link), "redis://beside")

	putFile(t, filepath.Join(elsewhere, "conf", "app.conf"), "[cache]\nadapter = redis\nconn = here:6379\n")
	is(where(elsewhere, program), "redis://here")

	putFile(t, filepath.Join(elsewhere, "conf", "app.conf"), "rubbish\n")
	if got := where(elsewhere, program); !strings.Contains(got, "conf/app.conf:1: expected") {
		t.Fatal("a broken file was passed over: " + got)
	}
}

// Everything that C allocates for Go is given back. A round that leaks a name or a message
// grows the heap by hundreds of bytes.
func TestNothingLeaks(t *testing.T) {
	program := buildProgram(t, "leaks")
	dir := t.TempDir()
	putFile(t, filepath.Join(dir, "app.conf"), "adapter = memory\n")
	cmd := exec.Command(program, dir)
	// else what is kept for later by threads that come and go counts as used
	cmd.Env = environment("GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	grown, err := strconv.Atoi(strings.TrimSpace(string(out)))
	must(t, err)
	if grown >= 16 {
		t.Fatalf("%d bytes are left by each round", grown)
	}
}

func TestOpenWithoutDescriptorsSaysSo(t *testing.T) {
	cmd := exec.Command(buildProgram(t, "leaks"), "full")
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "full\n" {
		t.Fatalf("%v\n%s", err, out)
	}
}
