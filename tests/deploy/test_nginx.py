"""The shipped nginx configuration in a real nginx, before the real service: TLS, a log-in, and nothing but reading."""

import base64
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy import rules
from tests.deploy.programs import await_true
from tests.host import ROOT, Host
from tests.real_parts import needs_program
from tests.service.running import service
from tests.waiting import WAIT_SECONDS, free_port

pytestmark = pytest.mark.slow

FOLDER = ROOT / "deploy" / "nginx"
README = (FOLDER / "README.md").read_text()
NAME = "backup.example.org"
USER, PASSWORD = "prometheus", "correct horse"

#: What a distribution's own file has, as far as it matters, with its folders here.
AROUND = """\
daemon off;
pid nginx.pid;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {shipped};
}}
"""


class Front(NamedTuple):
    """What other machines see, and the port that the service has behind it."""

    port: int
    behind: int
    trusted: ssl.SSLContext

    def ask(self, path: str, password: str | None = PASSWORD, method: str = "GET") -> tuple[int, bytes]:
        """Status and body, over TLS, of a host that is who it says."""
        headers = {} if password is None else {"Authorization": _basic(password)}
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS, context=self.trusted) as answer:
                return answer.status, bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def answers(self) -> bool:
        try:
            self.ask("/-/healthy")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


def _own_certificate(folder: Path) -> None:
    """``certificate.pem`` and ``key.pem``; the name in it is that of the loopback."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*words, *names, *files], check=True, capture_output=True)


def _users(folder: Path) -> None:
    """As the README writes it."""
    (line,) = re.findall(r"^printf 'prometheus.*$", README, re.MULTILINE)
    given = line.replace("openssl passwd -6", f"openssl passwd -6 '{PASSWORD}'").replace("/etc/nginx/tidegate", ".")
    subprocess.run(given, shell=True, check=True, cwd=folder)


def _configured(folder: Path, port: int, behind: int) -> Path:
    """The shipped file with files and ports of this test."""
    text = (FOLDER / "tidegate.conf").read_text()
    for written, meant in {
        "/etc/nginx/tidegate": str(folder),
        "listen 9878 ssl": f"listen 127.0.0.1:{port} ssl",
        "    listen [::]:9878 ssl;\n": "",
        f"server_name {NAME}": "server_name localhost",
        "127.0.0.1:9877": f"127.0.0.1:{behind}",
    }.items():
        assert written in text
        text = text.replace(written, meant)
    shipped = folder / "tidegate.conf"
    shipped.write_text(text)
    whole = folder / "nginx.conf"
    whole.write_text(AROUND.format(shipped=shipped, user="user root;" if os.geteuid() == 0 else ""))
    return whole


@contextmanager
def nginx(folder: Path, behind: int) -> Iterator[Front]:
    """Until the block has ended."""
    needs_program("nginx")
    folder.mkdir()
    _own_certificate(folder)
    _users(folder)
    port = free_port()
    words = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(_configured(folder, port, behind))]
    checked = subprocess.run([*words, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    log = folder / "log"
    with log.open("wb") as told, subprocess.Popen(words, stdout=told, stderr=told) as process:
        try:
            front = Front(port, behind, ssl.create_default_context(cafile=str(folder / "certificate.pem")))
            await_true(front.answers, log.read_text)
            yield front
        finally:
            process.terminate()  # its workers go with it


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    behind = free_port()
    host = Host(folder / "host")
    host.configure(exporters={"http": {"listen": f"127.0.0.1:{behind}"}})
    host.dump("vm1", 1000)
    with service(host), nginx(folder / "nginx", behind) as front:
        yield front


def test_who_logs_in_sees_the_metrics_the_page_and_what_programs_read(front: Front) -> None:
    assert front.ask("/metrics")[1].startswith(b"# HELP tidegate_build_info ")
    assert b'tidegate_collect_success{collector="vms"} 1.0' in front.ask("/metrics")[1]
    status, page = front.ask("/")
    assert (status, b"vm1" in page) == (200, True)
    assert front.ask("/api/v1/status")[1].startswith(b'{"format": 2')


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/status", "/vm/vm1", "/-/healthy"])
@pytest.mark.parametrize("password", [None, "wrong", ""])
def test_without_a_log_in_nothing_is_seen(front: Front, path: str, password: str | None) -> None:
    status, body = front.ask(path, password)
    assert status == 401
    assert b"tidegate_" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_questions_comes_through(front: Front, method: str) -> None:
    assert front.ask("/", method=method)[0] == 403


def test_without_tls_nothing_is_said(front: Front) -> None:
    """Not even to somebody who knows the password."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{front.port}/metrics", headers={"Authorization": _basic(PASSWORD)}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=WAIT_SECONDS)
    with caught.value as error:
        assert error.code == 400
        assert b"tidegate_" not in error.read()


def test_the_scrape_in_the_readme_is_one(tmp_path: Path) -> None:
    """With a password in a file."""
    (scrape,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    file = tmp_path / "prometheus.yml"
    file.write_text(scrape.replace("/etc/prometheus/tidegate-password", str(secret)))
    rules.promtool("check", "config", file)
