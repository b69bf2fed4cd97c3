"""A mail server that demands STARTTLS and AUTH, and certificates that nobody has signed."""

import asyncio
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

with warnings.catch_warnings():
    # aiosmtpd 1.4 imports what Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

MAIL_PASSWORD = "FAKE-mail-password-0001"


def certificate(folder: Path, name: str, days: int = 2) -> Path:
    """A self-signed certificate and its key, for `name` and 127.0.0.1; with negative `days` it expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    # two of one subject would be taken for one another
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} for {days} days")])
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / (f"{name}.pem" if days > 0 else f"{name}-expired.pem")
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem


def server_tls(pem: Path) -> ssl.SSLContext:
    """A server's context with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


class MailServer(Protocol):
    """Hands the mails of those who know the password to `took`."""

    port: int = 0

    def took(self, mail: EmailMessage) -> bool:
        """Keep a mail; False refuses it for now."""

    def url(self, password: str = MAIL_PASSWORD) -> str:
        """Its address as a channel's."""
        return (
            f"mailtos://alerts:{password}@127.0.0.1:{self.port}"
            "?from=monitor@acme.example&to=ops@acme.example&verify=no&mode=starttls"
        )

    async def listen(self, tls: ssl.SSLContext) -> asyncio.Server:
        """Start it on a free port."""
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(
                self, hostname="mail.example", tls_context=tls, require_starttls=True,
                auth_required=True, authenticator=self._authenticate,
            ),
            "127.0.0.1", 0,
        )  # fmt: skip
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """What aiosmtpd calls with a mail."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        return "250 taken" if self.took(mail) else "451 later"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, how: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=data.password.decode() == MAIL_PASSWORD, handled=False)


def text_of(mail: EmailMessage) -> str:
    """A mail's subject and plain text."""
    body = mail.get_body(("plain",))
    assert body is not None
    return f"{mail['Subject']}\n{body.get_content()}"
