"""What MetalLB's definitions say of its objects, by the MicroK8s release that brings it.

Source: canonical/microk8s-core-addons@1.32 addons/metallb/crd.yaml
Source: canonical/microk8s-core-addons@1.33 addons/metallb/crd.yaml
Source: canonical/microk8s-core-addons@1.34 addons/metallb/crd.yaml
Source: canonical/microk8s-core-addons@1.35 addons/metallb/crd.yaml
"""

from __future__ import annotations

from tasks.lab.load_balancer import ADVERTISEMENT, POOL
from tasks.lab.schemas import (
    ANYTHING,
    FLAG,
    LABEL_SELECTOR,
    NUMBER,
    TEXT,
    TEXTS,
    atomic,
    defaulting,
    each,
    struct,
    whole,
)
from thinkube_nornir.lab.kube import Object


def schema(kind: str, minor: tuple[int, int]) -> Object:
    previous = minor < (1, 33)
    selectors = each(LABEL_SELECTOR if previous else atomic(LABEL_SELECTOR))
    if kind == POOL[1]:
        pool = {"addresses": TEXTS, "autoAssign": defaulting(FLAG, True)}
        if not previous:
            chosen = struct(namespaces=TEXTS, namespaceSelectors=selectors, serviceSelectors=selectors, priority=NUMBER)
            pool |= {"avoidBuggyIPs": defaulting(FLAG, False), "serviceAllocation": chosen}
        return whole(struct("addresses", **pool), "spec")
    if kind == ADVERTISEMENT[1]:
        chosen = {"ipAddressPools": TEXTS, "ipAddressPoolSelectors": selectors, "nodeSelectors": selectors}
        return whole(struct(**chosen, **({} if previous else {"interfaces": each(TEXT)})))
    return ANYTHING
