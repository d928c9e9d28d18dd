"""A real PostgreSQL server for tests: on a socket of its own, over no network, gone with the session."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

DEBIAN = Path("/usr/lib/postgresql")  # its packages put the programs there, by version, and not on the path
USER = "postgres"


def program(name: str) -> str:
    """Where one of PostgreSQL's programs is; the newest, if there are several.

    Raises:
        RuntimeError: it is not installed.
    """
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    if path := str(found[-1]) if found else shutil.which(name):
        return path
    raise RuntimeError("PostgreSQL is missing: run `sudo apt-get install postgresql`, or `make setup` as root")


class Server:
    """A running server, and the databases in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str) -> str:
        """A database's address, as SQLAlchemy takes it."""
        return f"postgresql+psycopg://{USER}@/{database}?host={self._folder}"

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database as a copy of another, in the place of one of that name; its address."""
        with psycopg.connect(f"host={self._folder} user={USER} dbname=postgres", autocommit=True) as connection:
            connection.execute(f'drop database if exists "{database}" with (force)')
            connection.execute(f'create database "{database}" template "{template}"')
        return self.url(database)


@contextmanager
def server() -> Iterator[Server]:
    """Start a server in a folder of its own, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # a short path: a socket's name may have 107 letters
    # PostgreSQL refuses to run as root. Debian's package has made a user for it.
    other = {"user": USER, "group": pwd.getpwnam(USER).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    if other:
        shutil.chown(folder, USER)
    try:
        make = [program("initdb"), "--pgdata", str(folder / "data"), "--username", USER, "--auth", "trust", "--no-sync"]
        subprocess.run(make, cwd=folder, check=True, capture_output=True, text=True, **other)
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        control = [program("pg_ctl"), "--pgdata", str(folder / "data"), "--wait", "--silent"]
        start = [*control, "--log", str(folder / "log"), "--options", settings, "start"]
        subprocess.run(start, cwd=folder, check=True, stdout=subprocess.DEVNULL, **other)
        try:
            yield Server(folder)
        finally:
            subprocess.run([*control, "--mode", "immediate", "stop"], cwd=folder, check=True, **other)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
