"""Every setting the inventory may hold: its name, its shape, and whose it must be.

Settings of all hosts stand in inventory/defaults.yaml, those of a group or host with it. What must hold between hosts
is in setting_checks.py and address_checks.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from tasks.shared.defaults import DEFAULTS
from tasks.shared.settings import address_checks, values
from tasks.shared.settings import certificates as certificate_settings
from tasks.shared.settings import checks as setting_checks
from tasks.shared.settings import gpus as gpu_settings
from tasks.shared.settings import ingress as ingress_settings
from thinkube_nornir.settings.schema import Schema

Address = Annotated[str, AfterValidator(values.address)]
Network = Annotated[str, AfterValidator(values.network)]
User = Annotated[str, AfterValidator(values.user)]
Size = Annotated[str, AfterValidator(values.size)]
Slot = Annotated[str, AfterValidator(values.pci_slot)]
Count = Annotated[int, Ge(1)]
Text = Annotated[str, MinLen(1)]
Label = Annotated[str, AfterValidator(values.label)]


@with_config(ConfigDict(extra="forbid"))
class Settings(TypedDict, total=False):
    # names and users
    domain_name: Annotated[str, AfterValidator(values.domain)]
    """A domain you own; services are published below it."""
    system_username: User
    """The login on all machines and VMs."""
    admin_username: User
    """Administrator inside the applications; not a login."""
    auth_realm_username: User
    """User in the identity realm of later phases."""
    ssh_key_name: Text
    """File name of the key that the hosts use among themselves."""
    ssh_key_type: Literal["ed25519", "rsa", "ecdsa"]
    """Kind of that key."""

    # networks
    network_cidr: Network
    """The LAN: nodes talk to each other here."""
    network_gateway: Address
    """The LAN's router."""
    network_bridge_name: Text
    """The bridge that VMs use to reach the LAN."""
    bridge_interface: Text
    """The port behind the bridge, for machines with several; found by itself when not set."""
    internal_gateway: Address
    """A machine's own address in the network of its VMs."""
    zerotier_network_id: Annotated[str, AfterValidator(values.zerotier_network_id)]
    """The overlay network; in quotes, because some look like numbers."""
    zerotier_cidr: Network
    """The overlay's addresses, those of published services among them."""
    dns_servers: Annotated[list[Address], MinLen(1)]
    """Public name servers, for what is not below domain_name."""
    dns_search_domains: list[Annotated[str, AfterValidator(values.domain)]]
    """Leave it empty: with the wildcard zone, every external name would lead to the ingress."""

    # published services
    load_balancer_range: Annotated[str, AfterValidator(values.address_range)]
    """What services of type LoadBalancer get: free addresses of the LAN, outside of its DHCP, or of the overlay."""
    primary_ingress_ip: Address
    """Address of all names below domain_name; the range's first one when not set."""
    knative: bool
    """Names below kn.domain_name have an ingress of their own, for Knative."""
    secondary_ingress_ip: Address
    """Its address; the range's second one when not set."""

    # certificates; the control plane's
    acme_issuer: Literal["ca", "letsencrypt-staging", "letsencrypt-prod"]
    """Who signs the certificate: this installation's own authority, or Let's Encrypt."""
    acme_email: Annotated[str, AfterValidator(certificate_settings.mail)]
    """The address of the account at Let's Encrypt, needed there; it sends no mail before a certificate ends."""
    cert_manager_version: Annotated[str, AfterValidator(certificate_settings.cert_manager_version)]
    """Version of cert-manager's chart: v1.16.4, v1.17.1, v1.18.0 or newer, which can end a challenge at Cloudflare."""
    dns01_resolvers: Annotated[list[Annotated[str, AfterValidator(certificate_settings.resolver)]], MinLen(1)]
    """Whom cert-manager asks whether Let's Encrypt can see its DNS record."""
    certificate_namespaces: list[Label]
    """Namespaces that get a copy of the certificate, renewed with it, beside both ingresses."""
    certificate_copier_image: Annotated[str, AfterValidator(values.image)]
    """An image with Python, which renews the copies."""
    helm_chart_source: Annotated[str, AfterValidator(certificate_settings.chart_source)]
    """A mirror of all charts; each chart's public repository when not set."""

    # ingress: what stands where is the control plane's
    ingress_namespace: Label
    """Namespace of the controller for all names."""
    ingress_kn_namespace: Label
    """Namespace of the controller for names below kn.domain_name."""
    primary_ingress_class: Label
    """Its class, which is the default one, and that of its Gateway."""
    secondary_ingress_class: Label
    """Class of the second controller."""
    primary_nginx_class: Label
    """Class of Ingress objects written for ingress-nginx, whose annotations the controller understands, too."""
    secondary_nginx_class: Label
    """Likewise, of the second controller."""
    traefik_chart_version: Annotated[str, AfterValidator(values.chart_version)]
    """Version of the chart of both controllers."""
    gateway_api_manifest: Annotated[str, AfterValidator(values.manifest_source)]
    """Where Gateway API comes from."""

    # a host's addresses
    lan_ip: Address
    """The host's address in network_cidr; its Kubernetes node has it too."""
    internal_ip: Address
    """The VM's address in its machine's own network."""
    zerotier_ip: Address
    """The host's address in the overlay."""

    # machines and VMs
    arch: Literal["x86_64", "arm64"]
    """Processor architecture."""
    server_type: Literal["desktop", "headless"]
    """Whether the machine has a display, and so keeps a GPU for it."""
    memory: Size
    """What a machine has, or a VM gets."""
    cpu_cores: Count
    """Likewise."""
    disk_size: Size
    """Likewise."""
    parent_host: Text
    """The machine that the VM runs on."""
    vm_packages: list[Text]
    """Packages that the VM gets beside the needed ones."""
    lxd_image: Text
    """What the VM is made from."""
    lxd_network_name: Text
    """The machine's own network for its VMs."""
    lxd_network_ipv4_address: Annotated[str, AfterValidator(values.interface)]
    """The machine's address in it; it ends there, so it may be the same on every machine."""
    lxd_network_ipv6_address: Annotated[str, AfterValidator(values.interface6_or_none)]
    """Likewise."""

    # GPUs
    gpu_model: Text
    """The cards, for people."""
    gpu_passthrough: bool
    """The VM gets a card of its machine."""
    pci_slot: Slot
    """Which one: its slot on the machine, among that one's assigned_pci_slots."""
    configure_gpu_passthrough: bool
    """The machine is prepared to give cards to VMs."""
    assigned_pci_slots: list[Slot]
    """Cards that are reserved for VMs."""
    kept_pci_slots: list[Slot]
    """Cards that the machine keeps; as a Kubernetes node it offers these."""
    host_gpu_type: Literal["amd", "intel", "nvidia"]
    """Make of the GPU that the machine keeps for its display."""
    host_gpu_index: Annotated[int, Ge(0)]
    """Which of them, when there are several."""
    gpu_count: Annotated[int, Ge(0)]
    """How many cards the node offers, where slots do not say it."""
    gpu_driver: Literal["auto", "host", "operator"]
    """Whose driver a node uses: its own where it has one (auto), always its own, or the operator's."""
    gpu_minimum_capability: Annotated[float, Ge(1)]
    """Nodes with cards of a lower compute capability offer none."""
    gpu_operator_version: Annotated[str, AfterValidator(values.chart_version)]
    """Version of the GPU operator's chart."""
    gpu_operator_namespace: Annotated[str, AfterValidator(values.label)]
    """Its namespace, which nothing else may use."""
    gpu_time_slicing: dict[Text, Count]
    """How many pods share a card: `{any: 4}`, or by product as the nodes' label nvidia.com/gpu.product has it."""
    cuda_test_image: Annotated[str, AfterValidator(values.image)]
    """What computes on each card in verify; made for a CUDA version that the driver knows."""

    # what a host must have; checked before anything is changed
    allow_unsupported: bool
    """Go on with an operating system or a MicroK8s channel that this version was not made for."""
    node_disk: Size
    """Free room for images and volumes before MicroK8s is installed."""
    node_memory: Size
    """Memory of the host, at least; 2GB for the control plane and 1GB for workers when not set."""
    registries: list[Text]
    """Registries that nodes must reach over HTTPS; those of MicroK8s' own images when not set, [] for none."""

    # MicroK8s
    microk8s_channel: Annotated[str, AfterValidator(values.channel)]
    """The snap's channel, the same on all nodes."""
    microk8s_addons: list[Text]
    """Addons of MicroK8s that are switched on."""
    token_ttl: Count
    """Seconds that a join token lives."""
    microk8s_force_join: bool
    """Join also when the cluster has a node of this name that we did not join."""
    probe_image: Text
    """What the pods run that verify scheduling, names and ingress."""
    dns_probe_names: list[Annotated[str, AfterValidator(values.domain)]]
    """Public names that pods must be able to resolve."""
    dns_settle_seconds: Annotated[float, Ge(0)]
    """How long a wrong answer may last after a change before verify says no."""

    # the lab only: the password its sudo asks for
    lab_sudo_password: Text
    """Makes sudo ask for this password."""
    lab_sudo_rs: bool
    """sudo is sudo-rs, as on Ubuntu 25.10 and newer."""
    lab_snapd: Text
    """Version of snapd."""


SCHEMA = Schema(
    Settings,
    (
        *setting_checks.CHECKS,
        *address_checks.CHECKS,
        *certificate_settings.CHECKS,
        *ingress_settings.CHECKS,
        *gpu_settings.CHECKS,
    ),
    defaults=DEFAULTS,
    previous=ingress_settings.PREVIOUS,
)
