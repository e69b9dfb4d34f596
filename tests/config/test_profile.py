"""The embedded profile: secrets drawn once, ports that follow from PORT."""

import base64
import shlex
import socket
import stat
import subprocess
from dataclasses import astuple
from pathlib import Path

import pytest

from config.embedded import Urls
from config.profile import Places, Ports, environment, of_children

URLS = Urls(owner="postgresql://owner", app="postgresql://app", superuser="postgresql://root")


def test_secrets_are_drawn_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    first = environment(Places(tmp_path), Ports.following("8000"), URLS)
    second = environment(Places(tmp_path), Ports.following("8000"), URLS)
    assert first == second
    assert stat.S_IMODE(Places(tmp_path).environment.stat().st_mode) == 0o600
    assert len({first[name] for name in ("SECRET_KEY", "AO_MASTER_KEYS", "AO_VERP_KEYS")}) == 3
    assert len(base64.urlsafe_b64decode(first["AO_MASTER_KEYS"])) == 32


def test_another_port_moves_addresses_and_keeps_secrets(tmp_path: Path) -> None:
    first = environment(Places(tmp_path), Ports.following("8000"), URLS)
    moved = environment(Places(tmp_path), Ports.following("8100"), URLS)
    assert moved["PUBLIC_URL"] == "http://127.0.0.1:8100"
    assert moved["AO_NAMESERVERS"] != first["AO_NAMESERVERS"]
    assert moved["SECRET_KEY"] == first["SECRET_KEY"]


def test_the_file_says_what_the_environment_says_and_no_superuser(tmp_path: Path) -> None:
    said = environment(Places(tmp_path), Ports.following("8000"), URLS)
    text = Places(tmp_path).environment.read_text()
    assert text == "".join(f"export {name}={shlex.quote(value)}\n" for name, value in said.items())
    assert URLS.superuser not in text


@pytest.mark.parametrize("other", [8001, 8002, 8080, 8100, 9000, 8010])
def test_checkouts_on_different_ports_share_none(other: int) -> None:
    assert not set(astuple(Ports.following("8000"))) & set(astuple(Ports.following(str(other))))


@pytest.mark.parametrize("web", [1024, 8000, 11_099, 65_535])
def test_what_follows_stays_below_the_ports_kernels_hand_to_clients(web: int) -> None:
    assert all(10_000 <= port < 32_768 for port in astuple(Ports.following(str(web)))[1:])


@pytest.mark.parametrize("port", ["", "x", "0", "80", "1023", "65536", "-1", "8000.5"])
def test_a_port_an_ordinary_user_may_not_open_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match="PORT"):
        Ports.following(port)


def test_a_port_somebody_listens_on_is_found(unused_port: int) -> None:
    ports = Ports.following(str(unused_port))
    assert unused_port not in ports.taken()
    with socket.create_server(("127.0.0.1", unused_port)):
        assert unused_port in ports.taken()


def test_children_find_this_virtual_environment_first() -> None:
    assert of_children({"A": "1"}, Path("/venv/bin/python"))["PATH"].startswith("/venv/bin:")


def test_a_shell_that_reads_the_environment_file_has_what_it_says(tmp_path: Path) -> None:
    said = environment(Places(tmp_path), Ports.following("8000"), URLS)
    shell = ["/bin/sh", "-c", f". {Places(tmp_path).environment}; env -0"]
    found = subprocess.run(shell, env={}, capture_output=True, check=True, text=True).stdout.split("\0")
    assert {f"{name}={value}" for name, value in said.items()} <= set(found)
