"""Everything that workers do: the kinds of jobs, and what is done every so often.

The one place that knows them all; a feature adds a line here.
"""

from core.clockwork import Chore
from core.jobs import JobKind
from services import audit_proof, jobs, recovery, upkeep

KINDS: tuple[JobKind, ...] = ()

CHORES: tuple[Chore, ...] = (
    Chore(name="recovery", every_seconds=60, run=recovery.recover_all),
    Chore(
        name="compression",
        every_seconds=2,
        run=upkeep.compress_all,
        is_wanted=upkeep.needs_compression,
    ),
    Chore(name="scrub", every_seconds=60, run=upkeep.scrub_next),
    Chore(name="forget", every_seconds=600, run=upkeep.forget),
    Chore(name="jobs.forget", every_seconds=600, run=jobs.forget),
    Chore(name="sweep", every_seconds=3600, run=upkeep.sweep),
    Chore(name="anchor", every_seconds=3600, run=audit_proof.log_anchor),
)
