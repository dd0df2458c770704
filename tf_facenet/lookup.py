"""A name that a user typed: found in a table, or an error that lists the names."""


def lookup(table, name, what):
    """Return ``table[name]``.

    Args:
        table: dict of names.
        name: the name a user typed.
        what: what the table holds, for the message ("backbone", "head").

    Raises:
        ValueError: the name is unknown; the message lists the known ones.
    """
    if name not in table:
        raise ValueError(f"Unknown {what} {name!r}. Choose one of: {', '.join(sorted(table))}.")
    return table[name]


def check_options(options, known, owner):
    """Raise ValueError if `options` has a name that is not `known` to its `owner` ("Head 'arcface'")."""
    for name in options:
        if name not in known:
            raise ValueError(f"{owner} takes no {name!r}; it takes {', '.join(sorted(known)) or 'no options'}")
