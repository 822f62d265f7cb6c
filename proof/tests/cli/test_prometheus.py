# SPDX-License-Identifier: MIT
"""A real Prometheus reads what pawl writes: alerts fire, the dashboard's questions are answered."""
import contextlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

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


def test_each_alert_fires_when_it_should_and_only_then(tmp_path):
    promtool("check", "rules", RULES)
    played = tmp_path / "rules_test.yml"
    text = Path(__file__).with_name("rules_test.yml").read_text(encoding="utf-8")
    played.write_text(text.replace("RULES", str(RULES)), encoding="utf-8")
    for alert in re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")):
        assert f'alertname="{alert}"' in text, f"nothing is played to {alert}"
    promtool("test", "rules", played)


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
    def __init__(self, tmp, target):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = {
            "global": {"scrape_interval": "100ms", "scrape_timeout": "100ms", "evaluation_interval": "100ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "pawl",
                                "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
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


def test_a_planted_loss_fires_the_alert(sqlite, tmp_path):
    path = tmp_path / "nightly.prom"
    run = sqlite.start("run", "--metrics", path, "--metrics-class", "nightly*", "-t", "3s", "nightly-7",
                       "sh", "-c", "echo ready; cat", stdin=subprocess.PIPE)
    run.expect("ready")
    with serving(path) as port:
        prometheus = Prometheus(tmp_path, port)
        try:
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
