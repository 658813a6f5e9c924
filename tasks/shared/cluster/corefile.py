"""The text of a Corefile: server blocks, each for zones of its own."""

from __future__ import annotations

from thinkube_nornir.cluster import Object


def text_of(config_map: Object | None) -> str:
    return str(((config_map or {}).get("data") or {}).get("Corefile") or "")


def others(text: str, *known: str) -> dict[str, str]:
    """Zones to their block, of those server blocks of a Corefile for whose zones no known one has a block."""
    zones = {zone for each in known for names in _blocks(each) for zone in names.split()}
    return {names: block for names, block in _blocks(text).items() if not zones & set(names.split())}


def _blocks(text: str) -> dict[str, str]:
    """Zones to their server block, with the comments before it; one that is left open is none: CoreDNS does not start.

    >>> _blocks("# mine\\na.example, b.example:1053 {\\n  log {\\n  }\\n}\\n. {\\n")
    {'a.example:53 b.example:1053': '# mine\\na.example, b.example:1053 {\\n  log {\\n  }\\n}'}
    """
    found, lines, depth = {}, [], 0
    for line in text.strip().splitlines():
        lines.append(line)
        words = [] if line.lstrip().startswith("#") else line.split()
        depth += (words[-1:] == ["{"]) - (words == ["}"])
        if words == ["}"] and depth <= 0:
            head = " ".join(line for line in lines if not line.lstrip().startswith("#")).partition("{")[0]
            zones = (name if ":" in name else f"{name}:53" for name in head.replace(",", " ").split())
            found[" ".join(zones)] = "\n".join(lines).strip()
            lines, depth = [], 0
    return found


def joined(text: str, blocks: dict[str, str]) -> str:
    return "\n\n".join([text.rstrip("\n"), *blocks.values()]) + "\n" if blocks else text
