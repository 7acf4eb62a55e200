"""Addresses of the consumers' API. What is more special comes first: a key may contain a slash."""

from django.urls import path, re_path

from registry.api.changes import ChangesView
from registry.api.consumers import ConsumersView
from registry.api.imports import ImportsView
from registry.api.indices import IndexChangesView, IndexView, IndicesView, MembersView
from registry.api.instruments import (
    BulkInstrumentsView,
    InstrumentMembershipsView,
    InstrumentsView,
    InstrumentView,
    ResolveView,
)
from registry.api.memberships import BulkMembershipsView, MembershipsView
from registry.api.screener import ScreenerBulkView, ScreenerMembershipsView
from registry.api.view import UnknownEndpoint

V1 = "api/v1"
OLD = "screener/api/v1"

urlpatterns = [
    path(f"{V1}/instruments", InstrumentsView.as_view(), name="instruments"),
    path(f"{V1}/instruments/resolve", ResolveView.as_view(), name="resolve"),
    path(f"{V1}/instruments/bulk", BulkInstrumentsView.as_view(), name="instruments-bulk"),
    path(
        f"{V1}/instruments/<path:instrument_key>/memberships",
        InstrumentMembershipsView.as_view(),
        name="instrument-memberships",
    ),
    path(f"{V1}/instruments/<path:instrument_key>", InstrumentView.as_view(), name="instrument"),
    path(f"{V1}/indices", IndicesView.as_view(), name="indices"),
    path(f"{V1}/indices/<path:index_id>/members", MembersView.as_view(), name="members"),
    path(f"{V1}/indices/<path:index_id>/changes", IndexChangesView.as_view(), name="index-changes"),
    path(f"{V1}/indices/<path:index_id>", IndexView.as_view(), name="index"),
    path(f"{V1}/index-memberships", MembershipsView.as_view(), name="memberships"),
    path(f"{V1}/index-memberships/bulk", BulkMembershipsView.as_view(), name="memberships-bulk"),
    path(f"{V1}/changes", ChangesView.as_view(), name="changes"),
    path(f"{V1}/imports", ImportsView.as_view(), name="imports"),
    path(f"{V1}/consumers", ConsumersView.as_view(), name="consumers"),
    path(f"{OLD}/index-memberships", ScreenerMembershipsView.as_view(), name="screener-memberships"),
    path(f"{OLD}/index-memberships/bulk", ScreenerBulkView.as_view(), name="screener-bulk"),
    # Line breaks too, which no dot matches: a key with one is none.
    re_path(r"^(?:api/v1|screener)(?:/[\s\S]*)?\Z", UnknownEndpoint.as_view()),
]
