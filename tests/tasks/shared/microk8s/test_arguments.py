"""Arguments of MicroK8s' services: one line of a file that others write, too."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.shared.microk8s.arguments import argument
from tasks.shared.microk8s.facts import values_of

_LINES = st.lists(st.from_regex(r"--[a-z-]{1,8}[= ][a-z0-9.]{1,8}", fullmatch=True), max_size=6)


@given(_LINES, st.from_regex(r"[0-9.]{1,12}", fullmatch=True))
def test_an_argument_is_given_once_and_others_stay(lines: list[str], value: str) -> None:
    """Whatever was there: one value for the key, the other lines in their order, and no change the second time."""
    node_ip = replace(argument("kubelet", "--node-ip", lambda _: value), line=f"--node-ip={value}")

    new = node_ip.wanted([*lines, "--node-ip", "--node-ip 10.0.0.1"])

    assert values_of("\n".join(new), "--node-ip") == (value,)
    others = [line for line in lines if not line.startswith(("--node-ip=", "--node-ip "))]
    assert [line for line in new if line != f"--node-ip={value}"] == others
    assert node_ip.wanted(new) == new
