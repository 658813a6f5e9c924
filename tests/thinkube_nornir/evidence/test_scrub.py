"""What is taken out of evidence."""

from __future__ import annotations

import base64
import json

import pytest

from thinkube_nornir.evidence.scrub import REMOVED, scrub, scrub_body
from thinkube_nornir.secret import Secret

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbc\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"a\n{KEY}\nb", "MHcCAQEEIAbc"),
        ("users:\n- user:\n    client-key-data: TFMwdExTMQ==\n", "TFMwdExTMQ"),
        ("    token: abcdefgh12345678\n", "abcdefgh12345678"),
        ('{"token": "abcdefgh/1234", "x": 1}', "abcdefgh"),
        ("THINKUBE_SUDO_PASSWORD=hunter22\n", "hunter22"),
        ("Authorization: Bearer eyJhbGciOi.eyJpc3M", "eyJhbGciOi"),
        ("microk8s join 192.168.1.110:25000/92b2db237428470dc4fcfc4ebbd9dc81/2c0cb3284b05", "92b2db237428"),
        ("api-token: v1.0-abcdef", "v1.0-abcdef"),
    ],
)
def test_what_looks_like_a_secret_goes(text: str, hidden: str) -> None:
    """Keys, tokens and passwords that this run never knew as secrets, in the forms that tools print."""
    assert hidden not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "tokens are renewed\n",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "--token-ttl 300",
        "192.168.1.110:25000 is listening",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Evidence with holes where there was nothing to hide would be of less use."""
    assert scrub(text) == text


def test_known_secrets_go_wherever_they_are() -> None:
    """Whatever the run knew to be a secret, in any place."""
    Secret("correct horse battery")

    assert "horse" not in scrub("x correct horse battery y")


def test_secrets_of_the_cluster_lose_their_data() -> None:
    """But for certificates, which every client sees; also in lists, and where kubectl keeps what it applied."""
    data = {"tls.crt": "Y2VydA==", "tls.key": base64.b64encode(b"key").decode(), "api-token": "dG9rZW4="}
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"api-token": "dG9rZW4="}}'}
    secret = {"kind": "Secret", "metadata": {"name": "s", "annotations": applied}, "data": data}
    listed = {"kind": "SecretList", "items": [{key: part for key, part in secret.items() if key != "kind"}]}

    for body in (secret, listed):
        shown = scrub_body(json.dumps(body))
        assert "dG9rZW4=" not in shown
        assert data["tls.key"] not in shown
        assert "Y2VydA==" in shown
        assert REMOVED in shown


def test_other_objects_stay_whole() -> None:
    """A ConfigMap, a Node: what is in them is what evidence is for."""
    body = {"kind": "ConfigMap", "data": {"Corefile": ".:53 {\n  forward . 8.8.8.8\n}\n", "token-ttl": 5}}

    assert json.loads(scrub_body(json.dumps(body))) == body


def test_members_called_like_a_secret_go() -> None:
    """A service account's token in the answer of another kind."""
    assert json.loads(scrub_body('{"kind": "TokenRequest", "status": {"token": "abc.def"}}'))["status"] == {
        "token": REMOVED
    }
