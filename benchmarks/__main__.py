"""Measure and print ratios: `python -m benchmarks [parts] [--quick]`."""

import argparse
import os
import platform
import sys

from benchmarks import backups, memory, promotions, reading, report, uploads

PARTS = {module.PART: module for module in (promotions, uploads, memory, reading, backups)}


def main() -> int:
    """Return 1 when a goal is missed, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small sizes; writes no report")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    missed = False
    for part in arguments.parts or PARTS:
        lines = PARTS[part].run(arguments.quick)
        for line in lines:
            print(line)
        sys.stdout.flush()
        missed |= not all(line.is_met for line in lines)
        if not arguments.quick:
            report.keep(part, lines)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
