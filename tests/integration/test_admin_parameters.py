"""Live parameters in the admin: set with a reason, refused where they are none, taken back."""

from collections.abc import Iterator

import pytest
from django.test import Client

from dualwrite.models import ParameterChange, ParameterOverride
from dualwrite.parameters import BATCH_SIZE, Origin, Texts, put
from tests.integration.admin_site import OPERATE, Operator

LIST = "/admin/dualwrite/parameteroverride/"
SEEN = "view_parameteroverride"


@pytest.fixture
def operator(stores: None) -> Iterator[Client]:
    yield Operator(SEEN, OPERATE).client
    put(Texts())


def sets(client: Client, **fields: str) -> str:
    """Fill the form in and send it; the page that follows."""
    answer = client.post(
        f"{LIST}add/", {"name": "BATCH_SIZE", "value": "12", "reason": "slow mirror", **fields}, follow=True
    )
    return str(answer.content.decode())


def test_a_parameter_is_set_counts_at_once_and_its_change_is_kept(operator: Client) -> None:
    assert "BATCH_SIZE is 12 (override)" in sets(operator)

    assert BATCH_SIZE.reading().origin is Origin.OVERRIDE
    change = ParameterChange.objects.get()
    assert (change.after, change.by, change.reason) == ("12", "anna", "slow mirror")
    assert "12 (override)" in operator.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("value", "0", "BATCH_SIZE &#x27;0&#x27;; valid: a number from 1 to 100000"),
        ("name", "NOPE", "Select a valid choice"),
        ("reason", "", "This field is required"),
    ],
)
def test_what_is_none_is_told_at_its_field_and_changes_nothing(
    operator: Client, field: str, value: str, said: str
) -> None:
    assert said in sets(operator, **{field: value})
    assert not ParameterOverride.objects.exists()
    assert BATCH_SIZE.reading().origin is Origin.DEFAULT


def test_it_is_taken_back_with_a_reason(operator: Client) -> None:
    sets(operator)
    sent = {"action": "take_back", "_selected_action": ["BATCH_SIZE"]}

    refused = operator.post(LIST, sent, follow=True).content.decode()
    assert "changing a parameter needs a reason" in refused
    assert BATCH_SIZE.value() == 12

    taken = operator.post(LIST, {**sent, "reason": "mirror mended"}, follow=True).content.decode()
    assert "BATCH_SIZE is 10000 (default)" in taken
    assert not ParameterOverride.objects.exists()


def test_who_may_only_look_sets_nothing(stores: None) -> None:
    client = Operator(SEEN).client
    assert client.get(LIST).status_code == 200
    assert client.post(f"{LIST}add/", {"name": "BATCH_SIZE", "value": "12", "reason": "x"}).status_code == 403
    assert not ParameterOverride.objects.exists()
