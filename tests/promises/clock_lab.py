"""The lab's emulation, with an archive in each host from which apt installs a chrony.

apt and dpkg are this machine's own, and so is all that they do. The package is not chrony: it has chrony's files, a
`chronyc` that answers in its form, and the scripts with which Debian's package starts and stops the service.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks import lab as base
from tasks.lab.state import Unit, machine
from tasks.lab.systemd import systemctl
from thinkube_nornir.lab.emulation import Call, Lab, Reply, Tool

EMULATED = (*base.EMULATED, "chrony")
INSTALLED = base.INSTALLED
snapshot = base.snapshot
_UNIT_FILE = "/lib/systemd/system/chrony.service"

_ARCHIVE = r"""
mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/lib/apt/lists/partial \
  /var/cache/apt/archives/partial /var/log/apt /srv/archive
: >/var/lib/dpkg/status
echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/00lab  # there is one user in a lab's host
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/archive ./' >/etc/apt/sources.list
cd /srv/archive
for version in 4.2-1 4.3-2; do
  mkdir -p new/DEBIAN new/etc/chrony new/usr/bin new/lib/systemd/system
  printf 'Package: chrony\nVersion: %s\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' $version \
    >new/DEBIAN/control
  echo /etc/chrony/chrony.conf >new/DEBIAN/conffiles
  printf 'pool 2.debian.pool.ntp.org iburst\n' >new/etc/chrony/chrony.conf
  printf '[Service]\nExecStart=/usr/sbin/chronyd\n' >new/lib/systemd/system/chrony.service
  printf '#!/bin/sh\necho C0A80101,192.168.1.1,3,1795800293.1,0.000012,0.1,0.1,0.1,0.1,0.1,0.1,0.1,64.2,Normal\n' \
    >new/usr/bin/chronyc
  printf '#!/bin/sh\nset -e\nsystemctl daemon-reload\nsystemctl enable --now chrony.service\n' >new/DEBIAN/postinst
  printf '#!/bin/sh\nset -e\nsystemctl stop chrony.service\n' >new/DEBIAN/prerm
  chmod 755 new/usr/bin/chronyc new/DEBIAN/postinst new/DEBIAN/prerm
  dpkg-deb --root-owner-group --build new . >/dev/null && rm -r new
done
for deb in *.deb; do
  dpkg-deb --field "$deb"; echo "Filename: ./$deb"; echo "Size: $(stat -c %s "$deb")"
  echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"; echo
done >Packages
"""


async def prepare(lab: Lab) -> None:
    await base.prepare(lab)
    for host in lab.hosts.values():
        done = await host.run(["sh", "-ec", _ARCHIVE])
        assert done.status == 0, done


async def systemctl_of_packages(call: Call) -> Reply:
    """The unit is there while its file is."""
    units = machine(call.host).units
    if not call.host.files.exists(_UNIT_FILE):
        units.pop("chrony", None)
    elif "chrony" not in units:
        units["chrony"] = Unit("chrony", active=False, enabled=False, description="chrony, an NTP client/server")
    return await systemctl(call)


TOOLS: Mapping[str, Tool] = {**base.TOOLS, "systemctl": systemctl_of_packages}
