// SPDX-License-Identifier: MIT

package pawlbeego

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/beego/beego/v2/core/config"
	"github.com/beego/beego/v2/server/web"
)

// dumper is the C side: a program that says what libpawl-config reads.
type dumper struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

// reading is what one side made of a file.
type reading struct {
	err      string
	sections map[string]map[string]string
	gets     map[string]string
}

func startDumper(t *testing.T, keys []string) *dumper {
	program := os.Getenv("PAWL_TEST_CONFIG_DUMP")
	if program == "" {
		t.Skip("SKIP: PAWL_TEST_CONFIG_DUMP does not name test-config-dump")
	}
	cmd := exec.Command(program, keys...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &dumper{t: t, in: in, out: bufio.NewReader(out)}
}

func (d *dumper) read(path string) reading {
	d.t.Helper()
	_, err := fmt.Fprintln(d.in, path)
	must(d.t, err)
	r := reading{sections: map[string]map[string]string{}, gets: map[string]string{}}
	for {
		line, err := d.out.ReadString('\n')
		must(d.t, err)
		line = strings.TrimSuffix(line, "\n")
		fields := strings.Fields(line)
		switch {
		case line == "end":
			return r
		case strings.HasPrefix(line, "error "):
			r.err = line[6:]
		case fields[0] == "get":
			r.gets[unhex(d.t, fields[1])] = unhex(d.t, fields[2])
		default:
			section, key := unhex(d.t, fields[1]), unhex(d.t, fields[2])
			if r.sections[section] == nil {
				r.sections[section] = map[string]string{}
			}
			r.sections[section][key] = unhex(d.t, fields[3])
		}
	}
}

func unhex(t *testing.T, text string) string {
	if text == "-" {
		return ""
	}
	raw, err := hex.DecodeString(text)
	must(t, err)
	return string(raw)
}

// Where pawl refuses what Beego reads on, in silence, without any effect that was meant.
var stricter = []string{
	"expected a key before the =",
	"expected ] at the end of the line",
	"expected a key without ::",
	"found a NUL byte",
	"in UTF-8",
	"nested deeper",
	"files are included",
}

func isStricter(message string) bool {
	for _, part := range stricter {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

// lines are what random files are made of: every feature of the dialect, and its edges.
var lines = []string{
	"", "  ", "# c", "; c", " # c", "#", "a=1", "A = 2", " b\t=\t3 ", "a=", "a==", "a=b=c", "a=#1",
	"a=1 # c", "a=1;2", "a=\"1\"", "a=\" 1 \"", "a=\"\"1\"", "a=\"", "a=\"1", "a=1\"", "a='1'",
	"[s]", "[S]", "[ s ]", "[t]", "[default]", "[]", "[a=b]", "[s", "[s] # c", "[s] # a=b", "s]", "]",
	"[dev]", "[prod]", "a", "=", "=1", " = ", "a::b=1", "include", "include inc.conf",
	"include \"inc.conf\"", "INCLUDE inc.conf", "include absent.conf", "include a b", "includes",
	"includes=1", "include=1", "include \"sub/inc.conf\"", "a=${T_SET}", "a=${T_UNSET}",
	"a=${T_UNSET||d e}", "b=${T_SET||d}", "b=\"${T_UNSET||\"x\"}\"", "b=${T_UNSET||}", "b=${}",
	"b=${||x}", "b=${T_UNSET|x}", "b=${T_UNSET|}", "b=${T_SET}x}", "b=x${T_SET}", "b=${T_SET", "b=$}",
	"b=${T_UNSET||a||b}", "b=${T_UNSET||a}b}", "\u00c4 = \u00d6", "\u00e4=1", "\u3000a\u3000=\u30001\u3000",
	"\u00a0b=\u00851", "\u540d\u5b57=\u503c", "a=\xb2\xe2", "\xb2\xe2=1", "[\xb2\xe2]", "a=1\r", "\ufeffa=1",
	"runmode=dev", "RunMode = prod", "runmode=", "a\x00=1", "a=\x00", "#\x00", "a b=1", "a.b-c=1",
}

func TestReadsWhatBeegoReads(t *testing.T) {
	t.Setenv("T_SET", "from env")
	t.Setenv("BEEGO_RUNMODE", "")
	os.Unsetenv("T_UNSET")
	keys := []string{"a", "B", "s::a", "S::b", "t::A", "dev::a", "default::a", "absent", "no::such"}
	d := startDumper(t, keys)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	put(t, filepath.Join(dir, "inc.conf"), "a=inc\n[s]\na=inc s\n[inc]\nz=1\n")
	put(t, filepath.Join(dir, "sub", "inc.conf"), "b=sub\ninclude deep.conf\n")
	put(t, filepath.Join(dir, "sub", "deep.conf"), "[T]\nb=deep\n")
	path := filepath.Join(dir, "app.conf")

	random := rand.New(rand.NewSource(1))
	var agreed, refused, strict int
	for round := 0; round < 5000; round++ {
		text := ""
		if round < len(lines) {
			text = lines[round] // each one alone
		} else {
			for n := 1 + random.Intn(12); n > 0; n-- {
				text += lines[random.Intn(len(lines))] + []string{"\n", "\n", "\r\n"}[random.Intn(3)]
			}
			if random.Intn(10) == 0 {
				text = "\xef\xbb\xbf" + text
			}
		}
		put(t, path, text)
		ours := d.read(path)
		theirs, err := config.NewConfig("ini", path)
		switch {
		case err != nil && ours.err != "":
			refused++
		case err == nil && ours.err == "":
			compare(t, text, ours, theirs)
			compareRunMode(t, text, path, keys, ours)
			agreed++
		case err == nil && isStricter(ours.err):
			strict++
		case err != nil && isStricter(ours.err):
			refused++
		default:
			t.Fatalf("%q: Beego says %v, pawl %q", text, err, ours.err)
		}
	}
	t.Logf("%d files read alike, %d refused by both, %d refused by pawl alone", agreed, refused, strict)
	if agreed < 500 || refused < 500 || strict < 100 {
		t.Fatal("the files do not cover the dialect")
	}
}

func compare(t *testing.T, text string, ours reading, theirs config.Configer) {
	t.Helper()
	universe := map[string]bool{}
	for section := range ours.sections {
		universe[section] = true
	}
	for _, line := range lines { // sections that only Beego may have seen
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			universe[strings.ToLower(line[1:len(line)-1])] = true
		}
	}
	universe["default"], universe["inc"] = true, true
	for section := range universe {
		want, _ := theirs.GetSection(section)
		got := ours.sections[section]
		if describe(want) != describe(got) {
			t.Fatalf("%q: [%s] is %s to Beego, %s to pawl", text, section, describe(want), describe(got))
		}
	}
}

func describe(section map[string]string) string {
	var entries []string
	for key, value := range section {
		entries = append(entries, fmt.Sprintf("%q=%q", key, value))
	}
	sort.Strings(entries)
	return strings.Join(entries, " ")
}

// compareRunMode asks as an application does, through web.AppConfig.
func compareRunMode(t *testing.T, text, path string, keys []string, ours reading) {
	t.Helper()
	web.BConfig.RunMode = web.PROD
	must(t, web.LoadAppConfig("ini", path))
	for _, key := range keys {
		if strings.Contains(key, "::") && ours.sections[strings.ToLower(web.BConfig.RunMode)] != nil {
			continue // Beego mixes up mode::section and section::key
		}
		want, err := web.AppConfig.String(key)
		must(t, err)
		if ours.gets[key] != want {
			t.Fatalf("%q: %s is %q to Beego in mode %s, %q to pawl", text, key, want,
				web.BConfig.RunMode, ours.gets[key])
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
