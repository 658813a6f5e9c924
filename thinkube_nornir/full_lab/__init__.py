"""The full lab: the inventory's machines as Ubuntu in LXD containers on this machine, real but for what is named.

They stand in a network namespace of their own, from which nothing leads out: the addresses of the inventory are theirs
as they stand, whatever network this machine is in, and no package of a run can leave it.
"""
