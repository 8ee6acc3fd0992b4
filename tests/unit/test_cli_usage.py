"""Wrong use is answered in one Portuguese line that repeats nothing, with exit code 2."""

import io
import sys

import pytest

from consulta.cli.__main__ import main

CPF = "11144477735"


def used(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """Exit code and standard error."""
    try:
        code = main(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    told = capsys.readouterr()
    assert not told.out
    return code, told.err


@pytest.mark.parametrize(
    "argv",
    [
        ("lookup", "cpf", CPF),
        ("lookup", CPF),
        ("lookup", "cpf", "--identificador", CPF),
        ("lookup", "cpf", f"--cpf={CPF}"),
        ("cache", "invalidate", "cpf", CPF),
        ("cache", "invalidate", CPF),
        (CPF,),
    ],
)
def test_an_identifier_on_the_command_line_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    code, told = used(capsys, *argv)
    assert code == 2
    assert told.startswith("consulta: ")
    assert told.count("\n") == 1
    assert CPF not in told


def test_why_it_is_refused_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "lista de processos" in used(capsys, "lookup", "cpf", CPF)[1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "falta COMANDO"),
        (("fly",), "use um de lookup, dead, queues, circuits, cache, jobs, keys"),
        (("lookup",), "falta TIPO"),
        (("lookup", "rg"), "use um de cpf, cnpj, cep, telefone"),
        (("lookup", "cpf", "--prioridade", "alta"), "--prioridade: use um número"),
        (("lookup", "cpf", "--prazo"), "falta o valor de --prazo"),
        (("lookup", "cpf", "--prio", "1"), "há argumentos a mais"),
        (("dead", "show", "stage.endereco"), "falta MENSAGEM"),
        (("dead", "show", "fila.nova", "1"), "não há fila com este nome"),
        (("dead", "replay", "stage.endereco"), "--todas"),
        (("dead", "replay", "stage.endereco", "1", "--todas"), "--todas"),
        (("cache", "invalidate"), "TIPO ou --padrao"),
        (("cache", "invalidate", "cpf", "--padrao", "x"), "TIPO ou --padrao"),
        (("circuits", "open"), "falta NOME"),
        (("jobs", "run"), "falta NOME"),
    ],
)
def test_what_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], said: str
) -> None:
    code, told = used(capsys, *argv)
    assert code == 2
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("typed", ["", "\n", "  \n"])
def test_no_identifier_is_no_lookup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code, told = used(capsys, "lookup", "cpf")
    assert (code, told[:33]) == (2, "consulta: falta o identificador: ")


@pytest.mark.parametrize("argv", [("dead", "purge", "stage.endereco"), ("cache", "version")])
def test_what_cannot_be_undone_is_not_done_unasked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("s\n"))
    code, told = used(capsys, *argv)
    assert code == 2
    assert "--yes" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONSULTA_URL", "127.0.0.1:8080"),
        ("CONSULTA_KEY", "a\nb"),
        ("CONSULTA_KEY_FILE", "/nowhere/at/all"),
        ("AMQP_URL", "s3cr3t"),
        ("AMQP_URL_FILE", "/nowhere/at/all"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for variable in ("CONSULTA_URL", "CONSULTA_KEY", "AMQP_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, value)
    argv = ("dead", "list") if name.startswith("AMQP") else ("queues",)
    code, told = used(capsys, *argv)
    assert code == 2
    assert told.startswith(f"consulta: {name} ")
    assert value not in told


@pytest.mark.parametrize(
    ("argv", "name", "url"),
    [
        (("queues",), "CONSULTA_URL", "http://user:s3cr3t@127.0.0.1:1"),
        (("dead", "list"), "AMQP_URL", "amqp://user:s3cr3t@127.0.0.1:1/"),
    ],
)
def test_a_server_that_is_away_is_named_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...], name: str, url: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(name, url)
    code, told = used(capsys, *argv)
    assert code == 1
    assert f"(127.0.0.1:1, de {name})" in told
    assert told.count("\n") == 1
    assert "s3cr3t" not in told
