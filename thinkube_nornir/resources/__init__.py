"""Resources: what a component manages is declared once, and is set up, checked and rolled back from that."""

from thinkube_nornir.resources.accounts import in_home
from thinkube_nornir.resources.base import NotAsDeclared, NotKnown, Resource, State, from_setting, resolve
from thinkube_nornir.resources.clusters import ClusterAccess
from thinkube_nornir.resources.commands import Command
from thinkube_nornir.resources.directories import Directory
from thinkube_nornir.resources.files import File
from thinkube_nornir.resources.kernel import KernelModule, KernelParameter
from thinkube_nornir.resources.manifests import Manifest
from thinkube_nornir.resources.members import GroupMember
from thinkube_nornir.resources.packages import AptRepository, Package
from thinkube_nornir.resources.releases import HelmRelease
from thinkube_nornir.resources.snaps import Snap
from thinkube_nornir.resources.text import Block, Line
from thinkube_nornir.resources.units import Unit
from thinkube_nornir.resources.users import User

__all__ = [
    "AptRepository",
    "Block",
    "ClusterAccess",
    "Command",
    "Directory",
    "File",
    "GroupMember",
    "HelmRelease",
    "KernelModule",
    "KernelParameter",
    "Line",
    "Manifest",
    "NotAsDeclared",
    "NotKnown",
    "Package",
    "Resource",
    "Snap",
    "State",
    "Unit",
    "User",
    "from_setting",
    "in_home",
    "resolve",
]
