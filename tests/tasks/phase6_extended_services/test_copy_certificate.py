"""The script that renews the copies in the cluster, run as there: by itself, against a real HTTPS API."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube_servers import LabServer

SCRIPT = Path(__file__).parents[3] / "templates/cert_manager/copy_certificate.py"
TOKEN = "token-of-the-copier"


@pytest.fixture
def server() -> Iterator[LabServer]:
    made = LabServer()
    made.do(lambda: made.api.tokens.add(TOKEN))
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


def _run(server: LabServer, folder: Path, copies: str) -> subprocess.CompletedProcess[str]:
    config = yaml.safe_load(server.kubeconfig)["clusters"][0]["cluster"]
    (folder / "ca.crt").write_bytes(base64.b64decode(config["certificate-authority-data"]))
    (folder / "token").write_text(TOKEN)
    environment = {
        "ACCOUNT": str(folder),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.do(lambda: server.api.port)),
        "SOURCE": "default/tls",
        "COPIES": copies,
    }
    argv = [sys.executable, "-I", str(SCRIPT)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)


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
