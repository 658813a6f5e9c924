"""How cert-manager writes a challenge's record at Cloudflare, and removes it.

Releases without the fix take a record's zone from the record, where Cloudflare has it no more: they ask for
`/zones//dns_records/...`, are refused, and try again for ever.

Source: cert-manager/cert-manager@v1.16.1 pkg/issuer/acme/dns/cloudflare/cloudflare.go
Source: cert-manager/cert-manager@v1.20.3 pkg/issuer/acme/dns/cloudflare/cloudflare.go
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.lab import cloudflare
from thinkube_nornir.lab.emulation import Lab

_FIXED_IN = {(1, 16): 4, (1, 17): 1}


class ProviderError(Exception):
    """The provider refused; the text is cert-manager's."""


@dataclass(frozen=True)
class Cloudflare:
    lab: Lab
    token: str
    version: str
    """The version of cert-manager."""

    def present(self, fqdn: str, value: str) -> None:
        """
        Args:
            fqdn: with its dot at the end.

        Raises:
            ProviderError: Cloudflare refuses.
        """
        if self._record(fqdn, value) is None:
            body = {"type": "TXT", "name": fqdn.rstrip("."), "content": value, "ttl": 120}
            self._ask("POST", f"/zones/{self._zone(fqdn)}/dns_records", body)

    def clean_up(self, fqdn: str, value: str) -> None:
        """Raises ProviderError: Cloudflare refuses."""
        record = self._record(fqdn, value)
        if record is not None:
            zone = self._zone(fqdn) if _knows_its_zone(self.version) else record.get("zone_id", "")
            self._ask("DELETE", f"/zones/{zone}/dns_records/{record['id']}")

    def _record(self, fqdn: str, value: str) -> dict[str, Any] | None:
        name = fqdn.rstrip(".")
        listed = self._ask("GET", f"/zones/{self._zone(fqdn)}/dns_records?per_page=100&type=TXT&name={name}")
        return next((r for r in listed if (r["name"], r["content"]) == (name, value)), None)

    def _zone(self, fqdn: str) -> str:
        """The nearest one above. A name that is refused is asked for again instead of the one above it."""
        labels, refused = fqdn.rstrip(".").split("."), ""
        at = 0
        for _ in labels:
            try:
                found = self._ask("GET", f"/zones?name={'.'.join(labels[at:])}")
            except ProviderError as error:
                refused = str(error)
                continue
            refused = ""
            if found:
                return str(found[0]["id"])
            at += 1
        if refused:
            raise ProviderError(f"while attempting to find Zones for domain {fqdn}\n{refused}")
        raise ProviderError(
            f"Found no Zones for domain {fqdn} (neither in the sub-domain nor in the SLD) please make sure your "
            "domain-entries in the config are correct and the API key is correctly setup with Zone.read rights."
        )

    def _ask(self, method: str, uri: str, body: dict[str, Any] | None = None) -> Any:
        path, _, query = uri.partition("?")
        request = cloudflare.Request(method, path, query, self.token, body or {})
        _, answer = cloudflare.respond(self.lab, request)
        if answer["success"]:
            return answer["result"]
        errors = "".join(_text_of(error) for error in answer["errors"])
        raise ProviderError(f'while querying the Cloudflare API for {method} "{uri}" \n{errors}')


def _text_of(error: dict[str, Any]) -> str:
    below = "".join(f"<- {e['code']}: {e['message']}" for e in error.get("error_chain") or ())
    return f"\t Error: {error['code']}: {error['message']}{below}"


def _knows_its_zone(version: str) -> bool:
    major, minor, patch = (int(part) for part in version.removeprefix("v").split("-")[0].split("."))
    return (major, minor) >= (1, 18) or patch >= _FIXED_IN.get((major, minor), patch + 1)
