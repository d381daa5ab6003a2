"""ssh: a real OpenSSH server on loopback. Places are read strictly, and every refusal is told with its next step."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from edgeafri.errors import ConnectionLost, DeviceError, MissingPackage, UsageError
from edgeafri.runners.ssh import Place, Ssh, place_of
from edgeafri.runners.transport import opened, run_command


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("ssh:board", Place(None, "board", None)),
        ("ssh:pi@raspberrypi.local", Place("pi", "raspberrypi.local", None)),
        ("ssh:pi@192.168.1.7:2222", Place("pi", "192.168.1.7", 2222)),
        ("ssh:pi@[fe80::1%eth0]:22", Place("pi", "fe80::1%eth0", 22)),
        ("ssh:[::1]", Place(None, "::1", None)),
        ("ssh:u0_a123@phone:8022", Place("u0_a123", "phone", 8022)),
    ],
)
def test_a_place_is_user_host_and_port(where: str, place: Place):
    """
    What is not named is left to the user's ssh configuration. IPv6 stands in brackets.
    """
    assert place_of(where) == place


@pytest.mark.parametrize(
    "where",
    [
        "ssh:",
        "ssh:pi@",
        "ssh:pi@host:0",
        "ssh:pi@host:99999",
        "ssh:fe80::1",
        "ssh:-oProxyCommand=reboot",
        "ssh:-l@host",
        "ssh:pi@host;reboot",
        "ssh:pi@host name",
        "ssh:pi@host\n",
    ],
)
def test_what_is_no_place_is_refused(where: str):
    """
    Nothing that ssh or a shell could read as something else gets to them.
    """
    with pytest.raises(UsageError) as error:
        place_of(where)

    assert error.value.message == f"'{where}' is not an address for ssh"
    assert "ssh:pi@[fe80::1]:22" in error.value.hint


def test_a_command_runs_there_with_its_words_unchanged(board: Any):
    """
    Quotes, spaces, dollars and line breaks arrive as they were; bytes of stdin too.
    """
    words = ("it's", 'a "word"', "$HOME `id` \\", "two\nlines", "ẹ́", "")
    with opened(Ssh(board.where, board.config)) as transport:
        said = run_command(transport, ("printf", "<%s>", *words))
        sent = run_command(transport, ("od", "-An", "-tx1"), [bytes(range(256))])

    assert said.stdout == "".join(f"<{word}>" for word in words)
    assert bytes.fromhex(sent.stdout.replace("\n", "")) == bytes(range(256))


def test_how_a_command_ends_is_known(board: Any):
    """
    Its exit code, its last words, and the signal that ended it: ssh alone would say 255 for that.
    """
    with opened(Ssh(board.where, board.config)) as transport:
        failed = run_command(transport, ("sh", "-c", "echo why >&2; exit 7"))
        killed = run_command(transport, ("sh", "-c", "kill -9 $$"))
        absent = run_command(transport, ("no-such-program",))

    assert (failed.code, failed.stderr) == (7, "why\n")
    assert killed.code == 128 + 9
    assert absent.code == 127


def test_one_connection_serves_all_commands_and_leaves_nothing(board: Any):
    """
    The server sees one login; the folder of the connection is the user's alone, and gone afterwards.
    """
    with opened(Ssh(board.where, board.config)) as transport:
        for _ in range(3):
            run_command(transport, ("true",))
        folder = transport._folder
        mode = folder.stat().st_mode & 0o777

    assert (board.folder / "sshd.log").read_text("utf-8").count("Accepted publickey") == 1
    assert mode == 0o700
    assert not folder.exists()


def test_the_user_configuration_is_honoured(board: Any):
    """
    A name, a port and a key that only the configuration knows.
    """
    with opened(Ssh("ssh:board", board.config)) as transport:
        assert run_command(transport, ("echo", "there")).stdout == "there\n"


def test_a_place_may_be_ipv6(board: Any):
    """
    In brackets, as in a web address.
    """
    with socket.socket(socket.AF_INET6) as caller:
        if caller.connect_ex(("::1", board.port)) != 0:
            pytest.skip("this machine has no IPv6")
    with opened(Ssh(f"ssh:{board.user}@[::1]:{board.port}", board.config)) as transport:
        assert run_command(transport, ("echo", "there")).stdout == "there\n"


def refused(where: str, config: Path) -> DeviceError:
    with pytest.raises(DeviceError) as error, opened(Ssh(where, config)):
        pass
    assert error.value.message.startswith(f"{where}: ")
    return error.value


def test_an_unknown_host_key_is_not_accepted(board: Any):
    """
    Checking stays on: the first time, a person compares the key.
    """
    (board.folder / "known_hosts").write_text("", "utf-8")
    error = refused(board.where, board.config)

    assert error.message.endswith("its host key is not known here yet")
    assert f"`ssh -F {board.config} -p {board.port} {board.user}@127.0.0.1`" in error.hint


def test_a_changed_host_key_is_told(board: Any):
    """
    A board that was set up anew, or somebody between: a person decides which.
    """
    board.stop()
    board.new_key("host_key")
    board.start()
    error = refused(board.where, board.config)

    assert error.message.endswith("its host key is not the one that is known here")
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in error.hint


def test_a_missing_key_is_told(board: Any):
    """
    No password is ever asked for.
    """
    (board.folder / "authorized_keys").write_text("", "utf-8")
    error = refused(board.where, board.config)

    assert error.message.endswith("it does not accept a key of this user")
    assert f"ssh-copy-id -F {board.config} -p {board.port} {board.user}@127.0.0.1" in error.hint


def test_a_port_without_a_server_is_told(board: Any):
    """
    The machine is there, so the address is right.
    """
    board.stop()
    error = refused(board.where, board.config)

    assert error.message.endswith("the machine answers, but no ssh server does at this port")
    assert "sudo systemctl enable --now ssh" in error.hint
    board.start()


def test_an_unknown_name_is_told(board: Any):
    """
    .invalid never is a name (RFC 6761).
    """
    error = refused("ssh:pi@no-such-board.invalid", board.config)

    assert error.message.endswith("no machine of this name was found")
    assert "no-such-board.invalid" in error.hint


@pytest.mark.parametrize("words", ["No route to host", "Connection timed out", "Network is unreachable"])
def test_a_machine_that_is_off_is_told(words: str, board: Any, monkeypatch: pytest.MonkeyPatch):
    """
    A stand-in says what ssh says of such a machine: waiting for the real time-out takes 15 s.
    """
    board.script("ssh", f"echo 'ssh: connect to host 10.0.0.9 port 22: {words}' >&2; exit 255")
    monkeypatch.setenv("PATH", str(board.bin), prepend=":")
    error = refused("ssh:pi@10.0.0.9", board.config)

    assert error.message.endswith("it cannot be reached")
    assert error.hint == "Check that it is switched on and in this network: ping 10.0.0.9"


def test_a_reason_that_nobody_foresaw_is_told_as_ssh_says_it(board: Any):
    """
    With the command to try by hand.
    """
    board.config.write_text("NoSuchWord yes\n", "utf-8")
    error = refused(board.where, board.config)

    assert "cannot connect (" in error.message
    assert error.hint == f"Try by hand what goes wrong: ssh -F {board.config} -p {board.port} {board.user}@127.0.0.1"


def test_a_shell_that_prints_at_login_is_told(board: Any):
    """
    Its words would stand before every answer.
    """
    (board.home / ".bashrc").write_text("echo Karibu\n", "utf-8")
    (board.home / ".zshenv").write_text("echo Karibu\n", "utf-8")
    error = refused(board.where, board.config)

    assert "its shell prints 'Karibu' at every login" in error.message
    assert ".bashrc" in error.hint


def test_a_connection_that_breaks_is_told(board: Any):
    """
    Also when nothing is going on, and no other connection is made unseen.
    """
    transport = Ssh(board.where, board.config)
    transport.open()
    transport._master.kill()  # as a network would
    transport._master.wait()
    with pytest.raises(ConnectionLost) as error:
        run_command(transport, ("true",))
    transport.open()

    assert error.value.message.startswith(f"{board.where}: the connection was lost")
    assert error.value.hint == "Run the command again: it goes on with what has arrived there."
    assert run_command(transport, ("echo", "back")).stdout == "back\n"
    transport.close()


def test_a_missing_ssh_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """
    With the command that brings it.
    """
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("ssh") is None
    with pytest.raises(MissingPackage) as error, opened(Ssh("ssh:board")):
        pass

    assert error.value.message == "ssh is not installed here"
    assert "sudo apt install openssh-client" in error.value.hint
