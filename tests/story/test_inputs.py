"""Where the story's figures come from: the folder that was named, the one beside the checkout, or published figures."""

from decimal import Decimal
from pathlib import Path

import pytest

from common.errors import Refused
from demo import inputs
from demo.cast import PARTIES


def test_a_named_folder_without_the_files_is_refused_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused) as named:
        inputs.data_folder(str(tmp_path))
    monkeypatch.setenv("HEADROOM_DATA", str(tmp_path))
    with pytest.raises(Refused) as by_environment:
        inputs.data_folder(None)

    assert {named.value.code, by_environment.value.code} == {"data_folder_wrong"}


def test_none_asks_for_the_published_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADROOM_DATA", str(tmp_path))

    assert inputs.data_folder("none") is None


def test_published_figures_cover_every_party_and_name_their_source() -> None:
    figures = inputs.gather(None)

    for party in PARTIES:
        assert all(one.flop > 0 and "(" in one.label for one in figures.compute[party.short])
        if party.pilot_file:
            assert figures.pilot_use(party.short) > 0
            assert figures.pilot_base(party.short) > Decimal(0)


def test_a_party_files_only_the_rows_of_its_source() -> None:
    party = PARTIES[0]
    content = (
        "Model,Organization,Publication date,Training compute (FLOP)\n"
        f"Otter,{party.source},2024-05-01,1000\n"
        "Heron,Somebody Else,2024-05-01,5000\n"
    ).encode()

    filed = inputs._rows_of(party, content).decode()

    assert "Otter" in filed
    assert "Heron" not in filed
