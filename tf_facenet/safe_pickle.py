"""Pickles of strangers: read by a machine that builds plain values, and what a table allows besides.

Python's own unpickler runs what a pickle says. This one knows the instructions that data need, of protocols 0 to 5
(Python's `pickletools` describes them), and no others: numbers, text, bytes, lists, tuples, dicts, and the globals of a
table. Differences to `pickle`:

- A global that is not in the table is refused by name; only what the table holds can be called.
- Memory stays below `FACTOR` times the pickle's length and an allowance, whatever the pickle says: its values are
  counted while they are built.
- Python 2's strings become bytes, and the keys of a dict are text, bytes or whole numbers.
- Attributes go to objects that have a `__setstate__`; for others they are left out.
- There are no sets, no persistent ids without `persistent_load`, and no instances but by call.
"""

import codecs
import io
import pickletools
import sys
import warnings

FACTOR = 18  # bytes of memory for each byte of a pickle
ALLOWANCE = 2**16  # and these bytes besides
SLOT = 18  # bytes of a place on the stack and of one in a list, with what lists keep in reserve
ENTRY = 136  # bytes of an entry of a dict, while it grows, and of its number
KEYS = (str, bytes, int)  # the hash of a deep tuple overflows the stack of the processor

_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def loads(data, allowed, persistent_load=None, allowance=ALLOWANCE):
    """The value of the pickle that some bytes begin with; see `load`."""
    return load(io.BytesIO(data), allowed, persistent_load, allowance)


def load(file, allowed, persistent_load=None, allowance=ALLOWANCE):
    """The value of the pickle that stands next in a file; the file is left just behind it.

    Args:
        file: binary file that can seek.
        allowed: dict (module, name) → what stands for that global. Callables get whatever the pickle gives them and
            have to check it; subclasses of dict are called without arguments.
        persistent_load: function of a persistent id → object.
        allowance: bytes of memory beyond `FACTOR` times the length of the pickle, for pickles of many short values.

    Raises:
        ValueError: the pickle is damaged, ends early, asks for a global, an instruction or a call that is not allowed,
            or for too much memory; the message names it and the byte.
        OSError: the file cannot be read.
    """
    return _Machine(_Source(file), allowed, persistent_load, allowance).run()


class _Source:
    """A file that knows where it is, and does not ask for memory beyond its end."""

    def __init__(self, file):
        self.file, self.at = file, file.tell()
        self.end = file.seek(0, io.SEEK_END)
        file.seek(self.at)

    def read(self, size):
        data = self.file.read(max(min(size, self.end - self.at), 0))
        self.at += len(data)
        return data

    def readline(self):
        line = self.file.readline()
        self.at += len(line)
        return line


class _Machine:
    """A stack, the values to come back to by number (the memo), and the bytes of memory spent."""

    def __init__(self, source, allowed, persistent_load, allowance):
        self.source, self.begin = source, source.at
        self.allowed, self.persistent_load, self.allowance = allowed, persistent_load, allowance
        self.stack, self.below, self.memo, self.spent = [], [], {}, 0  # below: the stacks under each mark

    def run(self):
        while True:
            at = self.source.at
            try:
                name, argument = _read(self.source)
                if name == "STOP":
                    return self.pop()
                _INSTRUCTIONS[name](self, argument)
                if self.spent > self.allowance + FACTOR * (self.source.at - self.begin):
                    raise ValueError(f"would take more memory than {FACTOR} times its length")
            except ValueError as error:
                raise ValueError(f"the pickle {_one_line(error)} (byte {at})") from None

    def push(self, value):
        """Put a new value on the stack."""
        self.spent += sys.getsizeof(value) + SLOT
        self.stack.append(value)

    def push_known(self, value):
        """Put a value on the stack that exists already."""
        self.spent += SLOT
        self.stack.append(value)

    def top(self, kind):
        if not (self.stack and isinstance(self.stack[-1], kind)):
            raise ValueError(f"needs a {kind.__name__} on its stack, where there is none")
        return self.stack[-1]

    def pop(self):
        if not self.stack:
            raise ValueError("takes a value from an empty stack")
        return self.stack.pop()

    def pop_to_mark(self):
        """The values above the last mark, which is removed."""
        if not self.below:
            raise ValueError("goes back to a mark that is not there")
        values, self.stack = self.stack, self.below.pop()
        return values

    def mark(self):
        self.spent += sys.getsizeof([]) + SLOT
        self.below.append(self.stack)
        self.stack = []

    def tuple(self, size):
        if len(self.stack) < size:
            raise ValueError("takes a value from an empty stack")
        values = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.push(values)

    def append(self, values):
        self.top(list).extend(values)

    def dict(self):
        values = self.pop_to_mark()
        self.push({})
        self.set_items(values)

    def set_items(self, values):
        if len(values) % 2 or not all(isinstance(key, KEYS) for key in values[::2]):
            raise ValueError("has a dict whose keys are not text or whole numbers")
        self.spent += ENTRY * len(values)
        self.top(dict).update(zip(values[::2], values[1::2], strict=True))

    def put(self, number):
        """Note the last value under a number."""
        self.spent += ENTRY
        self.memo[number] = self.top(object)

    def get(self, number):
        if number not in self.memo:
            raise ValueError(f"comes back to a value ({number}) that it has not noted")
        self.push_known(self.memo[number])

    def find(self, module, name):
        if (module, name) not in self.allowed:
            known = ", ".join(".".join(pair) for pair in self.allowed) or "none"
            raise ValueError(f"refuses {f'{module}.{name}':.80}; the globals allowed are {known}"[:300])
        self.push_known(self.allowed[module, name])

    def find_on_stack(self):
        name, module = self.pop(), self.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("names a global by something that is not text")
        self.find(module, name)

    def call(self):
        arguments, function = self.pop(), self.pop()
        name = next((".".join(pair) for pair, known in self.allowed.items() if known is function), None)
        if name is None or not isinstance(arguments, tuple):
            raise ValueError(f"calls a value of type {type(function).__name__}, which is not allowed")
        if arguments and isinstance(function, type) and issubclass(function, dict):
            raise ValueError(f"calls {name} with arguments; expected none")  # it might hash them
        self.push(_apply(name, function, *arguments))

    def build(self):
        state = self.pop()
        value = self.top(object)
        set_state = getattr(type(value), "__setstate__", None)
        if set_state:
            _apply(type(value).__name__, set_state, value, state)

    def persistent(self, number):
        if self.persistent_load is None:
            raise ValueError("has a persistent id, which is not allowed")
        self.push(_apply("persistent_load", self.persistent_load, number))


def _apply(name, function, *arguments):
    try:
        return function(*arguments)
    except _FAULTS as error:
        raise ValueError(f"gives {name} what it does not take: {_one_line(error)}") from error


def _read(source):
    """(name, argument) of the next instruction."""
    begin, code = source.at, source.read(1)
    if not code:
        if not begin:
            raise ValueError("is empty")
        raise ValueError("ends before its end is said: is the file whole?")
    operation = pickletools.code2op.get(code.decode("latin-1"))
    if operation is None or not (operation.name in _INSTRUCTIONS or operation.name == "STOP"):
        raise ValueError(f"has the instruction {operation.name if operation else code.hex()}, which is not allowed")
    if operation.arg is None:
        return operation.name, None
    try:
        return operation.name, _READERS.get(operation.name, operation.arg.reader)(source)
    except ValueError as error:
        raise ValueError(f"is damaged or not whole: {_one_line(error)}") from None


def _line(source):
    """Text of a line."""
    line = source.readline()
    if line[-1:] != b"\n":
        raise ValueError("a line without an end")
    return line[:-1].decode("utf-8")


def _python2_string(source):
    """Bytes of a quoted line, as repr wrote them in Python 2."""
    line = source.readline().strip()
    if len(line) < 2 or line[:1] not in b"'\"" or line[-1:] != line[:1]:
        raise ValueError("a string without quotes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that repr does not write
        return codecs.escape_decode(line[1:-1])[0]


def _one_line(error):
    return " ".join(str(error).split())[:300]


# Readers of arguments that pickletools reads in another way: without bytes above 127, and with escapes.
_READERS = {"STRING": _python2_string, "PERSID": _line, "GLOBAL": lambda source: (_line(source), _line(source))}
_VALUES = ("INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING UNICODE SHORT_BINUNICODE BINUNICODE "
           "BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8")

# Name of an instruction → function of the machine and the instruction's argument.
_INSTRUCTIONS = {
    **dict.fromkeys(_VALUES.split(), _Machine.push),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), lambda machine, text: machine.push(text.encode("latin-1"))),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, number: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "NONE": lambda machine, _: machine.push_known(None),
    "NEWTRUE": lambda machine, _: machine.push_known(True),
    "NEWFALSE": lambda machine, _: machine.push_known(False),
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.push_known(machine.top(object)),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push_known(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": lambda machine, _: machine.dict(),
    "LIST": lambda machine, _: machine.push(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: machine.tuple(1),
    "TUPLE2": lambda machine, _: machine.tuple(2),
    "TUPLE3": lambda machine, _: machine.tuple(3),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "GLOBAL": lambda machine, names: machine.find(*names),
    "STACK_GLOBAL": lambda machine, _: machine.find_on_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "PERSID": _Machine.persistent,
    "BINPERSID": lambda machine, _: machine.persistent(machine.pop()),
}
