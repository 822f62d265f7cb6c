# SPDX-License-Identifier: MIT
"""A real Prometheus reads what pawl writes: alerts fire, the dashboard's questions are answered."""
import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from free_port import free_port
from harness import PATIENCE

SOURCE = Path(os.environ["PAWL_SOURCE"])
RULES = SOURCE / "contrib/prometheus/pawl.rules.yml"
DASHBOARD = SOURCE / "contrib/grafana/pawl.json"

pytestmark = pytest.mark.skipif(not shutil.which("prometheus") or not shutil.which("promtool"),
                                reason="prometheus is not installed")


def promtool(*words):
    done = subprocess.run(["promtool", *map(str, words)], text=True, check=False, timeout=PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_each_alert_fires_when_it_should_and_only_then(tmp_path):
    promtool("check", "rules", RULES)
    played = tmp_path / "rules_test.yml"
    text = Path(__file__).with_name("rules_test.yml").read_text(encoding="utf-8")
    played.write_text(text.replace("RULES", str(RULES)), encoding="utf-8")
    for alert in re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")):
        assert f'alertname="{alert}"' in text, f"nothing is played to {alert}"
    promtool("test", "rules", played)


def questions_of_alerts():
    return yaml_values(RULES.read_text(encoding="utf-8"), "expr")


def yaml_values(text, key):
    """The values of a key; of the lines below it if it stands alone."""
    found = []
    for match in re.finditer(rf"^( *){key}: *(?:[|>]-?\n((?:\1  .*\n)+)|(.+)\n)", text, re.M):
        found.append(match.group(2) or match.group(3))
    return found


def panels():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]


def questions():
    """What the dashboard asks, as Grafana would send it."""
    for panel in panels():
        for target in panel["targets"]:
            yield (target["expr"].replace("$__rate_interval", "1m").replace("$job", ".*")
                   .replace("$class", ".*"))


def test_the_dashboard_is_whole():
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24 and panel["description"].endswith(".")
    assert "$" not in "".join(questions())


def families(text):
    """What each family is: {name: type}"""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))


def test_each_question_names_what_pawl_writes(sqlite, tmp_path):
    """Whoever renames a metric, or writes a new one, hears of the files that ask for it."""
    path = tmp_path / "pawl.prom"
    assert sqlite.run("run", "--metrics", path, "k", "true").code == 0
    written = families(path.read_text())
    series = {name + end for name, kind in written.items()
              for end in (["_bucket", "_sum", "_count"] if kind == "histogram" else [""])}
    alerts, shown = questions_of_alerts(), list(questions())
    assert len(alerts) == len(re.findall("alert: ", RULES.read_text(encoding="utf-8"))) and len(shown) > 20
    asked = set(re.findall(r"\bpawl_\w+", " ".join(alerts + shown)))
    assert asked - series == set()
    unasked = {name for name in written if not any(one.startswith(name) for one in asked)}
    assert unasked <= {"pawl_guards_total", "pawl_clock_drift_seconds_total"}, "no panel and no alert shows it"


def test_promtool_reads_each_question_of_the_dashboard(tmp_path):
    rules = [{"record": f"pawl:question_{i}", "expr": text} for i, text in enumerate(questions())]
    (tmp_path / "questions.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    said = promtool("check", "rules", tmp_path / "questions.yml")
    assert f"{len(rules)} rules found" in said


# ---- One run, one loss, one server ----------------------------------------------------------

@contextlib.contextmanager
def serving(path):
    """What `run --metrics` wrote into a file, for whoever asks; the port."""
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


class Prometheus:
    def __init__(self, tmp, *targets):
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "100ms", "scrape_timeout": "100ms", "evaluation_interval": "100ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "pawl",
                                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}]}],
        }
        (tmp / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        self.log = (tmp / "prometheus.log").open("w")
        self.popen = subprocess.Popen(
            ["prometheus", f"--config.file={tmp}/prometheus.yml", f"--storage.tsdb.path={tmp}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def ask(self, question):
        words = urllib.parse.urlencode({"query": question})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{words}", timeout=PATIENCE) as answer:
            return json.load(answer)["data"]["result"]

    def until(self, question):
        """Asks until there is an answer that is not empty: the first series."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):  # it is starting
                found = self.ask(question)
                if found:
                    return found[0]
            assert time.monotonic() < end and self.popen.poll() is None, f"never: {question}"
            threading.Event().wait(0.05)

    def end(self):
        self.popen.kill()
        self.popen.wait()
        self.log.close()


def test_a_run_is_asked_and_a_planted_loss_fires_the_alert(sqlite, tmp_path):
    path = tmp_path / "nightly.prom"
    run = sqlite.start("run", "--metrics", path, "--metrics-class", "nightly*", "-t", "3s", "nightly-7",
                       "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
    run.expect("ready")
    served = sqlite.start("run", "-v", "--metrics", ":0", "--metrics-class", "weekly*", "weekly-1", "cat",
                          stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
    own_port = re.search(r":(\d+)/metrics$", served.expect("pawl: metrics at ")).group(1)
    with serving(path) as port:
        prometheus = Prometheus(tmp_path, port, own_port)
        try:
            prometheus.until('pawl_held{class="weekly*"} == 1')  # it was asked itself, at its address
            prometheus.until(f'up{{instance="127.0.0.1:{own_port}"}} == 1')
            held = prometheus.until('pawl_held{class="nightly*"} == 1')
            assert held["metric"]["job"] == "pawl"
            assert prometheus.ask('ALERTS{alertname=~"Pawl.*"}') == []
            fence = sqlite.show("nightly-7")["fence"]
            assert sqlite.run("break", "nightly-7", "--fence", fence).code == 0
            assert run.wait() == 76
            alert = prometheus.until('ALERTS{alertname="PawlLockLost", alertstate="firing"}')["metric"]
            assert alert["class"] == "nightly*" and alert["severity"] == "critical"
            assert alert["reason"] == "lost"
            unknown = [q for q in questions() if not prometheus.ask(q)]
            assert unknown == [], "the dashboard would show nothing here"
        finally:
            prometheus.end()
