"""Sites with many certificates and nothing due: danelaw's, and the same for certbot."""

from datetime import timedelta
from pathlib import Path

from danelaw.config import load
from danelaw.run.system import SystemClock
from danelaw.store import SqliteStore
from danelaw.store.agenda import store_path, sure_stat
from world.pki import Authority


def danelaw_site(folder: Path, count: int) -> Path:
    """Make a site of ``count`` certificates that was looked at just now; return its config."""
    text = f"""state_dir = "{folder}/state"
[acme.letsencrypt]
directory = "letsencrypt"
agree_tos = true
[dns.home]
type = "rfc2136"
"""
    for number in range(count):
        name = f"host{number}.example.org"
        path = folder / "live" / f"{name}.pem"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a deployed file\n")
        path.chmod(0o600)
        text += f"""
[certificate."{name}"]
names = ["{name}"]
http01 = {{ webroot = "/var/www/html" }}
[[certificate."{name}".tlsa]]
ports = [25]
records = ["3 1 1"]
[[certificate."{name}".deploy]]
combined = {{ path = "{path}", parts = ["key", "cert", "chain"] }}
reload = ["true"]
prove = ["{name}:25"]
"""
    path = folder / "danelaw.toml"
    path.write_text(text)
    config = load(str(path))
    clock = SystemClock()
    store = SqliteStore(store_path(config.state_dir), clock, "bench")
    now = clock.now()
    later = now + timedelta(hours=1)  # none of the files is so young that its times could hide a change
    files = [file.path for spec in config.desired.certificates for d in spec.deployments for file in d.files]
    store.set_agenda(
        config.digest,
        now + timedelta(days=1),
        now,
        [sure_stat(file, later) for file in files],
        [sure_stat(file, later) for file in config.files],
    )
    store.close()
    return path


def certbot_site(folder: Path, count: int) -> Path:
    """Make certbot's folders with ``count`` lineages that are not due; return the config folder."""
    authority = Authority("bench")
    identity = authority.issue(["example.org"], left=timedelta(days=80))
    for number in range(count):
        name = f"host{number}.example.org"
        archive, live = folder / "archive" / name, folder / "live" / name
        archive.mkdir(parents=True)
        live.mkdir(parents=True)
        for part, data in (
            ("cert", identity.leaf_pem),
            ("chain", identity.issuer_pem),
            ("fullchain", identity.fullchain_pem),
            ("privkey", identity.key_pem),
        ):
            (archive / f"{part}1.pem").write_bytes(data)
            (live / f"{part}.pem").symlink_to(f"../../archive/{name}/{part}1.pem")
        renewal = folder / "renewal" / f"{name}.conf"
        renewal.parent.mkdir(exist_ok=True)
        lines = [f"{part} = {live}/{part}.pem" for part in ("cert", "privkey", "chain", "fullchain")]
        renewal.write_text(
            "\n".join(
                [
                    "version = 5.0.0",
                    f"archive_dir = {archive}",
                    *lines,
                    "[renewalparams]",
                    "account = none",
                    "authenticator = webroot",
                    "webroot_path = /var/www/html,",
                    "server = https://127.0.0.1:1/dir",
                    "key_type = ecdsa",
                    "",
                ]
            )
        )
    return folder
