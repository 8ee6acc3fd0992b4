"""`consulta`: parse the command, run it, and say in one line what went wrong."""

import logging
import os
import sys
from collections.abc import Sequence

from consulta.cli import cache, circuits, dead, jobs, keys, lookup, queues
from consulta.cli.parser import Parser, UsageError
from consulta.errors import ClientError
from shared.errors import InvalidInput

_EPILOG = """ambiente:
  CONSULTA_URL       endereço do gateway (http://127.0.0.1:8080)
  CONSULTA_KEY       chave de API, ou CONSULTA_KEY_FILE, o arquivo que a contém
  AMQP_URL           endereço do RabbitMQ, para as mensagens mortas
  API_KEYS_FILE      arquivo das chaves de API, para `consulta keys`

saída: 0 feito · 1 falhou · 2 uso incorreto · 130 interrompido"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    parser = Parser("consulta", "Consultas, filas, circuitos e cache pela linha de comando.")
    parser.epilog = _EPILOG
    commands = parser.commands()
    for command in (lookup, dead, queues, circuits, cache, jobs, keys):
        command.add(commands)
    args = parser.parse_args(argv)
    # What libraries log of a lost connection is said by the one line of its error.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        print(f"consulta: {error}", file=sys.stderr)
        return 2
    except (ClientError, InvalidInput) as error:
        print(f"consulta: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough; and there is nowhere left to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("consulta: interrompido", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
