"""Hedged calls: when the first provider is slow today, ask the second as well.

After Dean and Barroso, "The Tail at Scale" (2013): the second call is made once the first takes
longer than 95 % of its calls do, so it adds one call in twenty and takes off the long tail.
"""

import asyncio
from typing import Final

from enricher.call import Guarded, Terms
from enricher.failures import Failure, NotCalled, Outrun
from enricher.permits import Permits
from enricher.providers.base import Answer, Query
from shared.consumer import PutOff

Asked = dict[str, Failure]

_SHARE: Final = 0.95


async def hedged(
    first: Guarded, second: Guarded, query: Query, permits: Permits, terms: Terms
) -> tuple[Answer | Failure | PutOff, Guarded, Asked]:
    """Ask one provider and, should it take unusually long, a second at the same time.

    Returns the first answer and who gave it, or the first provider's failure, or that it has to
    wait; and, by name, why those who were asked in vain gave none.
    """
    main = asyncio.create_task(first.ask(query, permits, terms))
    tasks = {main: first}
    asked: Asked = {}
    put_off: PutOff | None = None
    try:
        await asyncio.wait(tasks, timeout=first.breaker.window.percentile(_SHARE))
        # Still waiting for its own permit, it would share it with the second call.
        if not main.done() and permits.first.used and second.breaker.retry_in == 0:
            hedge = Terms(terms.deadline, terms.wanted, terms.latest, hedge=True)
            tasks[asyncio.create_task(second.ask(query, permits, hedge))] = second
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                link = tasks.pop(task)
                try:
                    answer = task.result()
                except PutOff as later:
                    # Should the other have the answer, there is nothing to wait for.
                    put_off = later
                    continue
                except Failure as failure:
                    if link is first or not isinstance(failure, NotCalled):
                        asked[link.provider.name] = failure
                    if link is first and failure.final:
                        return failure, first, asked
                    continue
                late = [other.provider.name for other in tasks.values()]
                asked |= {name: Outrun("another was faster") for name in late}
                return answer, link, asked
        return put_off or asked[first.provider.name], first, asked
    finally:
        for task in tasks:
            task.cancel()
        # Each gives its permit and its lease back before this stage goes on.
        await asyncio.gather(*tasks, return_exceptions=True)
