"""Damage to files at random: to their bytes, to the values of a JSON text, to a member of an archive."""

import io
import json
import zipfile

from tests.record_mutations import DAMAGES

WRONG = [None, True, False, 0, -1, 1, 1.5, 1e308, float("nan"), 2**70, "", "x", "../x", "/", "\0", "\ud800", "NaN",
         [], [[]], [1, "x"], {}, {"x": None}]
DEEP = "[" * 100_000
TEXTS = (".txt", ".csv", ".json")
ARCHIVES = (".npz", ".keras", ".pt")


def damaged(name, data, rng):
    """Some bytes of a file after an accident that fits its name."""
    if name.endswith(ARCHIVES) and rng.random() < 0.7:
        return _archive(data, rng)
    if name.endswith(".json") and rng.random() < 0.7:
        return _json(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        data = rng.choice(DAMAGES)(data, rng, not name.endswith(TEXTS))
    return data


def _json(data, rng):
    """A value inside is another, is missing or is new; or the text is a plain value, or deep."""
    if rng.random() < 0.05:
        return DEEP.encode()
    if rng.random() < 0.1:
        return json.dumps(rng.choice(WRONG)).encode()
    value = json.loads(data)
    places = list(_places(value))
    container, key = rng.choice(places) if places else (value, "x")
    if isinstance(container, dict) and rng.random() < 0.2:
        del container[key]
    elif isinstance(container, dict) and rng.random() < 0.1:
        container["new"] = rng.choice(WRONG)
    else:
        container[key] = rng.choice(WRONG)
    return json.dumps(value).encode()


def _places(value):
    """(container, key or index) of every value in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _archive(data, rng):
    """One member is damaged, missing, twice there or elsewhere; the checksums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    members[at:at + 1] = rng.choice((
        lambda: [(name, damaged(name, content, rng))], lambda: [(name, damaged(name, content, rng))],
        lambda: [], lambda: [(rng.choice(("../" + name, "/" + name, "x")), content)],
        lambda: [(name, rng.choice(members)[1])]))()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, inside in members:
            archive.writestr(member, inside)
    return file.getvalue()
