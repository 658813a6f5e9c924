"""How connections to an API server are made: TLS with the cluster's own authority, over TCP or through SSH."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from thinkube_nornir.cluster.kubeconfig import Access, write_private
from thinkube_nornir.errors import ClusterError, ThinkubeError

Dial = Callable[[], socket.socket]
"""Opens a stream to the API server, through the SSH connection to a host."""


def pool_of(access: Access, tls: ssl.SSLContext, dial: Dial | None) -> urllib3.PoolManager:
    configuration = Configuration(host=access.server)
    configuration.proxy = None  # the cluster is on our own networks or behind SSH; a web proxy is neither
    configuration.tls_server_name = access.server_name or None
    configuration.connection_pool_maxsize = 64  # connections kept; more are made when more threads ask at once
    pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
    pool.connection_pool_kw["ssl_context"] = tls
    if dial:
        pool.pool_classes_by_scheme = {"https": _through(dial)}
    return pool


def tls_of(host: str, access: Access, state: Path) -> ssl.SSLContext:
    """The library's own TLS settings without VERIFY_X509_STRICT; chain and name are verified as ever.

    Python 3.13 sets that flag, and with it refuses an authority without keyUsage: `CA cert does not include key usage
    extension`. Such authorities are in use, and live as long as their clusters.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=access.ca.decode())
        if access.client:  # the ssl module reads keys from files only
            context.load_cert_chain(write_private(state / f"kubeconfig-{host}.pem", access.client.reveal().encode()))
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"the kubeconfig from {host} cannot be used",
            why=f"its certificates or its key cannot be read: {error}",
            fix=f"look at the kubeconfig on {host}: is the cluster installed and running there?",
        ) from error
    return context


def _through(dial: Dial) -> type[HTTPSConnectionPool]:
    """A pool whose connections start from `dial`. TLS still verifies the address that the URL names."""

    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            try:
                stream = dial()
            except (ThinkubeError, OSError) as error:
                raise NewConnectionError(self, str(error)) from error
            if stream.family != socket.AF_UNIX:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each write takes 40 ms
            stream.settimeout(float(self.timeout) if isinstance(self.timeout, (int, float)) else None)
            return stream

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool
