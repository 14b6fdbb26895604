"""What services said when last asked stands in where a program fails, and only there."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from danelaw.deploy.services import RememberedSurvey
from danelaw.deploy.services.refusals import Unanswered
from danelaw.errors import Unsuited
from danelaw.model import FileSpec, KeyAlgorithm, Service, ServiceSetup

APACHE = ServiceSetup(
    Service("apache2", ("apache2ctl", "configtest"), ("apache2ctl", "graceful")),
    (FileSpec("/srv/tls.pem", ("cert", "chain"), 0o640, None, "ssl-cert"), FileSpec("/srv/tls.key", ("key",))),
    ((443, "https"),),
    ("www.example.org",),
    beside=("other.example.net",),
)
COURIER = ServiceSetup(Service("courier-imap"), (), ((993, "imaps"),))
NAMES = ("www.example.org", "example.org")


class Answers:
    """A survey that says what it is told to; an error is raised."""

    def __init__(self, *answers: ServiceSetup | Unsuited) -> None:
        self.answers = {("apache2", "courier-imap")[at]: each for at, each in enumerate(answers)}

    def look(
        self, service: str, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        del names, algorithm, has_files
        answer = self.answers[service]
        if isinstance(answer, Unsuited):
            raise answer
        return answer


BROKEN = Unanswered(
    "apache2ctl: exit status 1: Invalid command 'nonsense'", "a service whose configuration can be read"
)


def kept(path: Path, *answers: ServiceSetup | Unsuited) -> None:
    survey = RememberedSurvey(Answers(*answers), path)
    for service in ("apache2", "courier-imap")[: len(answers)]:
        survey.look(service, NAMES, "rsa")
    survey.keep()


def test_what_was_said_last_stands_in_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    kept(path, APACHE, COURIER)
    survey = RememberedSurvey(Answers(BROKEN, COURIER), path)
    found = survey.look("apache2", tuple(reversed(NAMES)), "rsa")
    (warning,) = found.warnings
    assert "Invalid command 'nonsense'" in warning
    assert replace(found, warnings=()) == APACHE
    assert survey.look("courier-imap", NAMES, "rsa") == COURIER
    survey.keep()  # the answer that stood in is not forgotten
    assert RememberedSurvey(Answers(BROKEN), path).look("apache2", NAMES, "rsa").files == APACHE.files


def test_what_was_never_said_does_not(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    with pytest.raises(Unanswered):
        RememberedSurvey(Answers(BROKEN), path).look("apache2", NAMES, "rsa")
    kept(path, APACHE)
    for names, algorithm in ((NAMES[:1], "rsa"), (NAMES, "ecdsa")):
        with pytest.raises(Unanswered):
            RememberedSurvey(Answers(BROKEN), path).look("apache2", names, algorithm)  # type: ignore[arg-type]


def test_a_service_that_answers_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    kept(path, APACHE)
    refusing = Unsuited("Debian's self-signed example", "a file of its own")
    with pytest.raises(Unsuited, match="self-signed"):
        RememberedSurvey(Answers(refusing), path).look("apache2", NAMES, "rsa")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"answers": {"x": {}}}', b'{"answers": 3}', b"\xff"])
def test_a_file_that_says_nothing_is_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "services.json"
    path.write_bytes(content)
    with pytest.raises(Unanswered):
        RememberedSurvey(Answers(BROKEN), path).look("apache2", NAMES, "rsa")
    kept(path, APACHE)
    assert RememberedSurvey(Answers(BROKEN), path).look("apache2", NAMES, "rsa").files == APACHE.files


def test_without_a_state_nothing_is_remembered(tmp_path: Path) -> None:
    survey = RememberedSurvey(Answers(APACHE), None)
    assert survey.look("apache2", NAMES, "rsa") == APACHE
    survey.keep()
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    kept(path, APACHE)
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_deploys_nothing_asks_only_what_was_never_said(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    kept(path, APACHE)
    refusing = Unsuited("Debian's self-signed example", "a file of its own")
    survey = RememberedSurvey(Answers(refusing, COURIER), path, prefers_last=True)
    assert survey.look("apache2", NAMES, "rsa") == APACHE
    assert survey.look("courier-imap", NAMES, "rsa") == COURIER
    with pytest.raises(Unsuited, match="self-signed"):
        survey.look("apache2", NAMES[:1], "rsa")


def test_what_cannot_be_kept_ends_no_run(tmp_path: Path) -> None:
    """What an interrupted run owes comes after this, and a full disk is no reason to leave a web server stopped."""
    (tmp_path / "file").write_text("")
    survey = RememberedSurvey(Answers(APACHE), tmp_path / "file/services.json")
    survey.look("apache2", NAMES, "rsa")
    assert survey.keep().endswith("what the services said is not remembered")
    kept(tmp_path / "services.json", APACHE)
    survey = RememberedSurvey(Answers(APACHE), tmp_path / "services.json")
    survey.look("apache2", NAMES, "rsa")
    assert survey.keep() == ""
