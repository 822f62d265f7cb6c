# SPDX-License-Identifier: MIT
"""docs/tasks.md: every block of it runs, as a part of one program for each language."""
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import BUILD, SOURCE

PAGE = (SOURCE / "docs/tasks.md").read_text("utf-8")
LANGUAGES = ["c", "sh", "go", "python", "js", "cpp"]
WORKED = [1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1]  # how often each task works: "busy" is held by another
PATIENCE = 60


def blocks(language):
    """number of the task: what is shown for it."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        number = int(section.split(".", 1)[0])
        mine = re.findall(rf"^```{language}\n(.*?)^```", section, re.S | re.M)
        assert len(mine) == 1, (number, language)
        found[number] = mine[0]
    return found


def test_twelve_tasks_in_each_language():
    assert all(sorted(blocks(language)) == list(range(1, 13)) for language in LANGUAGES)
    assert len(re.findall(r"^```\w+$", PAGE, re.M)) == 12 * len(LANGUAGES)


@pytest.fixture
def env(tmp_path):
    """A store, and two others who hold "busy" and "stuck"."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_")}
    env |= {"PAWL_STORE": f"sqlite:{tmp_path}/locks.db", "PATH": f"{tmp_path}:{BUILD}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(BUILD), "PAWL_MODULES": str(BUILD)}
    holders = []
    for name in ("busy", "stuck"):
        holders.append(subprocess.Popen([BUILD / "pawl", "hold", "-q", name], env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert holders[-1].stdout.readline().startswith("held")
    yield env
    for holder in holders:
        holder.communicate(timeout=PATIENCE)


def run(command, env, cwd):
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, text=True, timeout=PATIENCE * 5,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def check(said):
    """Each task says its number, then a line for each time it worked."""
    parts = re.split(r"^task (\d+)\n", said, flags=re.M)
    counts = {int(parts[i]): len(re.findall(r"^work( [1-9]\d*)?$", parts[i + 1], re.M)) for i in range(1, len(parts), 2)}
    assert [counts.get(number) for number in range(1, 13)] == WORKED, said


def indented(text, by):
    return re.sub(r"^(?=.)", by, text, flags=re.M)


C = r"""#include <pawl/pawl.h>
#include <stdio.h>

static void work(void) { printf("work\n"); fflush(stdout); }
static void work_with(unsigned long long number) { printf("work %llu\n", number); fflush(stdout); }
static void on_end(pawl_lock *lock, int err, void *userdata) { (void)lock; (void)err; (void)userdata; }
static bool on_report(const pawl_info *info, void *userdata)
{
    (void)userdata;
    work_with(info->fence);
    return true;
}
static bool on_fence(const pawl_info *info, void *userdata)
{
    *(uint64_t *)userdata = info->fence;
    return true;
}
"""


def test_c(env, tmp_path):
    text = C + "".join(f"static int task{n}(pawl_client *client)\n{{\n{indented(b, '    ')}}}\n"
                       for n, b in blocks("c").items())
    text += "int main(void)\n{\n    pawl_client *client;\n    if (pawl_client_open(NULL, NULL, &client, NULL)) return 1;\n"
    for n in blocks("c"):
        text += f'    printf("task {n}\\n");\n    if (task{n}(client)) return {n + 1};\n'
    (tmp_path / "tasks.c").write_text(text + "    pawl_client_close(client);\n    return 0;\n}\n")
    run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{SOURCE}/include", "tasks.c", f"-L{BUILD}", "-lpawl",
         "-o", "tasks"], env, tmp_path)
    check(run(["./tasks"], env, tmp_path))


def test_cpp(env, tmp_path):
    text = "#include <pawl/pawl.hpp>\n#include <cstdio>\n#include <future>\n#include <thread>\n"
    text += "using namespace std::chrono_literals;\n"
    text += 'static void work() { std::puts("work"); std::fflush(stdout); }\n'
    text += 'static void work_with(uint64_t number) { std::printf("work %llu\\n", (unsigned long long)number); }\n'
    text += "".join(f"static pawl::result<void> task{n}(pawl::client &client)\n{{\n{indented(b, '    ')}}}\n"
                    for n, b in blocks("cpp").items())
    text += "int main()\n{\n    auto client = pawl::client::open().value();\n"
    for n in blocks("cpp"):
        text += f'    std::puts("task {n}");\n    task{n}(client).value();\n'
    (tmp_path / "tasks.cpp").write_text(text + "}\n")
    run(["c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{SOURCE}/include", "tasks.cpp", f"-L{BUILD}", "-lpawl",
         "-pthread", "-o", "tasks"], env, tmp_path)
    check(run(["./tasks"], env, tmp_path))


def test_sh(env, tmp_path):
    for name, text in (("work", "echo work"), ("work_with", 'echo "work $1"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    text = "set -e\n" + "".join(f"echo task {n}\n(\n{b})\n" for n, b in blocks("sh").items())
    (tmp_path / "tasks").write_text(text)
    check(run(["sh", "tasks"], env, tmp_path))


GO = """package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	pawl "github.com/pawl-lock/pawl/bindings/go"
)

func work()                  { fmt.Println("work") }
func workWith(number uint64) { fmt.Println("work", number) }

var _, _ = errors.Is, time.Second
"""


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no go")
def test_go(env, tmp_path):
    text = GO + "".join(f"\nfunc task{n}(ctx context.Context, client *pawl.Client) (err error) {{\n{indented(b, chr(9))}}}\n"
                        for n, b in blocks("go").items())
    tasks = ", ".join(f"task{n}" for n in blocks("go"))
    text += f"""
func main() {{
	client, err := pawl.Open("", nil)
	if err != nil {{
		panic(err)
	}}
	defer client.Close()
	for i, task := range []func(context.Context, *pawl.Client) error{{{tasks}}} {{
		fmt.Println("task", i+1)
		if err := task(context.Background(), client); err != nil {{
			panic(err)
		}}
	}}
}}
"""
    (tmp_path / "main.go").write_text(text)
    env |= {"PKG_CONFIG_PATH": f"{BUILD}/meson-uninstalled", "CGO_CFLAGS": f"-g -O1 -I{SOURCE}/include",
            "GOFLAGS": "-buildvcs=false", "GOPROXY": "off"}
    name = "github.com/pawl-lock/pawl/bindings/go"
    run(["sh", "-c", f"go mod init tasks && go mod edit -replace {name}={SOURCE}/bindings/go && go mod tidy && go build ."],
        env, tmp_path)
    check(run(["./tasks"], env, tmp_path))


def binding_of(language):
    """The module that builds a binding for its own tests."""
    spec = importlib.util.spec_from_file_location(f"{language}_run", SOURCE / f"proof/tests/{language}/run.py")
    binding = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(binding)
    return binding


def test_js(env, tmp_path):
    binding = binding_of("node")
    if binding.why_not():
        pytest.skip(binding.why_not())
    text = "import { Busy, Client } from 'pawl';\n"
    text += "const work = () => console.log('work'), workWith = (number) => console.log(`work ${number}`);\n"
    text += "".join(f"async function task{n}(client) {{\n{b}}}\n" for n, b in blocks("js").items())
    text += "const client = new Client();\n"
    text += "".join(f"console.log('task {n}');\nawait task{n}(client);\n" for n in blocks("js"))
    (tmp_path / "tasks.mjs").write_text(text + "await client.close();\n")
    (tmp_path / "node_modules").symlink_to(binding.built() / "node_modules")
    check(run(["node", "tasks.mjs"], env, tmp_path))


def test_python(env, tmp_path):
    binding = binding_of("python")
    binding.built()
    text = "import asyncio\nimport pawl\nimport pawl.aio\n\n"
    text += 'def work():\n    print("work", flush=True)\n\ndef work_with(number):\n    print("work", number, flush=True)\n\n'
    text += "".join(f"def task{n}(client):\n{indented(b, '    ')}\n" for n, b in blocks("python").items())
    text += "with pawl.Client() as client:\n"
    text += "".join(f'    print("task {n}", flush=True)\n    task{n}(client)\n' for n in blocks("python"))
    (tmp_path / "tasks.py").write_text(text)
    check(run([binding.PYTHON, "-W", "error", "tasks.py"], env, tmp_path))


def test_the_table_has_a_column_for_each():
    head = re.search(r"^\| \|(.*)\|$", PAGE, re.M).group(1)
    assert [word.strip() for word in head.split("|")] == ["C", "shell", "Go", "Python", "Node", "C++"]


def test_the_page_is_found():
    assert "docs/tasks.md" in (Path(SOURCE) / "README.md").read_text("utf-8")
