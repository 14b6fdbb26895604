"""The world itself: what everything else that uses it may rely on."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from world import ALL, ServiceName, World, WorldError, layout, make_private_key, wait_until
from world.keeper import processes
from world.services import Service

pytestmark = pytest.mark.world

TLSA = f"3 1 1 {'ab' * 32}"
OTHER_TLSA = f"3 1 1 {'cd' * 32}"
TESTS = Path(__file__).parent.parent


def shell(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def flags(answer: str) -> set[str]:
    found = re.search(r";; flags: ([a-z ]+);", answer)
    assert found, answer
    return set(found[1].split())


def presented(endpoint: str, *options: str) -> bytes:
    """Return the leaf that `openssl s_client` sees, PEM."""
    text = shell("openssl", "s_client", "-connect", endpoint, "-servername", "mail.example.test", *options)
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.DOTALL)
    assert found, text
    return found[0].encode()


ENDPOINTS = [
    *((f"{address}:{port}", ("-starttls", "smtp")) for address in layout.MAIL for port in (25, 587)),
    *((f"{address}:{port}", ()) for address in layout.MAIL for port in (465, 993, 995)),
    (f"{layout.MAIL[0]}:143", ("-starttls", "imap")),
    (f"{layout.MAIL[0]}:110", ("-starttls", "pop3")),
    (f"{layout.WEB}:443", ()),
]


# -- DNS ---------------------------------------------------------------------------------------------------------------


def test_a_signed_zone_is_secure(world: World) -> None:
    answer = world.dig("mail.example.test", "A", "+dnssec")
    assert "ad" in flags(answer)
    assert "RRSIG" in answer
    assert all(address in answer for address in layout.MAIL)


def test_an_unsigned_zone_is_insecure(world: World) -> None:
    answer = world.dig("mail.unsigned.test", "A")
    assert "ad" not in flags(answer)
    assert layout.MAIL[0] in answer


@pytest.mark.parametrize("zone", ["bogus.test", "expired.test"])
def test_a_bogus_zone_fails_for_who_validates_only(world: World, zone: str) -> None:
    assert "SERVFAIL" in world.dig(f"mail.{zone}", "A")
    assert layout.MAIL[0] in world.dig(f"mail.{zone}", "A", "+cdflag", "+short")


def test_an_expired_zone_says_so(world: World) -> None:
    world.resolver.flush("test")  # it gives the whole reason the first time only
    assert "Signature Expired" in world.dig("mail.expired.test", "A")
    assert "Signature Expired" not in world.dig("mail.bogus.test", "A")


def test_a_missing_name_is_securely_missing(world: World) -> None:
    answer = world.dig("missing.example.test", "A")
    assert "NXDOMAIN" in answer
    assert "ad" in flags(answer)


def test_delv_validates_from_the_trust_anchor(world: World) -> None:
    delv = ("delv", f"@{layout.RESOLVER}", "-a", str(world.bind_keys))
    assert "; fully validated" in shell(*delv, "mail.example.test", "A")
    assert "; unsigned answer" in shell(*delv, "mail.unsigned.test", "A")
    assert "resolution failed" in shell(*delv, "mail.bogus.test", "A")


@pytest.mark.usefixtures("world")
def test_libc_asks_the_world() -> None:
    assert layout.WEB in shell("getent", "ahostsv4", "www.example.test")


def test_parents_and_children_are_served_by_different_servers(world: World) -> None:
    referral = world.dig("mail.example.test", "A", "+norecurse", server=layout.TEST_NS)
    assert "aa" not in flags(referral)
    assert layout.NS1 in referral
    assert "REFUSED" in world.dig("test", "SOA", server=layout.NS1)


def test_both_authoritative_servers_answer(world: World) -> None:
    for server in layout.NS1, layout.NS2:
        assert "aa" in flags(world.dig("example.test", "SOA", server=server))
    assert world.serial() == world.serial(server=layout.NS2)


def test_wildcard_and_alias(world: World) -> None:
    assert layout.MAIL[0] in world.dig("any.wild.example.test", "A", "+short")
    assert "_25._tcp.mail.example.test." in world.dig("_25._tcp.alias.example.test", "TLSA", "+short")


def test_a_new_zone_is_there_at_once_though_it_was_missing_before(world: World) -> None:
    assert "NXDOMAIN" in world.dig("mail.new.test", "A")
    world.zone("new.test", mail=["127.25.1.1"])
    answer = world.dig("mail.new.test", "A")
    assert "ad" in flags(answer)
    assert "127.25.1.1" in answer


def test_an_update_reaches_the_secondary(world: World) -> None:
    zone = world.zone("reaches.test").name
    before = world.serial(zone)
    owner = f"_25._tcp.mail.{zone}"
    world.publish(owner, [TLSA, OTHER_TLSA], ttl=7)
    for server in layout.NS1, layout.NS2, layout.RESOLVER:
        answer = world.dig(owner, "TLSA", server=server)
        assert len(re.findall(r"\s[67]\s+IN\s+TLSA\s", answer)) == 2, answer
    assert before is not None
    assert world.serial(zone, layout.NS2) == world.serial(zone) != before
    world.publish(owner, [])
    assert "NXDOMAIN" in world.dig(owner, "TLSA", server=layout.NS2)


@pytest.mark.parametrize("algorithm", ["hmac-md5", "hmac-sha1", "hmac-sha256", "hmac-sha512"])
def test_every_form_of_every_key_updates(world: World, algorithm: str) -> None:
    zone = world.zone(f"{algorithm}.test").name
    key = world.keys[algorithm]
    for number, form in enumerate((key.clause, key.private, key.pair)):
        world.update(f"add t{number}.{zone}. 5 TXT {number}", zone=zone, key=form)
        assert f'"{number}"' in world.dig(f"t{number}.{zone}", "TXT", server=layout.NS2)


def test_a_key_without_rights_is_refused(world: World) -> None:
    with pytest.raises(WorldError, match="REFUSED"):
        world.update("add t.example.test. 5 TXT no", key=world.stranger_key.clause)


def test_a_frozen_secondary_keeps_its_content_and_thaws(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"bind", "knot", "unbound"})
    owner = "_25._tcp.mail.example.test"
    world.publish(owner, [TLSA])
    world.secondary.freeze()
    world.publish(owner, [OTHER_TLSA])
    assert "CDCD" in world.dig(owner, "TLSA", server=layout.NS1)
    assert "ABAB" in world.dig(owner, "TLSA", server=layout.NS2)
    notified = f"[example.test.] notify, incoming, remote {layout.NS1}"
    wait_until(lambda: world.secondary.log.read_text().count(notified) >= 2, "no NOTIFY", world.secondary.last_words)
    assert not world.secondary.in_step("example.test")
    world.secondary.thaw()
    world.settle()
    assert "CDCD" in world.dig(owner, "TLSA", server=layout.NS2)


def test_a_lagging_secondary_is_late_each_time(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"bind", "knot"})
    world.secondary.lag(1.5)
    for serials in range(2):
        world.update(f"add t{serials}.example.test. 5 TXT late")
        assert not world.secondary.in_step("example.test")
        wait_until(lambda: world.secondary.in_step("example.test"), "the secondary stays behind")
    world.secondary.thaw()
    world.update("add t.example.test. 5 TXT soon")
    assert world.secondary.in_step("example.test")


def test_a_dead_secondary_comes_back_and_catches_up(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"bind", "knot"})
    world.secondary.stop()
    world.publish("_25._tcp.mail.example.test", [TLSA])
    assert world.serial(server=layout.NS2) is None
    world.secondary.start()
    world.settle()
    assert "ABAB" in world.dig("_25._tcp.mail.example.test", "TLSA", server=layout.NS2)


def test_a_paused_server_is_silent(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"bind"})
    world.primary.pause()
    with pytest.raises(WorldError, match=r"timed out|no servers could be reached"):
        world.dig("example.test", "SOA", "+time=1", "+tries=1", server=layout.NS1)
    world.primary.resume()
    assert world.serial() is not None


# -- services ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("endpoint", "options"), ENDPOINTS)
def test_services_present_the_initial_certificate(world: World, endpoint: str, options: tuple[str, ...]) -> None:
    assert presented(endpoint, *options) == world.initial.leaf_pem


def test_services_present_another_certificate_after_a_reload(world: World) -> None:
    other = world.old_ca.issue(layout.NAMES)
    samples = [ENDPOINTS[0], (f"{layout.MAIL[1]}:993", ()), (f"{layout.WEB}:443", ())]

    def all_present(leaf_pem: bytes) -> bool:
        return all(presented(endpoint, *options) == leaf_pem for endpoint, options in samples)

    assert not all_present(other.leaf_pem)
    try:
        world.present(other)
        wait_until(lambda: all_present(other.leaf_pem), "some service does not present the new certificate")
    finally:
        world.reset()
    wait_until(lambda: all_present(world.initial.leaf_pem), "some service does not present the old certificate again")


def test_services_pass_their_config_tests_and_fail_them_when_broken(world: World) -> None:
    configs = {
        world.postfix: world.postfix.config_dir / "main.cf",
        world.dovecot: world.dovecot.config,
        world.apache: world.apache.config,
    }
    for service, config in configs.items():
        assert subprocess.run(service.test, capture_output=True, check=False).returncode == 0, service.name
        content = config.read_text()
        try:
            config.write_text(f"{content}\nnonsense\n")
            assert subprocess.run(service.test, capture_output=True, check=False).returncode != 0, service.name
        finally:
            config.write_text(content)


@pytest.mark.parametrize("name", ["apache", "postfix", "dovecot", "courier", "nginx"])
def test_services_stop_and_start_by_plain_commands(fresh_world: Callable[..., World], name: ServiceName) -> None:
    (service,) = fresh_world({name}, key_type="p256").servers
    assert isinstance(service, Service)
    subprocess.run(service.stop_command, check=True, timeout=20)
    wait_until(lambda: not service.listening(), f"{name} goes on")
    subprocess.run(service.start_command, check=True, timeout=20)
    wait_until(service.ready, f"{name} does not come back", service.last_words)
    service.stop()
    assert not service.listening()
    service.start()
    assert service.listening()


def test_plain_commands_mean_the_worlds_own_services(world: World) -> None:
    assert shell("postconf", "-h", "queue_directory").strip() == str(world.postfix.folder / "queue")
    assert str(world.dovecot.log) in shell("doveconf", "-n")
    assert "example.test (/etc/apache2/sites-enabled/example_test.conf:1)" in shell("apache2ctl", "-S")


def test_the_folders_of_the_host_are_private() -> None:
    outside = os.open("/", os.O_PATH)
    try:
        with World(set()):
            for folder in "/etc/danelaw", "/var/lib/danelaw", "/run", "/srv":
                left = Path(folder, "left-by-a-test")
                left.touch()
                with pytest.raises(FileNotFoundError):
                    os.stat(str(left)[1:], dir_fd=outside)
            assert os.stat("etc/passwd", dir_fd=outside).st_size == Path("/etc/passwd").stat().st_size
            assert not Path("/run/systemd").exists()
    finally:
        os.close(outside)


def test_courier_presents_what_its_file_holds_at_each_connection(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"courier", "dovecot"}, key_type="p256")
    ends = [(143, ("-starttls", "imap")), (993, ()), (110, ("-starttls", "pop3")), (995, ())]
    other = world.old_ca.issue(layout.NAMES)
    for identity in world.initial, other:
        world.courier.install(identity)
        assert [presented(f"{layout.COURIER}:{port}", *how) for port, how in ends] == [identity.leaf_pem] * 4
    assert presented(f"{layout.MAIL[0]}:993") == world.initial.leaf_pem  # Dovecot beside it has its own
    assert subprocess.run(world.courier.test, check=False).returncode == 0
    world.courier.combined.write_text("nonsense")
    assert subprocess.run(world.courier.test, capture_output=True, check=False).returncode != 0


def test_nginx_is_there_when_asked_for(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"nginx"}, key_type="p256")
    other = world.old_ca.issue(layout.NAMES)
    assert presented(f"{layout.NGINX}:443") == world.initial.leaf_pem
    world.present(other)
    wait_until(lambda: presented(f"{layout.NGINX}:443") == other.leaf_pem, "nginx presents the old certificate")
    assert subprocess.run(world.nginx.test, check=False).returncode == 0
    world.nginx.site.write_text("nonsense")
    assert subprocess.run(world.nginx.test, capture_output=True, check=False).returncode != 0


def test_rsa_and_ecdsa_beside_each_other(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"postfix", "dovecot", "apache", "nginx"}, key_type="p256")
    rsa, ecdsa = world.old_ca.issue(layout.NAMES, make_private_key("rsa2048")), world.old_ca.issue(layout.NAMES)
    ends = [
        ENDPOINTS[0],
        *((place, ()) for place in (f"{layout.MAIL[0]}:993", f"{layout.WEB}:443", f"{layout.NGINX}:443")),
    ]
    only_rsa, only_ecdsa = ("-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"), ("-sigalgs", "ECDSA+SHA256")

    def all_present(leaf_pem: bytes, *options: str) -> bool:
        return all(presented(endpoint, *how, *options) == leaf_pem for endpoint, how in ends)

    world.present_both(rsa, ecdsa)
    wait_until(lambda: all_present(rsa.leaf_pem, *only_rsa), "some service does not present the RSA certificate")
    wait_until(lambda: all_present(ecdsa.leaf_pem, *only_ecdsa), "some service does not present the ECDSA certificate")
    assert all(subprocess.run(each.test, check=False).returncode == 0 for each in services(world))
    world.present(rsa)
    wait_until(lambda: all_present(rsa.leaf_pem), "some service still has an ECDSA certificate")
    assert not any(file.exists() for each in services(world) for file in each.ecdsa_files)


def services(world: World) -> list[Service]:
    return [server for server in world.servers if isinstance(server, Service)]


def test_another_machine_shares_the_mail_name(world: World) -> None:
    zone = world.zone("shared.test", mail=[layout.MAIL[0], layout.OTHER_MAIL]).name
    theirs = world.old_ca.issue([f"mail.{zone}"])
    smtp = ("-starttls", "smtp")
    with world.other_mail_host(theirs) as other:
        assert presented(f"{layout.OTHER_MAIL}:25", *smtp) == theirs.leaf_pem
        assert presented(f"{layout.MAIL[0]}:25", *smtp) == world.initial.leaf_pem
        renewed = world.old_ca.issue([f"mail.{zone}"])
        other.present(renewed)
        wait_until(lambda: presented(f"{layout.OTHER_MAIL}:25", *smtp) == renewed.leaf_pem, "it has not reloaded")
        assert presented(f"{layout.MAIL[0]}:25", *smtp) == world.initial.leaf_pem
    assert not other.listening()


def test_ipv6_where_a_zone_asks_for_it(world: World) -> None:
    zone = world.zone("six.test", ipv6=True).name
    for server in layout.SERVERS6.values():
        assert layout.MAIL6[0] in world.dig(f"mail.{zone}", "AAAA", "+short", server=server)
    assert "AAAA" not in world.dig("mail.example.test", "AAAA", "+noquestion", "+nocmd")
    for endpoint, options in (f"[{layout.MAIL6[0]}]:25", ("-starttls", "smtp")), (f"[{layout.MAIL6[1]}]:993", ()):
        assert presented(endpoint, *options) == world.initial.leaf_pem
    assert presented(f"[{layout.WEB6}]:443") == world.initial.leaf_pem


def test_posttls_finger_sees_good_and_bad_records(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = world.zone("finger.test").name
    owner = f"_25._tcp.mail.{zone}"
    finger = ("posttls-finger", "-c", "-l", "dane", "-t", "5", f"mail.{zone}")
    world.publish(owner, [world.initial.tlsa(0)])
    monkeypatch.setenv("MAIL_CONFIG", world.env["MAIL_CONFIG"])
    assert "Verified TLS connection established" in shell(*finger)
    world.publish(owner, [TLSA])
    world.resolver.flush(zone)
    assert "Verified" not in shell(*finger)


def test_pebble_answers(world: World) -> None:
    assert b"newOrder" in world.pebble.get(world.pebble.directory)
    assert b"BEGIN CERTIFICATE" in world.pebble.roots()


def order(world: World, name: str, *, answered: bool) -> str:
    """Order a certificate by http-01 with certbot's library; return the chain. Raises where the CA finds no answer."""
    account = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    net = client.ClientNetwork(account, alg=ES256)
    directory = client.ClientV2.get_directory(world.pebble.directory, net)
    acme = client.ClientV2(directory, net)
    acme.new_account(messages.NewRegistration(terms_of_service_agreed=True))
    key_pem = world.old_ca.issue([name]).key_pem
    placed = acme.new_order(crypto_util.make_csr(key_pem, [name]))
    (challenge,) = [
        body for body in placed.authorizations[0].body.challenges if isinstance(body.chall, challenges.HTTP01)
    ]
    response, validation = challenge.response_and_validation(account)
    answer = world.apache.webroot / challenge.chall.path.lstrip("/")
    answer.parent.mkdir(parents=True, exist_ok=True)
    if answered:
        answer.write_text(validation)
    acme.answer_challenge(challenge, response)
    return str(acme.poll_and_finalize(placed).fullchain_pem)


def test_pebble_validates_for_real(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(world.pebble.ca_bundle))
    zone = world.zone("validated.test").name
    assert "BEGIN CERTIFICATE" in order(world, f"www.{zone}", answered=True)
    with pytest.raises(errors.ValidationError):
        order(world, f"blog.{zone}", answered=False)


def test_pebble_validates_over_ipv6(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(world.pebble.ca_bundle))
    zone = world.zone("six-only.test", web=[layout.WEB6]).name
    assert "BEGIN CERTIFICATE" in order(world, f"www.{zone}", answered=True)
    nowhere = world.zone("six-nowhere.test", web=["fd00:80::2"]).name
    with pytest.raises(errors.ValidationError):
        order(world, f"www.{nowhere}", answered=True)


def test_pebbles_resolver_remembers_nothing(world: World) -> None:
    zone = world.zone("remembers.test").name
    missing = f"late.{zone}"
    assert "NXDOMAIN" in world.dig(missing, "A", server=layout.CA_RESOLVER)
    world.update(f"add {missing}. 60 A {layout.WEB}", zone=zone)
    assert layout.WEB in world.dig(missing, "A", server=layout.CA_RESOLVER)


# -- the world as a whole ----------------------------------------------------------------------------------------------


def test_it_says_that_it_needs_root() -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(WorldError, match="root"), World():
            pass
    finally:
        os.seteuid(0)


def test_only_what_is_asked_for_starts(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"unbound"})
    assert [server.name for server in world.servers] == ["resolver"]


def test_a_world_within_a_world_and_out_again(world: World) -> None:
    outside = world.serial()
    with World({"bind"}) as inner:
        inner.update("add t.example.test. 5 TXT inner")
        assert "inner" in inner.dig("t.example.test", "TXT", server=layout.NS1)
        folder, network = inner.folder, inner.namespace.network
    assert "inner" not in world.dig("t.example.test", "TXT", server=layout.NS1)
    assert world.serial() == outside
    assert not folder.exists()
    assert processes(network) == []


def test_all_is_ended_also_what_was_started_by_commands() -> None:
    here = Path("/proc/thread-self/ns/net").readlink()
    with World(ALL, key_type="p256") as world:
        subprocess.run(world.apache.stop_command, check=True)
        wait_until(lambda: not world.apache.listening(), "Apache goes on")
        subprocess.run(world.apache.start_command, check=True)
        network = world.namespace.network
        assert len(processes(network)) > len(world.servers)
    assert processes(network) == []
    assert Path("/proc/thread-self/ns/net").readlink() == here


def test_a_server_that_cannot_start_shows_its_log(fresh_world: Callable[..., World]) -> None:
    world = fresh_world({"bind"})
    world.primary.stop()
    world.primary.policy.write_text("nonsense;\n")
    with pytest.raises(WorldError, match=r"(?s)primary ended as it started.*unknown option"):
        world.primary.start()


COMMAND = [sys.executable, "-m", "world"]


def test_two_worlds_beside_each_other() -> None:
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    script = "dig +short @127.53.1.1 mail.example.test; echo $WORLD; read wait; ps -e"
    worlds = [
        subprocess.Popen(
            [*COMMAND, "up", "--only", "bind", "--", "sh", "-c", script],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    folders = set()
    for one in worlds:  # both are up before the first goes on
        assert one.stdout is not None
        assert {one.stdout.readline().strip() for _ in layout.MAIL} == set(layout.MAIL)
        folders.add(one.stdout.readline())
    for one in worlds:
        output, _ = one.communicate("\n", timeout=20)
        assert output.count("named") == 2
        assert one.returncode == 0
    assert len(folders) == 2
    assert not any(Path(folder.strip()).exists() for folder in folders)


def test_up_passes_the_commands_status_on() -> None:
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    argv = [*COMMAND, "up", "--only", "unbound", "--", "sh", "-c", "exit 7"]
    assert subprocess.run(argv, env=env, check=False, timeout=20).returncode == 7


def test_up_shell_and_down() -> None:
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    named = [*COMMAND, "--name", f"test-{os.getpid()}"]
    nobody = subprocess.run([*named, "shell"], env=env, capture_output=True, text=True, check=False, timeout=20)
    assert nobody.returncode == 1
    assert "no world" in nobody.stderr
    argv = [*named, "up", "--only", "bind,unbound"]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        while not up.stdout.readline().startswith("Ctrl-C"):
            assert up.poll() is None
        script = "dig +short MX example.test; readlink /proc/self/ns/net"
        inside = subprocess.run(
            [*named, "shell", "--", "sh", "-c", script], env=env, capture_output=True, text=True, check=True, timeout=20
        ).stdout
        mx, network = inside.splitlines()
        assert mx == "10 mail.example.test."
        assert processes(network)
        subprocess.run([*named, "down"], env=env, check=True, timeout=20)
        assert up.wait(20) == 128 + 15
    assert processes(network) == []


def test_nothing_is_left_of_a_world_whose_owner_was_killed(tmp_path: Path) -> None:
    """And what was mounted in its folder, by mistake or not, is still there."""
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    (tmp_path / "precious").touch()
    program = (
        "import sys; from pathlib import Path; from world import World; from world.namespace import bind_mount\n"
        "with World({'apache', 'bind', 'dovecot'}, key_type='p256') as world:\n"
        f"    (world.folder / 'mounted').mkdir(); bind_mount(Path({str(tmp_path)!r}), world.folder / 'mounted')\n"
        "    assert (world.folder / 'mounted' / 'precious').exists()\n"
        "    print(world.namespace.network, world.folder, flush=True); sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", program]
    owner = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    network, folder = owner.stdout.readline().split()
    assert len(processes(network)) > 3
    owner.kill()
    owner.communicate()
    wait_until(lambda: processes(network) == [], "processes are left")
    wait_until(lambda: not Path(folder).exists(), "the folder is left")
    assert (tmp_path / "precious").exists()


def test_the_key_in_use_is_of_the_type_asked_for() -> None:
    assert make_private_key("rsa2048").key_size == 2048
    assert make_private_key().key_size == 256
