"""Copy a certificate's secret to the namespaces that serve it. Runs in the cluster; SOURCE and COPIES say where.

Copies are made when the certificate is first set up; here they only follow it, so a copy that is gone is an error.
"""

import http.client
import json
import os
import ssl
import sys
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
MANAGER = "thinkube-nornir"
APPLY = "application/apply-patch+yaml"


class Refused(Exception):
    """The API's answer is not the one that was asked for."""


def trust() -> ssl.SSLContext:
    """The cluster's authority alone. Python 3.13 refuses one without keyUsage, as MicroK8s made them before 1.34."""
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the chain and the name are verified all the same
    return context


def ask(method: str, name: str, body: dict | None = None) -> dict:
    namespace, _, secret = name.partition("/")
    path = f"/api/v1/namespaces/{namespace}/secrets/{secret}" + (f"?fieldManager={MANAGER}&force=true" if body else "")
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    api = http.client.HTTPSConnection(host, port, timeout=30, context=trust())
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}", "Content-Type": APPLY}
    api.request(method, path, json.dumps(body) if body else None, headers)
    answer = api.getresponse()
    text = answer.read()
    api.close()
    if answer.status != http.client.OK:
        raise Refused(f"{method} {name}: {answer.status} {answer.reason}: {text.decode(errors='replace')[:500]}")
    return json.loads(text)


def copy(source: dict, name: str) -> str:
    if ask("GET", name)["data"] == source["data"]:
        return "is current"
    namespace, _, secret = name.partition("/")
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "namespace": namespace},
        "type": source["type"],
        "data": source["data"],
    }
    ask("PATCH", name, manifest)
    return "renewed"


def main() -> int:
    failed, source = False, ask("GET", os.environ["SOURCE"])
    for name in os.environ["COPIES"].split():
        try:
            sys.stdout.write(f"{name}: {copy(source, name)}\n")
        except Refused as error:
            failed = True
            sys.stderr.write(f"{error}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
