"""What the service takes of its machine: processor time, memory, open files, over all its workers."""

from prometheus_client import ProcessCollector

from detector.windows import Floats
from service.measuring.exposition import Family, Kind
from service.measuring.ledger import Ledger

_CPU, _START = "process_cpu_seconds", "process_start_time_seconds"
_DECIMALS = {_CPU: 2, _START: 2}


class ProcessMetrics:
    """Names and meanings are the client library's, which reads /proc; elsewhere there are none."""

    def __init__(self, ledger: Ledger) -> None:
        self._collector = ProcessCollector(registry=None)
        self._families: list[Family] = []
        self._cells: dict[str, Floats] = {}
        for found in self._collector.collect():
            kind: Kind = "counter" if found.type == "counter" else "gauge"
            live = kind == "gauge" and found.name != _START
            decimals = _DECIMALS.get(found.name, 0)
            family = Family(found.name, kind, found.documentation, decimals, ledger, live=live)
            self._families.append(family)
            self._cells[found.name] = family.add([{}])
        self._cpu_before = float(self._cells[_CPU][0]) if self._cells else 0.0

    def publish(self) -> None:
        """Read anew what this process takes."""
        for found in self._collector.collect():
            value = found.samples[0].value
            if found.name == _CPU:
                # What the worker took whose place this is; the service has not begun anew.
                value += self._cpu_before
            elif found.name == _START:
                # Of the service: its first worker's.
                value = float(self._cells[_START][0]) or value
            self._cells[found.name][0] = value

    def render(self) -> bytes:
        self.publish()
        return b"".join(family.render() for family in self._families)
