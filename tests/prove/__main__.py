"""Run the campaigns and write what was seen: `python -m tests.prove [names] [--quick]`."""

import argparse
import importlib
import pkgutil
import sys
import time
from types import ModuleType

import tests.prove
from tests.prove import report, seeds


def campaigns() -> dict[str, ModuleType]:
    """Return every module of this package that has a NAME and a `run`."""
    found = {}
    for module in pkgutil.iter_modules(tests.prove.__path__):
        if module.name.startswith(("test_", "__")):
            continue
        loaded = importlib.import_module(f"tests.prove.{module.name}")
        if hasattr(loaded, "NAME") and hasattr(loaded, "run"):
            found[str(loaded.NAME)] = loaded
    return found


def main() -> int:
    """Return 1 when a figure misses its threshold, 0 otherwise."""
    known = campaigns()
    arguments = _arguments(sorted(known))
    if arguments.seed is not None:
        seeds.set_seed(arguments.seed)
    missed = False
    for name in arguments.names or sorted(known):
        started = time.monotonic()
        figures = known[name].run(full=not arguments.quick)
        result = report.judged(known[name], figures, seconds=time.monotonic() - started)
        sys.stdout.write(report.as_text(result))
        sys.stdout.flush()
        missed |= result.missed
        if not arguments.quick:
            report.keep(result)
    return int(missed)


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*names, []], help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="few rounds; writes no report")
    parser.add_argument("--seed", type=int, help="repeat the random choices of an earlier run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
