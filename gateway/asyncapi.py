"""The AsyncAPI 3.0 document of the bus, from its topology and its messages."""

from typing import Any, Final, get_args

from msgspec import to_builtins

from gateway import examples
from gateway.components import VERSION, Components
from shared.consumer import ATTEMPT
from shared.domain.trace import TRACE
from shared.messages import Event, EventType, Requested
from shared.topology import DEAD, EVENTS, LOOKUPS, QUEUES, REQUESTED, UNROUTABLE, event_key

_BINDING: Final = {"bindingVersion": "0.3.0"}
_ABOUT: Final = """\
Qualquer serviço pode pedir consultas pelo RabbitMQ e ouvir seus eventos, sem passar pelo gateway.

Ligue uma fila sua à exchange `events` com `<origem>.#`, e só então publique em `lookups`. O
`task_id` é seu e vale como chave de idempotência: publicado outra vez, é a mesma consulta. O que
não pôde ser tratado fica na fila `<fila>.dead`, com o motivo num cabeçalho.

As operações estão descritas do lado da consulta: o que ela recebe, você publica.
"""
_HEADERS: Final = {
    "type": "object",
    "properties": {
        TRACE: {"type": "string", "description": "O rastro (W3C Trace Context), se houver."}
    },
}
_DEAD_HEADERS: Final = {
    "type": "object",
    "properties": {
        "x-reason": {"type": "string", "description": "Por que não pôde ser tratada."},
        "x-died-at": {"type": "string", "description": "Quando (UTC)."},
        "x-queue": {"type": "string", "description": "A fila de onde veio."},
        ATTEMPT: {"type": "integer", "description": "Quantas vezes se tentou."},
        "x-traceback": {"type": "string", "description": "Onde falhou, se foi um erro nosso."},
    },
}


def document() -> dict[str, Any]:
    """The document."""
    graves = [*(queue.dead for queue in QUEUES), f"{UNROUTABLE}.dead"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "consulta",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "rabbitmq": {
                "host": "127.0.0.1:5672",
                "protocol": "amqp",
                "protocolVersion": "0-9-1",
                "description": "O RabbitMQ de `AMQP_URL`.",
                "security": [{"$ref": "#/components/securitySchemes/rabbitmq"}],
            }
        },
        "channels": {
            "pedidos": _requests(),
            "eventos": _events(),
            **{f"mortas.{grave.removesuffix('.dead')}": _grave(grave) for grave in graves},
        },
        "operations": {
            "receberPedido": {
                "action": "receive",
                "channel": {"$ref": "#/channels/pedidos"},
                "summary": "Pedir uma consulta: publique aqui.",
                "bindings": {"amqp": {"ack": True, **_BINDING}},
                "reply": {"channel": {"$ref": "#/channels/eventos"}},
            },
            "contarEvento": {
                "action": "send",
                "channel": {"$ref": "#/channels/eventos"},
                "summary": "Os eventos da consulta: ouça aqui.",
                "bindings": {"amqp": {"deliveryMode": 2, "mandatory": False, **_BINDING}},
            },
            **{f"enterrar.{grave.removesuffix('.dead')}": _burial(grave) for grave in graves},
        },
        "components": {
            "messages": _messages(),
            "schemas": Components([Requested, Event]).schemas,
            "securitySchemes": {
                "rabbitmq": {"type": "userPassword", "description": "Usuário e senha do RabbitMQ."}
            },
        },
    }


def _requests() -> dict[str, Any]:
    return {
        "address": REQUESTED.name,
        "description": "Publique com `content_type` application/json, `delivery_mode` 2, um "
        "`message_id` novo e, se quiser, `priority` de 1 a 10, que vale mais que a do corpo.",
        "messages": {"pedido": {"$ref": "#/components/messages/pedido"}},
        "bindings": _routed(LOOKUPS),
    }


def _events() -> dict[str, Any]:
    return {
        "address": event_key("{origem}", "{task_id}", "{evento}"),
        "description": "Ligue uma fila sua com `<origem>.#`. A mesma mensagem pode vir duas vezes "
        "depois de uma queda: `seq` diz qual é qual.",
        "parameters": {
            "origem": {"description": "A `origem` do seu pedido.", "examples": ["billing"]},
            "task_id": {"description": "O `task_id` do seu pedido."},
            "evento": {"description": "O tipo do evento.", "enum": list(get_args(EventType))},
        },
        "messages": {"evento": {"$ref": "#/components/messages/evento"}},
        "bindings": _routed(EVENTS),
    }


def _routed(exchange: str) -> dict[str, Any]:
    about = {"name": exchange, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "routingKey", "exchange": about, **_BINDING}}


def _grave(name: str) -> dict[str, Any]:
    about = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    return {
        "address": name,
        "description": f"O que não pôde ser tratado, pela exchange `{DEAD}`. Veja com "
        "`python -m consulta dead list`, e devolva com `python -m consulta dead replay`."
        if not name.startswith(UNROUTABLE)
        else "Mensagens adiadas para uma fila que já não existe.",
        "messages": {"morta": {"$ref": "#/components/messages/morta"}},
        "bindings": {"amqp": {"is": "queue", "queue": about, **_BINDING}},
    }


def _burial(grave: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/mortas.{grave.removesuffix('.dead')}"},
        "summary": "Guardar o que não pôde ser tratado.",
    }


def _messages() -> dict[str, Any]:
    task = {"location": "$message.payload#/task_id"}
    dead = {
        "x-reason": "identificador: deve ter os 11 dígitos do CPF, sem máscara ou como "
        "000.000.000-00",
        "x-died-at": "2026-02-25T14:30:45.140230Z",
        "x-queue": REQUESTED.name,
        ATTEMPT: 1,
    }
    return {
        "pedido": {
            "summary": "Um pedido de consulta.",
            "contentType": "application/json",
            "headers": _HEADERS,
            "payload": {"$ref": "#/components/schemas/Requested"},
            "correlationId": task,
            "examples": [
                {"name": name, "payload": to_builtins(request)}
                for name, request in examples.REQUESTS.items()
            ],
        },
        "evento": {
            "summary": "Um evento de uma consulta.",
            "contentType": "application/json",
            "payload": {"$ref": "#/components/schemas/Event"},
            "correlationId": task,
            "examples": [
                {"name": name, "payload": to_builtins(event)}
                for name, event in (examples.EVENTS | examples.WITH_PURPOSE).items()
            ],
        },
        "morta": {
            "summary": "Uma mensagem que não pôde ser tratada, como veio. O que o próprio broker "
            "desviou vem sem estes cabeçalhos.",
            "headers": _DEAD_HEADERS,
            # It may be anything, even no JSON: that may be why it is here.
            "payload": {},
            "examples": [
                {"name": "identificador", "headers": dead, "payload": examples.BAD_REQUEST}
            ],
        },
    }
