"""Copy a certificate's secret to the namespaces that serve it. Runs in the cluster; SOURCE and COPIES say what and where.

Copies are made when the certificate is first set up; here they only follow it, so a copy that is gone is an error.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request

ACCOUNT = os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount")
MANAGER = "thinkube-nornir"


def ask(method, name, body=None):
    namespace, _, secret = name.partition("/")
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    url = f"{server}/api/v1/namespaces/{namespace}/secrets/{secret}"
    with open(f"{ACCOUNT}/token") as file:
        headers = {"Authorization": f"Bearer {file.read().strip()}", "Content-Type": "application/apply-patch+yaml"}
    if body is not None:
        url += f"?fieldManager={MANAGER}&force=true"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return json.load(answer)


def copy(source, name):
    """Whether the copy was another one."""
    if ask("GET", name)["data"] == source["data"]:
        return False
    namespace, _, secret = name.partition("/")
    metadata = {"name": secret, "namespace": namespace}
    ask("PATCH", name, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": source["data"]})
    return True


def main():
    source, failed = ask("GET", os.environ["SOURCE"]), False
    for name in os.environ["COPIES"].split():
        try:
            print(f"{name}: {'renewed' if copy(source, name) else 'is current'}")
        except urllib.error.HTTPError as error:
            failed = True
            print(f"{name}: {error.code} {error.reason}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
