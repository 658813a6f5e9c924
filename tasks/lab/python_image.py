"""The image `python`: a script from a ConfigMap really runs there, by TLS to the lab's API, as its service account.

It runs with this machine's Python, which is made as strict as the image's: from 3.13 on, create_default_context refuses
an authority without keyUsage.

Source: python/cpython@3.13 Lib/ssl.py
Unproven: how long it takes to pull the image and to start its container.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tasks.lab.microk8s.node import Node, control_of
from tasks.lab.pods import Program, run_command
from thinkube_nornir.lab.emulation import pause
from thinkube_nornir.lab.kube import KubeApi, Object, PodExit, account

_PULL = 4.0  # seconds
_LIMIT = 60.0
_STRICT = """
import runpy, ssl, sys
if {strict}:
    lenient = ssl.create_default_context
    def create_default_context(*args, **kwargs):
        context = lenient(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        return context
    ssl.create_default_context = create_default_context
sys.argv = [{path!r}]
runpy.run_path({path!r}, run_name="__main__")
"""


async def _python(node: Node, pod: Object) -> PodExit | None:
    """`python3 [-I] /path/of/a/mounted/script`; any other command is the image's like that of every image."""
    container: dict[str, Any] = pod["spec"]["containers"][0]
    command = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    control = control_of(node)
    if control is None or command[:1] != ["python3"]:
        return await run_command(node.host, pod, command, container.get("env") or ())
    await pause(node.host.lab, _PULL)
    with tempfile.TemporaryDirectory() as folder:
        script = _mounted(control.api, pod, command[-1], Path(folder))
        if script is None:
            message = f"python3: can't open file '{command[-1]}': [Errno 2] No such file or directory\n"
            return PodExit(2, message.encode())
        token = _account(control.api, pod, Path(folder))
        try:
            return await _run(control.api, script, container, _is_strict(str(container["image"])))
        finally:
            control.api.tokens.pop(token, None)


def _is_strict(image: str) -> bool:
    found = re.search(r":3\.(\d+)", image)
    return found is not None and int(found[1]) >= 13


def _mounted(api: KubeApi, pod: Object, path: str, folder: Path) -> Path | None:
    """A copy of the file of a ConfigMap that is mounted there; None when nothing is."""
    at, name = PurePosixPath(path).parent, PurePosixPath(path).name
    mounts = {PurePosixPath(m["mountPath"]): m["name"] for m in pod["spec"]["containers"][0].get("volumeMounts") or ()}
    volumes = {v["name"]: (v.get("configMap") or {}).get("name") for v in pod["spec"].get("volumes") or ()}
    source = volumes.get(mounts.get(at, ""))
    found = api.get("v1", "ConfigMap", source, pod["metadata"]["namespace"]) if source else None
    text = ((found or {}).get("data") or {}).get(name)
    if text is None:
        return None
    (folder / name).write_text(text)
    return folder / name


def _account(api: KubeApi, pod: Object, folder: Path) -> str:
    """What is mounted for the service account: the authority, and a token that the API accepts while the pod runs.

    The script finds it by its variable ACCOUNT: a process of the lab has no mounts of its own.
    """
    config = yaml.safe_load(api.kubeconfig(f"https://127.0.0.1:{api.port}"))
    token = secrets.token_urlsafe(24)
    api.tokens[token] = account(pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"])
    (folder / "ca.crt").write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    (folder / "token").write_text(token)
    return token


async def _run(api: KubeApi, script: Path, container: dict[str, Any], strict: bool) -> PodExit:
    given = {e["name"]: str(e.get("value", "")) for e in container.get("env") or ()}
    here = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)}
    environment = given | here | {"ACCOUNT": str(script.parent), "PATH": os.defpath}
    program = _STRICT.format(strict=strict, path=str(script))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", program),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _LIMIT)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return PodExit(process.returncode or 0, out + err)


PROGRAMS: dict[str, Program] = {"docker.io/library/python": _python}
