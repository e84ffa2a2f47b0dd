"""Notes of packs on a device's disk: kept sealed, made again where they are lost, dropped with the packs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memsync_client.heads import PackRef
from memsync_client.home import SealedFile
from memsync_client.pack_notes import PackNotes, drop_notes
from memsync_client.packs import PackNote, entries
from tests.client.material import OTHER_PLACES, PLACE, holder, memory, secret

REF, OTHER = PackRef(secret("pack"), 1, 2), PackRef(secret("other"), 1, 2)
NOTE = PackNote.of(entries([memory(1), memory(2)]), 3, PLACE)


def notes(folder: Path) -> PackNotes:
    return PackNotes(folder, holder("laptop"), PLACE)


def test_get__what_was_put__and_nothing_of_another_pack_place_or_key(tmp_path: Path) -> None:
    assert notes(tmp_path).get(REF) is None
    notes(tmp_path).put(REF, NOTE)
    assert notes(tmp_path).get(REF) == NOTE
    (path,) = (tmp_path / "packs").iterdir()
    assert not any(part in path.read_bytes() for part in (memory(1).id, *NOTE.stretch.roots))
    path.with_name(OTHER.hash.hex()).write_bytes(path.read_bytes())
    assert notes(tmp_path).get(OTHER) is None
    assert PackNotes(tmp_path, holder("phone"), PLACE).get(REF) is None
    assert PackNotes(tmp_path, holder("laptop"), OTHER_PLACES["vault"]).get(REF) is None


def test_get__damaged_or_malformed__none_and_put_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "packs" / REF.hash.hex()
    notes(tmp_path).put(REF, NOTE)
    path.write_bytes(path.read_bytes()[:-1])
    assert notes(tmp_path).get(REF) is None
    sound = {"start": 3, "count": 2, "roots": list(NOTE.stretch.roots), "size": 9, "ids": NOTE.ids}
    wrong: dict[str, Any]
    for wrong in ({"roots": [1, 2]}, {"roots": []}, {"start": -3}, {"ids": NOTE.ids[1:]}, {"more": 1}):
        SealedFile(path, holder("laptop"), PLACE).write(sound | wrong)
        assert notes(tmp_path).get(REF) is None
    notes(tmp_path).put(REF, NOTE)
    assert notes(tmp_path).get(REF) == NOTE


def test_put__where_nothing_can_be_written__is_no_error(tmp_path: Path) -> None:
    (tmp_path / "packs").write_text("a file in the way")
    notes(tmp_path).put(REF, NOTE)
    assert notes(tmp_path).get(REF) is None
    drop_notes(tmp_path)


def test_keep_only__drops_the_notes_of_all_other_packs(tmp_path: Path) -> None:
    for ref in (REF, OTHER):
        notes(tmp_path).put(ref, NOTE)
    notes(tmp_path).keep_only([OTHER.hash, secret("head")])
    assert (notes(tmp_path).get(REF), notes(tmp_path).get(OTHER)) == (None, NOTE)
    drop_notes(tmp_path)
    assert list((tmp_path / "packs").iterdir()) == []
