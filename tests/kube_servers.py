"""API servers for tests: the lab's own, in a thread, and a real kube-apiserver with etcd when the machine has them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization

from tests.certificates import Authority, kubeconfig
from thinkube_nornir.lab.kube import KubeApi, PodRuntime, PodStop

T = TypeVar("T")
ASSETS = "KUBEBUILDER_ASSETS"
"""Names a folder with kube-apiserver and etcd: the field's convention."""

_MISSING = pytest.mark.skip(
    reason=f"{ASSETS} names no folder with kube-apiserver and etcd"
)  # pytest folds `skip` by file
REAL = pytest.param("real", marks=() if os.environ.get(ASSETS) else _MISSING)
"""The parameter of a test against a real API."""


class LabServer:
    """The lab's API in an event loop of its own."""

    def __init__(
        self, runtime: PodRuntime | None = None, *, stop: PodStop | None = None, key_usage: bool = True
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        try:
            self.api = self.do(lambda: KubeApi(runtime=runtime, stop=stop, key_usage=key_usage))
            self._wait(self.api.start())
        except BaseException:
            self._end()
            raise

    @property
    def kubeconfig(self) -> str:
        return self.do(lambda: self.api.kubeconfig(f"https://127.0.0.1:{self.api.port}"))

    def do(self, function: Callable[[], T]) -> T:
        """Call the function in the loop's thread, as KubeApi wants it."""

        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(30)

    def settle(self) -> None:
        """Wait until no controller has anything more to do."""
        self._wait(self.api.settled())

    def _wait(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        try:
            self._wait(self.api.stop())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def real_server(assets: Path, folder: Path) -> Iterator[str]:
    """A real kube-apiserver and etcd, without controllers; gives a kubeconfig."""
    authority, token = Authority(), "test-admin"
    certificate, key = authority.issue("kube-apiserver", "127.0.0.1")
    files = {"ca": authority.pem, "crt": certificate, "key": key, "token": f"{token},admin,1,system:masters\n".encode()}
    files["pub"] = _public(key)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    client, peer, port = (_free_port() for _ in range(3))
    etcd = _started(folder, assets / "etcd", f"--data-dir={folder}/data", *_etcd(client, peer))
    try:
        server = _started(folder, assets / "kube-apiserver", *_apiserver(folder, client, port))
        try:
            _until_ready(server, port, authority, token, folder)
            yield kubeconfig(f"https://127.0.0.1:{port}", authority.pem, token=token)
        finally:
            _stopped(server)
    finally:
        _stopped(etcd)


def _public(key: bytes) -> bytes:
    """Newer kube-apiservers take no private key where a public one is meant."""
    public = serialization.load_pem_private_key(key, None).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _etcd(client: int, peer: int) -> list[str]:
    here, there = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        *(f"--listen-client-urls={here}", f"--advertise-client-urls={here}", f"--listen-peer-urls={there}"),
        *(f"--initial-advertise-peer-urls={there}", f"--initial-cluster=default={there}", "--unsafe-no-fsync"),
    ]


def _apiserver(folder: Path, etcd: int, port: int) -> list[str]:
    return [
        *(f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1", f"--secure-port={port}"),
        *(f"--tls-cert-file={folder}/crt", f"--tls-private-key-file={folder}/key", f"--cert-dir={folder}"),
        *(f"--token-auth-file={folder}/token", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"),
        *("--service-account-issuer=https://test", f"--service-account-key-file={folder}/pub"),
        *(f"--service-account-signing-key-file={folder}/key", "--disable-admission-plugins=ServiceAccount"),
    ]


def _started(folder: Path, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / f"{program.name}.log").open("wb") as log:
        return subprocess.Popen(
            [str(program), *arguments], stdout=log, stderr=log, env=os.environ | {"HOME": str(folder)}
        )


def _stopped(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _until_ready(server: subprocess.Popen[bytes], port: int, authority: Authority, token: str, folder: Path) -> None:
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    end = time.monotonic() + 60
    while not _is_ready(port, trust, token):
        if server.poll() is not None or time.monotonic() > end:
            log = (folder / "kube-apiserver.log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"kube-apiserver did not become ready\n{log}")
        time.sleep(0.2)


def _is_ready(port: int, trust: ssl.SSLContext, token: str) -> bool:
    try:
        with closing(HTTPSConnection("127.0.0.1", port, timeout=5, context=trust)) as connection:
            connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {token}"})
            return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
