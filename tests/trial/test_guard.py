"""The guard: nothing that Python's sockets do leaves this machine."""

import socket
import subprocess
import sys

import pytest

from asynclog.trial import guard
from asynclog.trial.guard import Guard, split


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    (tmp_path / "hosts").write_text("127.0.1.1 mybox # me\n192.0.2.9 printer printer.lan\n\n# nothing\n")
    monkeypatch.setattr(guard, "_HOSTS_FILE", str(tmp_path / "hosts"))


@pytest.fixture
def sock():
    with socket.socket() as sock:
        yield sock


# Asked directly and not by an audit hook, which would stay in this process for ever.


@pytest.mark.parametrize(
    "address",
    [("127.0.0.1", 25), ("127.8.9.1", 25), ("localhost", 25), ("", 25), ("0.0.0.0", 25), ("mybox", 25)],
)
def test_this_machine_may_be_reached(address, hosts, sock):
    Guard()._hear("socket.connect", (sock, address))


@pytest.mark.parametrize(
    "address", [("192.0.2.1", 25), ("mail.example.com", 25), ("printer", 25), ("169.254.169.254", 80)]
)
def test_any_other_is_refused_and_counted(address, hosts, sock):
    one = Guard()
    for event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        with pytest.raises(ConnectionRefusedError, match="--allow"):
            one._hear(event, (sock, address))
    assert one.refused == {f"{address[0]}:{address[1]}": 3}


def test_ipv6_is_no_way_round(hosts):
    with socket.socket(socket.AF_INET6) as sock:
        one = Guard()
        one._hear("socket.connect", (sock, ("::1", 25, 0, 0)))
        one._hear("socket.connect", (sock, ("::ffff:127.0.0.1", 25, 0, 0)))
        for host in ("2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"):
            with pytest.raises(ConnectionRefusedError):
                one._hear("socket.connect", (sock, (host, 25, 0, 0)))


def test_a_unix_socket_and_a_datagram_without_an_address_pass(hosts, sock):
    with socket.socket(socket.AF_UNIX) as unix:
        Guard()._hear("socket.connect", (unix, "/run/postgresql/.s.PGSQL.5432"))
    Guard()._hear("socket.sendmsg", (sock, None))


@pytest.mark.parametrize("name", ["", None, "localhost", "127.0.0.1", "192.0.2.1", "::1", b"mybox", "Printer.LAN."])
def test_names_that_this_machine_knows_are_looked_up(name, hosts):
    Guard()._hear("socket.getaddrinfo", (name, 25, 0, 0, 0))


def test_no_name_server_is_asked_for_others(hosts):
    one = Guard()
    with pytest.raises(socket.gaierror, match="--allow"):
        one._hear("socket.getaddrinfo", ("db.example.com", 5432, 0, 0, 0))
    with pytest.raises(socket.gaierror):
        one._hear("socket.gethostbyname", ("db.example.com",))
    with pytest.raises(socket.gaierror):
        one._hear("socket.gethostbyaddr", ("192.0.2.1",))
    with pytest.raises(socket.gaierror):
        one._hear("socket.getnameinfo", (("192.0.2.1", 80),))
    assert one.refused == {"db.example.com:5432": 1, "db.example.com": 1, "192.0.2.1": 2}


def test_what_is_allowed_may_be_reached_at_its_port_only_or_at_any(hosts, sock):
    one = Guard(["192.0.2.1:5432", "192.0.2.2"])
    one._hear("socket.connect", (sock, ("192.0.2.1", 5432)))
    one._hear("socket.connect", (sock, ("192.0.2.2", 1)))
    with pytest.raises(ConnectionRefusedError):
        one._hear("socket.connect", (sock, ("192.0.2.1", 5433)))


def test_an_allowed_name_is_allowed_by_its_addresses_too(hosts, sock, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port: [(0, 0, 0, "", ("192.0.2.3", 0))])
    one = Guard(["db.example.com:5432"])
    one._hear("socket.getaddrinfo", ("db.example.com", 5432, 0, 0, 0))
    one._hear("socket.connect", (sock, ("192.0.2.3", 5432)))
    with pytest.raises(ConnectionRefusedError):
        one._hear("socket.connect", (sock, ("192.0.2.3", 22)))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("db.example.com", ("db.example.com", None)),
        ("DB.example.com:5432", ("db.example.com", 5432)),
        ("::1", ("::1", None)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
    ],
)
def test_hosts_and_ports_are_taken_apart(given, taken):
    assert split(given) == taken


@pytest.mark.parametrize("given", ["", ":80", "a b", "http://a", "a:b", "a:0", "a:65536", "[::1", "[::1]80", "u@a"])
def test_what_is_no_host_is_refused(given):
    with pytest.raises(ValueError):
        split(given)


def test_started_it_stops_whoever_connects_in_this_process():
    code = (
        "import smtplib, socket, urllib.request\n"
        "from socket import create_connection\n"
        "from asynclog.trial.guard import Guard\n"
        "guard = Guard()\n"
        "guard.start()\n"
        "def tried(ask):\n"
        "    try:\n"
        "        ask()\n"
        "    except OSError:\n"
        "        return\n"
        "    raise SystemExit('it went through')\n"
        "tried(lambda: create_connection(('192.0.2.1', 80), 5))\n"
        "tried(lambda: smtplib.SMTP('mail.example.com', 25, timeout=5))\n"
        "tried(lambda: urllib.request.urlopen('http://192.0.2.1/', timeout=5))\n"
        "tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 514)))\n"
        "with socket.create_server(('127.0.0.1', 0)) as here:\n"
        "    create_connection(here.getsockname(), 5).close()\n"
        "assert sum(guard.refused.values()) == 4, guard.refused\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
