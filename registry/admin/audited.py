"""Saves and deletes in the admin, kept in the business audit."""

from typing import Any, TypeAlias

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from dualwrite.stages import Store
from registry.logs import audited

REGISTRY = Store.REGISTRY.alias
REQUEST_ID = "X-Request-ID"
Values: TypeAlias = dict[str, Any]


class Audited(admin.ModelAdmin):  # type: ignore[type-arg]
    """Says who saved and deleted which row, and how it was before and after.

    Everything happens in a transaction of the registry around the one of the row's store: a change that cannot be
    audited is not made, and one that the store refuses at its commit is not audited.
    """

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The form of a row, in the registry's transaction."""
        with transaction.atomic(using=REGISTRY):
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """The question whether to delete a row, likewise."""
        with transaction.atomic(using=REGISTRY):
            return super().delete_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Save it and say so; what was saved is read again, since the database derives values."""
        before = _stored(obj) if change else None
        super().save_model(request, obj, form, change)
        _say(request, "change" if change else "add", obj, before, _stored(obj))

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete it and say so."""
        _say(request, "delete", obj, _stored(obj), None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Delete the chosen rows and say so of each."""
        with transaction.atomic(using=REGISTRY), transaction.atomic(using=queryset.db):
            for obj in queryset.select_for_update():
                _say(request, "delete", obj, _values(obj), None)
            super().delete_queryset(request, queryset)


def _stored(obj: Model) -> Values | None:
    """The row as the database has it, kept from others until the transaction ends."""
    rows = type(obj)._default_manager.using(obj._state.db)
    found = rows.select_for_update().filter(pk=obj.pk).first()
    return _values(found) if found else None


def _values(obj: Model) -> Values:
    return {field.attname: field.value_from_object(obj) for field in obj._meta.concrete_fields}


def _say(request: HttpRequest, action: str, obj: Model, before: Values | None, after: Values | None) -> None:
    audited(
        request.user.get_username(),
        action,
        obj._meta.label_lower,
        str(obj),
        before=before,
        after=after,
        request_id=request.headers.get(REQUEST_ID),
    )
