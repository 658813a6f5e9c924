"""ping on the lab's hosts: whoever has an address of the LAN or the overlay answers, our host or not.

Unproven: ping's words are written from examples of iputils, not from its source; its exit status is documented there.
"""

from __future__ import annotations

from tasks.lab.state import host_at
from tasks.lab.tool import ToolError, parse, tool
from thinkube_nornir.lab.emulation import Call, Reply

OTHER_MACHINES = "other_machines"
"""The key in the lab's state for addresses of machines that the inventory does not name, such as a printer."""


@tool
async def ping(call: Call) -> Reply:
    given = parse(
        call.argv[1:],
        flags=("-q", "-n", "-4"),
        values=("-c", "-W"),
        unknown=lambda option: ToolError(2, f"ping: invalid option -- '{option.lstrip('-')[:1]}'\n"),
    )
    if len(given.words) != 1:
        raise ToolError(1, "ping: usage error: Destination address required\n")
    address, lab = given.words[0], call.host.lab
    answers = host_at(lab, address) is not None or address in lab.state.get(OTHER_MACHINES, ())
    message = f"1 packets transmitted, {int(answers)} received, {0 if answers else 100}% packet loss"
    head = f"PING {address} ({address}) 56(84) bytes of data.\n\n--- {address} ping statistics ---\n"
    return Reply(int(not answers), f"{head}{message}\n")
