"""What can be wrong with a plant's file, in words that name the place."""


class HistoryError(Exception):
    """Base of every error that this package raises on purpose.

    place: where, e.g. `valve2/0.csv, line 17`. message: what is wrong there and what was expected.
    """

    def __init__(self, message: str, *, place: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.place = place


class NoSuchFile(HistoryError):
    """A path does not exist, or a folder holds no file that can be read."""


class UnreadableFile(HistoryError):
    """The bytes are no text table, or no table in the named format."""


class MissingLibrary(HistoryError):
    """A file format needs a library that is not installed."""


class RaggedRows(HistoryError):
    """A row has more or fewer cells than the header."""


class DuplicateColumns(HistoryError):
    """Two columns share a name, so that a reading would have two meanings."""


class NoSuchColumn(HistoryError):
    """An option names a column that the file does not have."""


class NoSuchSensors(HistoryError):
    """None of the sensors that are asked for is in the recording."""


class LongFormat(HistoryError):
    """Each row holds one reading of one of many sensors, where a column per sensor is expected."""


class NoNumbers(HistoryError):
    """No column holds numbers."""


class TooFewRows(HistoryError):
    """A recording needs two rows at least."""


class BadTimestamps(HistoryError):
    """Time stamps cannot be read, or can be read in two ways."""


class BadLabels(HistoryError):
    """A label column, or a file of events, does not say what it should."""


class NoRoom(HistoryError):
    """A folder cannot hold recordings that are read."""
