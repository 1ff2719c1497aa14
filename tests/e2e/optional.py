"""What a PostgreSQL or a distribution need not have. The tests that need it are skipped where it is not, and say so."""

import pytest
from harness import env


def need(extension):
    if not env.has_extension(extension):
        pytest.skip(f"{extension} is not installed for PostgreSQL {env.PG_MAJOR}")


def need_module(name):
    if not (env.PG_LIB / f"{name}.so").exists():
        pytest.skip(f"{name} does not come with this PostgreSQL {env.PG_MAJOR}")


def need_program(name, folder="usr/bin"):
    if not (env.UNPACKED / folder / name).exists():
        pytest.skip(f"{name} is not among the packages of this distribution")


def need_server_program(name):
    if not (env.PG_BIN / name).exists():
        pytest.skip(f"{name} does not come with this PostgreSQL {env.PG_MAJOR}")
