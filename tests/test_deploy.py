"""What runs the service elsewhere: container, systemd, nginx, dashboard, alerts, and the lists of what is installed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from conftest import ROOT, serving
from fastapi.testclient import TestClient
from test_sparql import ask

from itukg.settings import Settings

DEPLOY = ROOT / "deploy"
CONTAINERFILE = DEPLOY / "Containerfile"
PINNED = re.compile(r"^([a-z0-9][\w.-]*==[^\\]*?) \\$", re.MULTILINE)
"""A line of a list with hashes."""


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def run(*command: str | Path, **given: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | given)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- the container ---


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Containerfile, each with what follows it."""
    lines = (line for line in CONTAINERFILE.read_text().splitlines() if line and not line.startswith("#"))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_container_runs_as_nobody_and_looks_whether_it_is_ready() -> None:
    steps = instructions()
    assert {name for name, _ in steps} == {"FROM", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}  # fmt: skip
    begins = [at for at, (name, _) in enumerate(steps) if name == "FROM"]
    assert len(begins) == 2
    last = steps[begins[-1] :]
    assert not [rest for name, rest in last if name == "RUN"]  # what builds is not what runs
    [user] = [rest for name, rest in last if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    [health] = [rest for name, rest in last if name == "HEALTHCHECK"]
    command = json.loads(health[health.index("CMD ") + 4 :])
    assert "/readyz" in command[2]
    compile(command[2], "health check", "exec")
    assert [json.loads(rest) for name, rest in last if name in ("ENTRYPOINT", "CMD")] == [["/opt/itukg/bin/itukg"], ["serve"]]  # fmt: skip
    bases = {rest.split()[0] for name, rest in steps if name == "FROM"}
    [base] = bases  # an environment works with the Python that made it
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim", base)


@pytest.mark.exhaustive
def test_the_steps_of_the_container_make_a_service_that_is_healthy(tmp_path: Path) -> None:
    def inside(text: str) -> str:
        return re.sub(r"(?<![\w/])/(src|opt|var)\b", rf"{tmp_path}/\1", text)

    ran = 0
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            *sources, target = rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
                    shutil.copytree(ROOT / source, inside(target), ignore=ignored)
                else:
                    Path(inside(target)).mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, inside(target))
        elif name == "RUN":
            ran += 1
            command = inside(rest).replace("python3 -m venv", f"{sys.executable} -m venv")
            run("sh", "-c", command)
    assert ran == 4
    [(_, environment)] = [step for step in instructions() if step[0] == "ENV"]
    given = dict(each.split("=") for each in shlex.split(inside(environment))) | {
        "ITUKG_HOST": "127.0.0.1",
        "ITUKG_LOG": "text",
    }
    with serving(given, (str(tmp_path / "opt/itukg/bin/itukg"),)) as address:
        assert httpx2.get(f"{address}/readyz").json()["status"] == "ready"
        [health] = [rest for name, rest in instructions() if name == "HEALTHCHECK"]
        _, flag, script = json.loads(health[health.index("CMD ") + 4 :])
        run(sys.executable, flag, script.replace("http://127.0.0.1:8000", address))


# --- systemd, nginx ---


def test_the_unit_is_one_that_systemd_takes_and_lets_it_touch_little(tmp_path: Path) -> None:
    analyze = needs("systemd-analyze")
    unit = tmp_path / "itukg.service"
    unit.write_text((DEPLOY / "itukg.service").read_text().replace("/opt/itukg/bin/itukg", sys.executable))
    assert run(analyze, "verify", unit) == ""
    run(analyze, "security", "--offline=yes", "--no-pager", "--threshold=25", unit)  # of 100: the less, the better


def test_the_unit_and_the_recipe_for_nginx_have_the_limits_of_the_settings() -> None:
    unit, recipe = ((DEPLOY / name).read_text() for name in ("itukg.service", "nginx.conf"))
    settings = Settings(workers=4)  # the default on two cores
    memory = 10**9 + settings.memory * (settings.workers + settings.slow_workers)
    assert re.findall(r"^MemoryMax=(\d+)G$", unit, re.MULTILINE) == [str(memory // 10**9)]
    assert "\nOOMPolicy=continue\n" in unit  # one killed worker ends no service
    assert re.findall(r"client_max_body_size (\w+);", recipe) == [str(settings.upload_size)]
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", recipe)
    assert int(seconds) > max(2 * settings.validation_timeout, settings.timeout)


def test_the_processes_and_the_memory_that_the_page_counts_are_those_of_the_defaults() -> None:
    settings, page = Settings(workers=4), (DEPLOY.parent / "docs" / "deploy.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| ([^|]*`ITUKG_[^|]+) \| (\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 3
    for formula, number in rows:
        terms = re.sub(r"`ITUKG_(\w+)`", lambda name: f"{getattr(settings, name[1].lower()):g}", formula)
        assert eval(terms.replace("\N{MULTIPLICATION SIGN}", "*")) == int(number), formula  # noqa: S307  (of ours)
    gigabytes = sum(int(number) for _, number in rows) * settings.memory // 10**9
    assert f"sum up to {gigabytes} GB" in page


def test_the_recipe_for_nginx_is_one_that_nginx_takes(tmp_path: Path) -> None:
    nginx, openssl = needs("nginx"), needs("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    run(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=x")  # fmt: skip
    recipe = (DEPLOY / "nginx.conf").read_text()
    for name, file in (("/etc/ssl/certs/itukg.pem", certificate), ("/etc/ssl/private/itukg.key", key)):
        assert name in recipe
        recipe = recipe.replace(name, str(file))
    (tmp_path / "recipe.conf").write_text(recipe)
    whole = f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} http {{ access_log off; include {tmp_path}/recipe.conf; }}"
    (tmp_path / "nginx.conf").write_text(whole)
    assert "is successful" in run(nginx, "-t", "-c", tmp_path / "nginx.conf")


# --- metrics ---


def test_each_metric_of_the_dashboard_and_the_alerts_is_served(client: TestClient) -> None:
    ask(client, "ASK {}")
    client.post("/validate", content="<urn:a> a <urn:b> .", headers={"content-type": "text/turtle"})
    served = {
        re.split(r"[ {]", line)[0] for line in client.get("/metrics").text.splitlines() if not line.startswith("#")
    }
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    assert len(shown) == 7 and len(rules) == 7
    named = {name for text in (*shown, *(rule["expr"] for rule in rules)) for name in re.findall(r"\bitukg_\w+", text)}
    assert named <= served and len(named) == 7
    described = (ROOT / "docs" / "deploy.md").read_text()
    assert [rule["alert"] for rule in rules if f"`{rule['alert']}`" not in described] == []
    [scraped] = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", described, re.DOTALL)]
    assert {each["job_name"] for each in scraped["scrape_configs"]} == {
        job for rule in rules for job in re.findall(r'job="(\w+)"', rule["expr"])
    }


# --- what is installed ---


def test_the_lists_with_hashes_have_the_versions_of_the_constraints() -> None:
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    hashed = PINNED.findall((ROOT / "constraints-hashed.txt").read_text())
    assert hashed == constraints and len(hashed) > 100
    needed = PINNED.findall((DEPLOY / "requirements.txt").read_text())
    pins = {line.partition(" ;")[0] for line in constraints}
    assert {line.partition(" ;")[0] for line in needed} < pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.partition("==")[0] for line in needed}
    wanted = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", each)[0]).lower() for each in project["dependencies"]}  # type: ignore[index]  # each begins with a name
    assert wanted <= names and len(wanted) > 20
    assert "pytest" not in names
    for file in (ROOT / "constraints-hashed.txt", DEPLOY / "requirements.txt"):
        text = file.read_text()
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(PINNED.findall(text))
        assert "://" not in text  # no address of a registry


@pytest.mark.exhaustive
def test_the_list_with_hashes_installs(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "env")
    run(tmp_path / "env/bin/pip", "install", "--dry-run", "--no-deps", "--require-hashes", "-r", ROOT / "constraints-hashed.txt")  # fmt: skip


@pytest.mark.exhaustive
def test_the_list_of_parts_names_what_is_installed(tmp_path: Path) -> None:
    program = needs("cyclonedx-py")
    file = tmp_path / "itukg.cdx.json"
    run(
        program,
        "environment",
        "--pyproject",
        ROOT / "pyproject.toml",
        "--output-reproducible",
        "-o",
        file,
        sys.executable,
    )
    parts = json.loads(file.read_text())
    assert (parts["bomFormat"], parts["metadata"]["component"]["name"]) == ("CycloneDX", "itukg")
    assert {"fastapi", "pyoxigraph", "typst"} <= {part["name"] for part in parts["components"]}


def test_the_nightly_workflow_audits_the_list_with_hashes() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())["jobs"]
    steps = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert any(re.search(r"pip-audit .*constraints-hashed\.txt", step) for step in steps)
    assert any("cyclonedx-py environment" in step for step in steps)
