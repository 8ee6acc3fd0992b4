"""Whom a browser lets in: foreign hosts, foreign pages, and what anybody may see."""

import asyncio

import pytest

from tests.gateway.gateways import PATIENCE, Gateway, Gateways
from tests.gateway.keyring import Keyring, known

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
    ("asked", "host", "status"),
    [
        ("/api/circuitos", "127.0.0.1", 200),
        ("/api/circuitos", "evil.example", 403),
        # The name in the path is what counts (RFC 9112, section 3.2.2).
        ("http://evil.example/api/circuitos", "127.0.0.1", 403),
        ("http://127.0.0.1/api/circuitos", "evil.example", 200),
    ],
)
async def test_without_keys_it_is_the_name_that_was_called_that_counts(
    gateways: Gateways, asked: str, host: str, status: int
) -> None:
    reader, writer = await (await gateways.start()).connect()
    writer.write(f"GET {asked} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    assert int(answer.split()[1]) == status


PROXIED = (
    "Forwarded: for=203.0.113.7", "X-Forwarded-For: 203.0.113.7", "x-forwarded-proto: https",
    "X-FORWARDED-SERVER: a", "X-Forwarded: 1", "X-Real-IP: 203.0.113.7", "Via: 1.1 proxy", "via:",
    "CF-Connecting-IP: 203.0.113.7", "True-Client-IP: 203.0.113.7", "X-Client-IP: 203.0.113.7",
    "X-Cluster-Client-IP: 203.0.113.7", "Fastly-Client-IP: 203.0.113.7", "CDN-Loop: cdn",
    "X-Original-Forwarded-For: 203.0.113.7",
)  # fmt: skip


async def test_without_keys_whoever_comes_through_a_proxy_is_refused(
    lasting: Gateways, locked: Gateway, keyring: Keyring
) -> None:
    open_, authorized = await lasting.start(), f"Authorization: Bearer {keyring.make()}"
    closed = await known(locked, authorized.split()[2])
    # nginx passes on to 127.0.0.1:8080 by that very name, and by itself adds nothing but speaks
    # HTTP/1.0.
    for header, version in ((line, "1.1") for line in (*PROXIED, "")):
        status, text = await said(open_, header, version)
        assert status == (403 if header else 200), header
        if header:
            assert "application/problem+json" in text
            assert "API_KEYS_FILE" in text
            assert (await said(closed, f"{header}\r\n{authorized}", version))[0] == 200, header
    assert (await said(open_, "", "1.0"))[0] == 403
    assert (await said(closed, authorized, "1.0"))[0] == 200


async def said(gateway: Gateway, header: str, version: str) -> tuple[int, str]:
    """The status and all of the answer to a request with this header, as a proxy sends it."""
    reader, writer = await gateway.connect()
    lines = ["Host: 127.0.0.1:8080", *filter(None, [header]), "Connection: close", "", ""]
    writer.write(f"GET /api/circuitos HTTP/{version}\r\n".encode() + "\r\n".join(lines).encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return int(answer.split()[1]), answer.decode()


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
