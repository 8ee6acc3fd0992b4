"""API keys and their file, and the command that makes them."""

import stat
from pathlib import Path

import pytest

from consulta.cli.__main__ import main
from shared import keys
from shared.errors import InvalidInput, InvalidSetting
from shared.keys import Keys


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "keys.json"
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    return path


def test_a_key_is_found_by_its_secret_which_the_file_does_not_hold(path: Path) -> None:
    key = keys.add(path, "acme", ["consultar"], "10/min", 3)
    found = Keys(path).find(key)
    assert found is not None
    assert (found.tenant, found.scopes, str(found.limit), found.concurrency) == (
        "acme", ["consultar"], "10/min", 3,
    )  # fmt: skip
    assert key.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("tamper", ["", "csl_", "csl__", "csl_00000000_x", "Bearer x", "csl_é_é"])
def test_anything_else_finds_nothing(path: Path, tamper: str) -> None:
    keys.add(path, "acme", ["consultar"], "10/min", 3)
    assert Keys(path).find(tamper) is None


def test_a_revoked_key_is_useless_once_the_file_is_read_again(path: Path) -> None:
    key = keys.add(path, "acme", ["consultar"], "10/min", 3)
    other = keys.add(path, "acme", ["consultar"], "10/min", 3)
    known = Keys(path)
    assert known.find(key)
    keys.revoke(path, key.split("_")[1])
    known.refresh()
    assert known.find(key) is None
    assert known.find(other)


@pytest.mark.parametrize(
    ("field", "tenant", "scopes", "rate"),
    [
        ("tenant", "Acme!", ["consultar"], "1/min"),
        ("escopos", "acme", [], "1/min"),
        ("rate", "acme", ["consultar"], "often"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused_by_field(
    path: Path, field: str, tenant: str, scopes: list[keys.Scope], rate: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        keys.add(path, tenant, scopes, rate, 1)
    assert caught.value.field == field
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"keys":[{"id":1}]}'])
def test_a_file_that_is_none_is_refused_by_name(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(InvalidSetting, match="API_KEYS_FILE"):
        Keys(path)


def test_a_key_of_an_older_file_may_ask_for_the_highest_priority(path: Path) -> None:
    key = keys.add(path, "acme", ["consultar"], "10/min", 3)
    older = [line for line in path.read_text().splitlines() if '"priority"' not in line]
    path.write_text("\n".join(older))
    found = Keys(path).find(key)
    assert found is not None
    assert found.highest == 10


@pytest.mark.parametrize("highest", [0, 11, -1])
def test_a_priority_that_does_not_exist_is_refused_by_field(path: Path, highest: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        keys.add(path, "acme", ["consultar"], "1/min", 1, highest)
    assert caught.value.field == "prioridade"
    assert not path.exists()
    path.write_text('{"keys":[]}')
    keys.add(path, "acme", ["consultar"], "1/min", 1, 7)
    path.write_text(path.read_text().replace('"priority": 7', f'"priority": {highest}'))
    with pytest.raises(InvalidSetting, match="API_KEYS_FILE"):
        Keys(path)


@pytest.mark.parametrize(
    ("more", "highest"),
    [((), 5), (("--prioridade-maxima", "9"), 9), (("--prioridade-maxima", "1"), 1)],
)
def test_a_new_key_asks_for_the_usual_priority_unless_more_is_given(
    path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], highest: int
) -> None:
    assert main(["keys", "add", "acme", *more]) == 0
    found = Keys(path).find(capsys.readouterr().out.strip())
    assert found is not None
    assert found.highest == highest
    assert main(["keys", "list"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    column = head.index("prioridade")
    assert line[column:].split()[0] == str(highest)


def test_the_command_refuses_a_priority_that_does_not_exist(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "add", "acme", "--prioridade-maxima", "11"]) == 1
    assert "de 1 a 10" in capsys.readouterr().err
    assert not path.exists()


def test_the_command_makes_lists_and_revokes(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "add", "acme", "--escopo", "administrar"]) == 0
    key = capsys.readouterr().out.strip()
    name = key.split("_")[1]
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert name in listed
    assert "administrar" in listed
    assert key not in listed
    assert main(["keys", "revoke", name]) == 0
    assert Keys(path).find(key) is None
    assert main(["keys", "revoke", "ffffffff"]) == 1
