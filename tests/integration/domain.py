"""The domain's tables alone: for tests of the rules that hold whether or not the engine guards the tables."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connections, transaction

from dualwrite.stages import Store

EMPTY = {
    Store.REGISTRY: "TRUNCATE instruments, indices, index_memberships, index_membership_history,"
    " index_membership_history_archive, audit_log, ingestion_scratch, broker_api_log, changes",
    Store.SCREENER: "TRUNCATE instruments, index_memberships",
}


@pytest.fixture
def domain(databases: None) -> Iterator[None]:
    """Both stores with empty tables and without the engine, in transactions that are rolled back."""
    with ExitStack() as stack:
        for store in Store:
            stack.enter_context(transaction.atomic(using=store.alias))
            stack.callback(transaction.set_rollback, True, using=store.alias)
            with connections[store.alias].cursor() as cursor:
                # Comes back with the rollback.
                cursor.execute("DROP SCHEMA IF EXISTS dualwrite CASCADE")
                cursor.execute(EMPTY[store])
        yield


def sql(statement: str, *parameters: Any, store: Store = Store.REGISTRY) -> list[tuple[Any, ...]]:
    """Run a statement as any client would; its rows, or none."""
    with connections[store.alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []
