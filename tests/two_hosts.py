"""Two hosts on one machine: network namespaces with a cable between them, and nothing else."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
PORT = 29400


class NotPermitted(Exception):
    """This user may not make network namespaces, or there is no `ip`."""


@dataclass(frozen=True)
class Host:
    """A namespace, its end of the cable, and its address, which only the other one reaches."""

    name: str
    link: str
    address: str

    def start(self, command: list[str], said: Path) -> subprocess.Popen:
        """A Python process here; what it says goes to a file."""
        paths = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
        with said.open("w") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, sys.executable, *command],
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": self.link},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def cut_off(self) -> None:
        _ip("-n", self.name, "link", "set", self.link, "down")

    def send_again(self, times: int) -> None:
        """How often what nobody answers is sent again before a connection counts as broken, after 0.2 s, 0.4 s, ...; 15
        times on any host, which takes a quarter of an hour."""
        setting = "/proc/sys/net/ipv4/tcp_retries2"  # each namespace has its own
        _ip("netns", "exec", self.name, sys.executable, "-c", f"open('{setting}', 'w').write('{times}')")


def _ip(*options: str) -> str:
    try:
        done = subprocess.run(["ip", *options], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotPermitted("there is no `ip`") from error
    if done.returncode:
        raise NotPermitted(f"ip {' '.join(options)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other; afterwards neither is left, nor any process there.

    Raises:
        NotPermitted: they cannot be made here.
    """
    word = secrets.token_hex(3)
    hosts = tuple(Host(f"pointdistill-{word}-{n}", f"pd{word}{n}", f"192.168.77.{n}") for n in (1, 2))
    first, second = hosts
    try:
        for host in hosts:
            _ip("netns", "add", host.name)
        _ip("link", "add", first.link, "netns", first.name, "type", "veth", "peer", second.link, "netns", second.name)
        for host in hosts:
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.link)
            for link in ("lo", host.link):
                _ip("-n", host.name, "link", "set", link, "up")
        yield first, second
    finally:
        for host in hosts:
            with suppress(NotPermitted):
                for number in _ip("netns", "pids", host.name).split():
                    with suppress(ProcessLookupError):
                        os.kill(int(number), signal.SIGKILL)
                _ip("netns", "del", host.name)


def torchrun(meeting: str, hosts: tuple[Host, Host], number: int, restarts: int = 0) -> list[str]:
    """torchrun's part of the command on one of the hosts, with one process there.

    Args:
        meeting: "c10d", where hosts wait for each other and start again together; or "static", where each is numbered.
    """
    host, first = hosts[number], hosts[0].address
    told = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", str(restarts)]
    if meeting == "static":
        return [*told, "--node-rank", str(number), "--master-addr", first, "--master-port", str(PORT)]
    told += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first}:{PORT}", "--rdzv-id", "a-run"]
    # Real hosts have names of their own, by which they know who they are.
    return [*told, "--local-addr", host.address, "--rdzv-conf", f"is_host={int(number == 0)}"]
