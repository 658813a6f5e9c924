"""The script that renews the copies in the cluster, run as there: by itself, against a real HTTPS API.

The API's authority is as MicroK8s made it until 1.33: without keyUsage, which Python 3.13 and newer refuse by default.
The script runs on the oldest Python that we support and on the newest of this machine: the image has 3.13.
"""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.interpreters import pythons
from tests.kube_servers import LabServer
from thinkube_nornir.lab.kube import User
from thinkube_nornir.lab.kube.certificates import Authority

STRICT = (3, 13)
"""Sets VERIFY_X509_STRICT by itself, from here on."""
NEWEST = next(((version, path) for version, path in pythons().items() if version >= STRICT), None)
NO_STRICT = pytest.mark.skip(reason="this machine has no Python 3.13 or newer, which is strict by default")
INTERPRETERS = [
    pytest.param(Path(sys.executable), id="this-python"),
    pytest.param(NEWEST and NEWEST[1], id="strict-python", marks=() if NEWEST else NO_STRICT),
]
SCRIPT = Path(__file__).parents[4] / "templates/cert_manager/copy_certificate.py"
TOKEN = "token-of-the-copier"
ADMIN = User("admin", ("system:masters",))


@pytest.fixture
def server() -> Iterator[LabServer]:
    made = LabServer(key_usage=False)
    made.do(lambda: made.api.tokens.update({TOKEN: ADMIN}))
    for name in ("ingress", "shop"):
        made.do(lambda name=name: made.api.create(_object("Namespace", name)))  # type: ignore[misc]
    _secret(made, "default", "tls", "old")
    yield made
    made.stop()


def _object(kind: str, name: str, namespace: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def _secret(server: LabServer, namespace: str, name: str, value: str) -> None:
    data = {part: base64.b64encode(f"{value} {part}".encode()).decode() for part in ("tls.crt", "tls.key")}
    manifest = _object("Secret", name, namespace, type="kubernetes.io/tls", data=data)
    server.do(lambda: server.api.apply(manifest, manager="thinkube-nornir"))


def _data(server: LabServer, namespace: str, name: str) -> Any:
    return (server.do(lambda: server.api.get("v1", "Secret", name, namespace)) or {}).get("data")


def _authority(server: LabServer) -> bytes:
    config = yaml.safe_load(server.kubeconfig)["clusters"][0]["cluster"]
    return base64.b64decode(config["certificate-authority-data"])


def _run(
    server: LabServer,
    folder: Path,
    copies: str,
    *,
    python: Path | None = None,
    host: str = "127.0.0.1",
    authority: bytes = b"",
) -> subprocess.CompletedProcess[str]:
    (folder / "ca.crt").write_bytes(authority or _authority(server))
    (folder / "token").write_text(TOKEN)
    environment = {
        "ACCOUNT": str(folder),
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(server.do(lambda: server.api.port)),
        "SOURCE": "default/tls",
        "COPIES": copies,
    }
    argv = [str(python or sys.executable), "-I", str(SCRIPT)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("python", INTERPRETERS)
def test_an_authority_without_key_usage_is_trusted(server: LabServer, tmp_path: Path, python: Path) -> None:
    """On every Python: else no copy would ever follow a renewal, and only the job's log would say why."""
    _secret(server, "ingress", "ingress-tls-secret", "old")
    _secret(server, "default", "tls", "new")

    done = _run(server, tmp_path, "ingress/ingress-tls-secret", python=python)

    assert (done.returncode, done.stdout, done.stderr) == (0, "ingress/ingress-tls-secret: renewed\n", "")


def test_the_authority_of_these_tests_is_refused_by_a_strict_client(server: LabServer) -> None:
    """Else they would prove nothing."""
    context = ssl.create_default_context(cadata=_authority(server).decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = server.do(lambda: server.api.port)

    with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(ssl.SSLCertVerificationError) as caught:
        context.wrap_socket(plain, server_hostname="127.0.0.1")

    assert "CA cert does not include key usage extension" in str(caught.value)


@pytest.mark.parametrize("python", INTERPRETERS)
def test_another_authority_is_refused(server: LabServer, tmp_path: Path, python: Path) -> None:
    """The chain is verified: the token goes to the cluster's own API alone."""
    done = _run(server, tmp_path, "", python=python, authority=Authority(key_usage=False).pem)

    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


@pytest.mark.parametrize("python", INTERPRETERS)
def test_another_name_is_refused(server: LabServer, tmp_path: Path, python: Path) -> None:
    """The name is verified: the same server, by an address that is not in its certificate."""
    done = _run(server, tmp_path, "", python=python, host="0.0.0.0")  # noqa: S104  Linux leads it to loopback

    assert done.returncode == 1
    assert "IP address mismatch" in done.stderr


def test_a_copy_follows_a_renewal(server: LabServer, tmp_path: Path) -> None:
    """Every copy that differs is renewed; one that does not is not written to."""
    _secret(server, "ingress", "ingress-tls-secret", "old")
    _secret(server, "shop", "shop-tls-secret", "new")
    _secret(server, "default", "tls", "new")
    before = server.do(lambda: server.api.get("v1", "Secret", "shop-tls-secret", "shop"))

    done = _run(server, tmp_path, "ingress/ingress-tls-secret shop/shop-tls-secret")

    assert (done.returncode, done.stdout) == (
        0,
        "ingress/ingress-tls-secret: renewed\nshop/shop-tls-secret: is current\n",
    )
    assert _data(server, "ingress", "ingress-tls-secret") == _data(server, "default", "tls")
    assert server.do(lambda: server.api.get("v1", "Secret", "shop-tls-secret", "shop")) == before


def test_a_copy_that_is_gone_is_an_error_and_the_others_follow(server: LabServer, tmp_path: Path) -> None:
    """The job fails, which verify sees, and says which one."""
    _secret(server, "shop", "shop-tls-secret", "other")

    done = _run(server, tmp_path, "ingress/ingress-tls-secret shop/shop-tls-secret")

    assert done.returncode == 1
    assert "ingress/ingress-tls-secret: 404 Not Found" in done.stderr
    assert _data(server, "shop", "shop-tls-secret") == _data(server, "default", "tls")


def test_nothing_secret_is_printed(server: LabServer, tmp_path: Path) -> None:
    """The job's log is for everybody who may read logs."""
    _secret(server, "ingress", "ingress-tls-secret", "other")

    done = _run(server, tmp_path, "ingress/ingress-tls-secret")

    told = done.stdout + done.stderr
    assert "renewed" in told
    assert not any(value in told for value in (TOKEN, *_data(server, "default", "tls").values()))
