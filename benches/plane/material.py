"""Certificates for the measures of the data plane: an authority whose key is kept, a revocation list of 100,000 entries,
10,000 server certificates and as many clients. All P-256, as those of benches/compare."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

REVOKED = 100_000
HOSTS = 10_000
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


def host(number):
    return f"host-{number}.bench.local"


def write(folder):
    """Replaces what `floor material` wrote about certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench authority")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = common(name, name, key.public_key()).add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
    authority = authority.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False).sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(pem(authority))
    server = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    issue(folder, "server", server, ExtendedKeyUsageOID.SERVER_AUTH, authority, key)
    (folder / "server.both.pem").write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
    issue(folder, "client", [x509.UniformResourceIdentifier("spiffe://bench.local/client")], ExtendedKeyUsageOID.CLIENT_AUTH, authority, key)
    revoke(folder, authority, key)
    for kind in ("hosts", "clients"):
        (folder / kind).mkdir()
    for number in range(HOSTS):
        issue(folder / "hosts", str(number), [x509.DNSName(host(number))], ExtendedKeyUsageOID.SERVER_AUTH, authority, key)
        identity = [x509.UniformResourceIdentifier(f"spiffe://bench.local/client-{number}")]
        issue(folder / "clients", str(number), identity, ExtendedKeyUsageOID.CLIENT_AUTH, authority, key)


def common(subject, issuer, public):
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - DAY).not_valid_after(NOW + 30 * DAY)


def issue(folder, name, names, purpose, authority, signer):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = common(subject, authority.subject, key.public_key())
    for extension in (x509.SubjectAlternativeName(names), x509.ExtendedKeyUsage([purpose])):
        made = made.add_extension(extension, False)
    # What an X.509-SVID must say.
    made = made.add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False).sign(signer, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(pem(made))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(private)


def revoke(folder, authority, signer):
    entries = [x509.RevokedCertificateBuilder(serial, NOW - DAY).build() for serial in (x509.random_serial_number() for _ in range(REVOKED))]
    extensions = [x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(1)),
                  x509.Extension(x509.AuthorityKeyIdentifier.oid, False, x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()))]
    revoked = x509.CertificateRevocationListBuilder(authority.subject, NOW - DAY, NOW + 30 * DAY, extensions, entries)
    (folder / "revoked.pem").write_bytes(pem(revoked.sign(signer, hashes.SHA256())))


def pem(made):
    return made.public_bytes(serialization.Encoding.PEM)
