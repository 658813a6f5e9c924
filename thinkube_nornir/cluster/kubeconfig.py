"""What a kubeconfig says about reaching a cluster: read strictly, kept private.

It comes from a host, so nothing in it is trusted to run here: a user entry that names a command is refused.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from thinkube_nornir.errors import ClusterError
from thinkube_nornir.secret import Secret

if TYPE_CHECKING:
    from kubernetes.config.kube_config import ConfigNode


@dataclass(frozen=True)
class Access:
    """Where the API is and how both sides prove who they are."""

    server: str
    """`https://192.168.1.110:16443`, without a final slash."""
    ca: bytes
    """PEM; the only authority that is believed."""
    client: Secret | None = None
    """PEM of the client certificate and its key."""
    token: Secret | None = None
    server_name: str = ""
    """The name to verify instead of the server's address."""

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server)
        return parts.hostname or "", parts.port or 443


def parse(text: str, host: str) -> Access:
    """The current context of a kubeconfig.

    Of the official loader only what finds an entry is used: KubeConfigLoader runs the commands that a user entry names,
    and writes keys to files that the whole process shares.

    Raises:
        ClusterError: it cannot be used; the message says which part, and never its content.
    """
    from kubernetes.config.config_exception import ConfigException  # 0.3 s, as all of that library
    from kubernetes.config.kube_config import ConfigNode

    try:
        config = ConfigNode("kubeconfig", _mapping(text))  # type: ignore[no-untyped-call]
        context = config["contexts"].get_with_name(config["current-context"])["context"]
        cluster = config["clusters"].get_with_name(context["cluster"])["cluster"]
        user = config["users"].get_with_name(context["user"])["user"]
        return _access(cluster, user)
    except (yaml.YAMLError, RecursionError, ConfigException, TypeError, ValueError) as error:
        # A YAML error quotes the text it stumbled on, which may be a key.
        raise ClusterError(
            f"the kubeconfig from {host} cannot be used",
            why="it is not valid YAML" if isinstance(error, yaml.YAMLError | RecursionError) else str(error),
            fix=f"look at the kubeconfig on {host}: is the cluster installed and running there?",
        ) from None


def _mapping(text: str) -> object:
    content = yaml.safe_load(text)
    if isinstance(content, dict):
        return content
    raise ValueError("it is no kubeconfig" if text.strip() else "it is empty")


def _access(cluster: ConfigNode, user: ConfigNode) -> Access:
    server = str(cluster["server"]).rstrip("/")
    if not server.startswith("https://"):
        raise ValueError("its server is not an https:// address")
    if cluster.value.get("insecure-skip-tls-verify"):
        raise ValueError("it asks to skip the verification of the server's certificate")
    for command in ("exec", "auth-provider"):
        if command in user:
            raise ValueError(f"its user entry wants to run a command here ({command})")
    token = Secret(user["token"]) if "token" in user else None
    client = _client(user) if token is None else None
    name = cluster.value.get("tls-server-name") or ""
    return Access(server, _decoded(cluster, "certificate-authority-data"), client, token, name)


def _client(user: ConfigNode) -> Secret:
    Secret(str(user["client-key-data"]))  # its encoded form must not show up anywhere either
    key = _decoded(user, "client-key-data").decode()
    Secret(key)
    return Secret(_decoded(user, "client-certificate-data").decode() + "\n" + key)


def _decoded(entry: ConfigNode, name: str) -> bytes:
    try:
        return base64.b64decode(entry[name], validate=True)
    except (binascii.Error, TypeError):
        raise ValueError(f"{name} is not base64") from None


def write_private(path: Path, content: bytes) -> Path:
    """Write atomically, mode 0600; the folder is made private when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
