"""Whom a browser lets in: foreign hosts, foreign pages, and what anybody may see."""

import asyncio

import pytest

from tests.gateway.gateways import PATIENCE, Gateway, Gateways
from tests.gateway.keyring import Keyring

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_without_keys_a_foreign_host_is_refused(gateways: Gateways) -> None:
    gateway = await gateways.start()
    for host in ("evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example", ""):
        code, _ = await gateway.json("GET", "/api/circuitos", Host=host)
        assert code == 403, host
    for host in ("localhost", "127.0.0.1:1", "[::1]:8080", "[::1]"):
        assert (await gateway.json("GET", "/api/circuitos", Host=host))[0] == 200, host


async def test_without_keys_a_page_of_elsewhere_is_refused(gateways: Gateways) -> None:
    gateway = await gateways.start(CORS_ORIGINS="https://app.example.com")
    # A form can send this from any page there is, and needs no leave of ours.
    path = "/api/cache/versao"
    for page in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://["):
        assert (await gateway.json("POST", path, Origin=page))[0] == 403, page
    for page in ("http://127.0.0.1:8080", "http://localhost:3000", "https://app.example.com"):
        assert (await gateway.json("POST", path, Origin=page))[0] == 200, page


@pytest.mark.parametrize(
    "path", ["/static/../api/filas", "/static/%2e%2e/api/filas", "//api/filas"]
)
async def test_no_spelling_of_a_path_goes_round_the_guard(locked: Gateway, path: str) -> None:
    reader, writer = await locked.connect()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert int(answer.split()[1]) in {400, 401, 403, 404}


async def test_what_is_public_needs_no_key_and_is_harmless(locked: Gateway) -> None:
    async with locked.request("GET", "/") as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with locked.request("GET", "/api/nothing") as answer:
        assert answer.status == 404


async def test_another_page_reads_only_where_it_is_on_the_list(
    gateways: Gateways, keyring: Keyring
) -> None:
    key = keyring.make()
    page = "https://app.example.com"
    gateway = (await gateways.start(keyring.file, CORS_ORIGINS=page)).using(key)
    preflight = {"Access-Control-Request-Method": "POST"}
    for origin, code, allowed in ((page, 204, page), ("https://evil.example", 405, None)):
        headers = {**preflight, "Origin": origin}
        async with gateway.request("OPTIONS", "/api/consultas", headers=headers) as answer:
            assert answer.status == code
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        async with gateway.request("GET", "/api/circuitos", headers={"Origin": origin}) as answer:
            assert answer.status == 200
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
