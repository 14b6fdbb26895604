"""A survey that answers as it is told, for the tests of config: no service of the host is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from danelaw.errors import Unsuited
from danelaw.model import FileSpec, KeyAlgorithm, Service, ServiceSetup

Asked = tuple[str, tuple[str, ...], KeyAlgorithm, bool]


@dataclass
class ToldSurvey:
    """Answers by service; what has none is unsuited. ``asked`` are the questions, in order."""

    answers: dict[str, ServiceSetup]
    asked: list[Asked] = field(default_factory=list)

    def look(
        self, service: str, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        self.asked.append((service, tuple(names), algorithm, has_files))
        if service not in self.answers:
            raise Unsuited(f"a {service} that is not told of", "one that is")
        return self.answers[service]


def pair(certificate: str, key: str) -> tuple[FileSpec, ...]:
    return (FileSpec(certificate, ("cert", "chain")), FileSpec(key, ("key",)))


POSTFIX = ServiceSetup(
    Service("postfix", ("postfix", "check"), ("postfix", "reload")),
    pair("/srv/tls/mail.pem", "/srv/tls/mail.key"),
    ((25, "smtp"), (465, "smtps"), (587, "smtp")),
    ("mail.example.org",),
)
DOVECOT = ServiceSetup(
    Service("dovecot", ("doveconf", "-n"), ("doveadm", "reload")),
    pair("/srv/tls/mail.pem", "/srv/tls/mail.key"),
    ((143, "imap"), (993, "imaps")),
)
COURIER = ServiceSetup(
    Service("courier-imap"),
    (FileSpec("/srv/tls/mail.pem", ("cert", "key", "chain"), 0o600, "courier"),),
    ((993, "imaps"),),
)
APACHE = ServiceSetup(
    Service("apache2", ("apache2ctl", "configtest"), ("apache2ctl", "graceful")),
    pair("/srv/tls/web.pem", "/srv/tls/web.key"),
    ((443, "https"),),
    ("www.example.org", "example.org", "elsewhere.example.net"),
)
