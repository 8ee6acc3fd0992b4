"""What is shown of a dead letter holds no identifier, whatever the letter is."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consulta.masking import masked, plain, revealed, without_numbers

SPELLINGS = ["11144477735", "111.444.777-35", "12ABC34501DE35", "01001-000", "+55 11 98765-4321"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "body",
    [
        '{"identificador":"%s"}',
        '{"task_id":"%s","tipo":"%s"}',
        '{"value":"%s","inputs":["%s"],"kind":"cpf"}',
        '{"%s":1}',
        '[{"a":{"b":["%s"]}}]',
        '"%s"',
        "identificador=%s",
        '{"identificador":"%s"',
    ],
)
def test_no_identifier_is_shown_in_any_field(spelling: str, body: str) -> None:
    shown = masked(body.replace("%s", spelling).encode())
    assert spelling not in shown


def test_numbers_are_hidden_like_texts() -> None:
    shown = masked(b'{"identificador":11144477735,"prioridade":11144477735,"task_id":11144477735}')
    assert "111444" not in shown


def test_what_helps_and_harms_nobody_is_shown() -> None:
    body = {
        "task_id": "6f1c2b4e-0000-4000-8000-aaaabbbbcccc",
        "origem": "billing",
        "tipo": "cpf",
        "prioridade": 9,
        "atraso": 0.5,
        "atualizar": False,
        "etapas": ["endereco", "telefone"],
        "flight": "0123456789abcdef0123456789abcdef",
    }
    assert msgspec.json.decode(masked(msgspec.json.encode(body))) == body


def test_bodies_that_are_no_json_are_only_counted() -> None:
    assert masked(b"cpf 11144477735") == "(15 bytes que não são JSON)"
    assert masked(b"[" * 100_000) == "(100000 bytes que não são JSON)"


@given(st.binary(max_size=200))
def test_anything_can_be_masked_and_revealed(body: bytes) -> None:
    assert isinstance(masked(body), str)
    assert "\x1b" not in revealed(body)


def test_a_message_cannot_command_the_terminal() -> None:
    assert revealed(b'{"nome":"\\u001b[2J"}') == '{\n  "nome": "\\u001b[2J"\n}'
    assert plain("\x1b]0;x\x07\u202eabc\n") == "�]0;x��abc�"
    assert plain("a\nb\x1b", lines=True) == "a\nb�"


@pytest.mark.parametrize("spelling", ["11144477735", "111.444.777-35", "01001-000"])
def test_reasons_lose_whatever_is_as_long_as_an_identifier(spelling: str) -> None:
    assert without_numbers(f"bad {spelling}!") == "bad ***!"
    assert without_numbers("line 42 of 65536 bytes") == "line 42 of 65536 bytes"
