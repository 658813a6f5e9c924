"""What cert-manager's definitions say of issuers and certificates; the rest, which it alone writes, is left open.

Source: cert-manager/cert-manager@v1.20.3 deploy/crds/cert-manager.io_certificates.yaml
Source: cert-manager/cert-manager@v1.20.3 deploy/crds/cert-manager.io_clusterissuers.yaml
"""

from __future__ import annotations

from tasks.lab.schemas import ANYTHING, FLAG, NUMBER, TEXT, TEXT_MAP, TEXTS, each, one_of, struct, whole
from thinkube_nornir.lab.kube import Object

_KEY = struct("name", name=TEXT, key=TEXT)
_NAMES = struct(dnsDomains=TEXTS, emailAddresses=TEXTS, ipRanges=TEXTS, uriDomains=TEXTS)
_PKCS12 = one_of("LegacyRC2", "LegacyDES", "Modern2023")
_KEYSTORES = struct(
    jks=struct("create", alias=TEXT, create=FLAG, password=TEXT, passwordSecretRef=_KEY),
    pkcs12=struct("create", create=FLAG, password=TEXT, passwordSecretRef=_KEY, profile=_PKCS12),
)
_USAGES = one_of(
    *("signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment"),
    *("cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing"),
    *("email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing"),
    *("microsoft sgc", "netscape sgc"),
)
_SIGNATURES = one_of(
    *("SHA256WithRSA", "SHA384WithRSA", "SHA512WithRSA"),
    *("ECDSAWithSHA256", "ECDSAWithSHA384", "ECDSAWithSHA512", "PureEd25519"),
)
_SUBJECT = struct(
    countries=TEXTS,
    localities=TEXTS,
    organizationalUnits=TEXTS,
    organizations=TEXTS,
    postalCodes=TEXTS,
    provinces=TEXTS,
    serialNumber=TEXT,
    streetAddresses=TEXTS,
)
_CERTIFICATE = struct(
    "issuerRef",
    "secretName",
    additionalOutputFormats=each(struct("type", type=one_of("DER", "CombinedPEM"))),
    commonName=TEXT,
    dnsNames=TEXTS,
    duration=TEXT,
    emailAddresses=TEXTS,
    encodeUsagesInRequest=FLAG,
    ipAddresses=TEXTS,
    isCA=FLAG,
    issuerRef=struct("name", group=TEXT, kind=TEXT, name=TEXT),
    keystores=_KEYSTORES,
    literalSubject=TEXT,
    nameConstraints=struct(critical=FLAG, excluded=_NAMES, permitted=_NAMES),
    otherNames=each(struct(oid=TEXT, utf8Value=TEXT)),
    privateKey=struct(
        algorithm=one_of("RSA", "ECDSA", "Ed25519"),
        encoding=one_of("PKCS1", "PKCS8"),
        rotationPolicy=one_of("Never", "Always"),
        size=NUMBER,
    ),
    renewBefore=TEXT,
    renewBeforePercentage=NUMBER,
    revisionHistoryLimit=NUMBER,
    secretName=TEXT,
    secretTemplate=struct(annotations=TEXT_MAP, labels=TEXT_MAP),
    signatureAlgorithm=_SIGNATURES,
    subject=_SUBJECT,
    uris=TEXTS,
    usages=each(_USAGES),
)
_OTHER_DNS = ("acmeDNS", "akamai", "azureDNS", "cloudDNS", "digitalocean", "rfc2136", "route53", "webhook")
_DNS01 = struct(
    cloudflare=struct(apiKeySecretRef=_KEY, apiTokenSecretRef=_KEY, email=TEXT),
    cnameStrategy=one_of("None", "Follow"),
    **dict.fromkeys(_OTHER_DNS, ANYTHING),
)
_SOLVER = struct(dns01=_DNS01, http01=ANYTHING, selector=struct(dnsNames=TEXTS, dnsZones=TEXTS, matchLabels=TEXT_MAP))
_ACME = struct(
    "privateKeySecretRef",
    "server",
    caBundle=TEXT,
    disableAccountKeyGeneration=FLAG,
    email=TEXT,
    enableDurationFeature=FLAG,
    externalAccountBinding=ANYTHING,
    preferredChain=TEXT,
    privateKeySecretRef=_KEY,
    profile=TEXT,
    server=TEXT,
    skipTLSVerify=FLAG,
    solvers=each(_SOLVER),
)
_CA = struct(
    "secretName", crlDistributionPoints=TEXTS, issuingCertificateURLs=TEXTS, ocspServers=TEXTS, secretName=TEXT
)
_ISSUER = struct(acme=_ACME, ca=_CA, selfSigned=struct(crlDistributionPoints=TEXTS), vault=ANYTHING, venafi=ANYTHING)
SCHEMAS: dict[str, Object] = {
    "Certificate": whole(_CERTIFICATE),
    "ClusterIssuer": whole(_ISSUER, "spec"),
    "Issuer": whole(_ISSUER, "spec"),
}
