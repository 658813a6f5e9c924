"""Resources: what a component manages is declared once, and is set up, checked and rolled back from that."""

from thinkube_nornir.resources.accounts import in_home
from thinkube_nornir.resources.base import NotAsDeclared, NotKnown, Resource, State, from_setting, resolve
from thinkube_nornir.resources.files import File
from thinkube_nornir.resources.members import GroupMember
from thinkube_nornir.resources.snaps import Snap
from thinkube_nornir.resources.units import Unit

__all__ = [
    "File",
    "GroupMember",
    "NotAsDeclared",
    "NotKnown",
    "Resource",
    "Snap",
    "State",
    "Unit",
    "from_setting",
    "in_home",
    "resolve",
]
