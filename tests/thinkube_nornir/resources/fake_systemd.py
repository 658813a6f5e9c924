"""systemd on a fake host: one unit, with a clock that moves at every start and every write."""

from __future__ import annotations

from tests.fake_host import FakeHost, Reply
from thinkube_nornir.command import Command

SHOWN = """LoadState={load}
ActiveState={active}
UnitFileState={enabled}
NeedDaemonReload={stale}
ExecMainStartTimestamp={started}
InactiveExitTimestamp={started}
"""


class FakeSystemd:
    """What `systemctl show` prints of it, and what the verbs make of it."""

    def __init__(self, *, load: str = "loaded", active: str = "active", enabled: str = "enabled") -> None:
        self.load, self.active, self.enabled = load, active, enabled
        self.stale = False
        self.started = 1.0 if active == "active" else 0.0
        self.host = FakeHost(
            answers={
                "systemctl show": lambda _: self._shown(),
                "systemctl": self._change,
                "stat '--format=%.9Z %n'": lambda command: Reply(*self.host.files.stat_changes(command)),
                "true": "",
            }
        )

    def _shown(self) -> str:
        started = f"Thu 1970-01-01 00:00:{self.started:09.6f} UTC" if self.started else ""
        if self.load == "not-found":
            return SHOWN.format(load=self.load, active="inactive", enabled="", stale="no", started="")
        stale = "yes" if self.stale else "no"
        return SHOWN.format(load=self.load, active=self.active, enabled=self.enabled, stale=stale, started=started)

    def _change(self, command: Command) -> str:
        assert command.root
        verb = command.argv[1]
        if verb in ("start", "restart"):
            self.host.files.clock += 1
            self.active, self.started = "active", self.host.files.clock
        self.active = "inactive" if verb == "stop" else self.active
        self.enabled = {"enable": "enabled", "disable": "disabled"}.get(verb, self.enabled)
        self.stale = self.stale and verb != "daemon-reload"
        return ""
