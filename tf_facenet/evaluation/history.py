"""The table history.csv of a run: what training has written, step by step."""


def columns(path):
    """Column → list of a number a row, NaN where a row has none, as `plots.curves` takes them; {} without rows.

    Raises:
        OSError, ValueError: see `read`.
    """
    rows = read(path)
    return {name: [float(row[name] or "nan") for row in rows] for name in (rows[0] if rows else ())}


def read(path):
    """Rows of a history, as dicts of strings, without those that a power cut or another accident has damaged.

    Raises:
        OSError: it cannot be read.
        ValueError: it has no column of steps.
    """
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        header, *rows = [line.split(",") for line in file.read().splitlines()] or [[]]  # numbers: nothing is quoted
    if "step" not in header:
        raise ValueError(f"'{path}' is no history of a run: it begins with {','.join(header)!r:.80}. Remove it; what "
                         "was learned is in the checkpoints")
    return [dict(zip(header, row, strict=True)) for row in rows
            if len(row) == len(header) and all(map(_is_number, row)) and row[header.index("step")].isdecimal()]


def _is_number(text):
    try:
        float(text or 0)
    except ValueError:
        return False
    return True
