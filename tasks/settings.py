"""Every setting the inventory may hold: its name, its shape, and whose it must be.

Settings of all hosts stand in inventory/defaults.yaml, those of a group or host with it. What must hold between hosts
is in setting_checks.py and address_checks.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from tasks import address_checks, certificate_settings, gpu_settings, ingress_settings, setting_checks
from tasks import setting_values as values
from thinkube_nornir.settings.schema import Schema

Address = Annotated[str, AfterValidator(values.address)]
Network = Annotated[str, AfterValidator(values.network)]
User = Annotated[str, AfterValidator(values.user)]
Size = Annotated[str, AfterValidator(values.size)]
Slot = Annotated[str, AfterValidator(values.pci_slot)]
Octet = Annotated[int, Ge(1), Le(254)]
Count = Annotated[int, Ge(1)]
Text = Annotated[str, MinLen(1)]
Label = Annotated[str, AfterValidator(values.label)]


@with_config(ConfigDict(extra="forbid"))
class Settings(TypedDict, total=False):
    # names and users
    domain_name: Annotated[str, AfterValidator(values.domain)]
    system_username: User
    admin_username: User
    auth_realm_username: User
    ssh_key_name: Text
    ssh_key_type: Literal["ed25519", "rsa", "ecdsa"]

    # networks
    network_cidr: Network
    network_gateway: Address
    network_bridge_name: Text
    bridge_interface: Text
    internal_gateway: Address
    zerotier_network_id: Annotated[str, AfterValidator(values.zerotier_network_id)]
    zerotier_cidr: Network
    dns_servers: Annotated[list[Address], MinLen(1)]
    dns_search_domains: list[Annotated[str, AfterValidator(values.domain)]]

    # published services: last octets of addresses in zerotier_cidr
    metallb_ip_start_octet: Octet
    metallb_ip_end_octet: Octet
    primary_ingress_ip_octet: Octet
    secondary_ingress_ip_octet: Octet

    # certificates; the control plane's
    acme_issuer: Literal["ca", "letsencrypt-staging", "letsencrypt-prod"]
    acme_email: Annotated[str, AfterValidator(certificate_settings.mail)]
    cert_manager_version: Annotated[str, AfterValidator(values.chart_version)]
    dns01_resolvers: Annotated[list[Annotated[str, AfterValidator(certificate_settings.resolver)]], MinLen(1)]
    certificate_namespaces: list[Label]
    certificate_copier_image: Annotated[str, AfterValidator(values.image)]
    helm_chart_source: Annotated[str, AfterValidator(certificate_settings.chart_source)]

    # ingress: what stands where is the control plane's
    ingress_namespace: Label
    ingress_kn_namespace: Label
    primary_ingress_class: Label
    secondary_ingress_class: Label
    ingress_nginx_chart_version: Annotated[str, AfterValidator(values.chart_version)]

    # a host's addresses
    lan_ip: Address
    internal_ip: Address
    zerotier_ip: Address

    # machines and VMs
    arch: Literal["x86_64", "arm64"]
    server_type: Literal["desktop", "headless"]
    memory: Size
    cpu_cores: Count
    disk_size: Size
    parent_host: Text
    vm_packages: list[Text]
    lxd_image: Text
    lxd_network_name: Text
    lxd_network_ipv4_address: Annotated[str, AfterValidator(values.interface)]
    lxd_network_ipv6_address: Annotated[str, AfterValidator(values.interface6_or_none)]

    # GPUs
    gpu_model: Text
    gpu_passthrough: bool
    pci_slot: Slot
    configure_gpu_passthrough: bool
    assigned_pci_slots: list[Slot]
    kept_pci_slots: list[Slot]
    host_gpu_type: Literal["amd", "intel", "nvidia"]
    host_gpu_index: Annotated[int, Ge(0)]
    gpu_count: Annotated[int, Ge(0)]
    gpu_driver: Literal["auto", "host", "operator"]
    gpu_minimum_capability: Annotated[float, Ge(1)]
    gpu_operator_version: Annotated[str, AfterValidator(values.chart_version)]
    gpu_operator_namespace: Annotated[str, AfterValidator(values.label)]
    gpu_time_slicing: dict[Text, Count]
    cuda_test_image: Annotated[str, AfterValidator(values.image)]

    # MicroK8s
    microk8s_channel: Annotated[str, AfterValidator(values.channel)]
    microk8s_addons: list[Text]
    token_ttl: Count
    microk8s_force_join: bool
    probe_image: Text
    dns_probe_names: list[Annotated[str, AfterValidator(values.domain)]]

    # the lab only: how long its emulated tools take, and the password its sudo asks for
    lab_slow_seconds: Annotated[float, Ge(0)]
    lab_sudo_password: Text


SCHEMA = Schema(
    Settings,
    (
        *setting_checks.CHECKS,
        *address_checks.CHECKS,
        *certificate_settings.CHECKS,
        *ingress_settings.CHECKS,
        *gpu_settings.CHECKS,
    ),
)
