"""What a PostgreSQL need not have. The tests that need it are skipped where it is not, and say so."""

import pytest
from harness import env


def need(extension):
    if not env.has_extension(extension):
        pytest.skip(f"{extension} is not installed for PostgreSQL {env.PG_MAJOR}")
