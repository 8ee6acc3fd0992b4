"""Reading what other publishers put into a message's properties, and in whose process."""

import subprocess
import sys

import pytest

from tests.services import ROOT

COMPARED = """
from pamqp import decode
before = dict(decode.METHODS), dict(decode.TABLE_MAPPING)
{0}
assert (decode.METHODS, decode.TABLE_MAPPING) {1} before
"""
READ = """
from shared import properties
properties.install()
properties.install()
from pamqp import decode
assert decode.by_type(b"\\x02\\xff\\xfe", "shortstr") == (3, "\\ufffd\\ufffd")
assert decode.by_type(b"\\xff" * 8, "timestamp")[0] == 8
assert decode.by_type(b"\\x00\\x00\\x00\\x02\\x01\\xff", "table") == (6, {})
"""


def run(program: str) -> None:
    """Run a program in a process of its own, to its good end."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["consulta.bus", "consulta.dead_letters", "consulta.http"])
def test_to_import_a_client_changes_nothing_in_the_process_of_its_user(module: str) -> None:
    run(COMPARED.format(f"import {module}", "=="))


def test_our_own_processes_read_what_pamqp_cannot() -> None:
    run(COMPARED.format(READ, "!="))
