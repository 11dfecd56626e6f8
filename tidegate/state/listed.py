"""Many values as one parameter of one statement: a thousand statements cost more than what they do."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, TableValuedAlias, func, select


def listed(values: Iterable[int] | Iterable[str]) -> Select[Any]:
    """These values as a subquery, to stand behind ``IN``."""
    return select(func.json_each(json.dumps(list(values))).table_valued("value").c.value)


def paired(values: Mapping[Any, float]) -> TableValuedAlias:
    """This mapping as a table with the columns ``key``, always a text, and ``value``."""
    return func.json_each(json.dumps(values)).table_valued("key", "value")
