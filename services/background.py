"""Everything that workers do: the kinds of jobs, and what is done every so often.

The one place that knows them all; a feature adds a line here.
"""

from core.clockwork import Chore
from core.jobs import JobKind, Queue
from services import (
    audit_proof,
    jobs,
    mail,
    pruning,
    recovery,
    request_clock,
    token_warnings,
    upkeep,
    uploads,
    webhook_pump,
    webhook_queue,
    webhook_sending,
)

KINDS: tuple[JobKind, ...] = (
    uploads.PROCESS,
    pruning.PRUNE,
    pruning.DELETE,
    JobKind(
        name=mail.KIND,
        run=mail.run_job,
        max_attempts=mail.MAX_ATTEMPTS,
        gave_up=mail.give_up,
    ),
    JobKind(name=webhook_queue.KIND, run=webhook_sending.run_job, queue=Queue.WEBHOOKS),
)

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
    Chore(
        name="webhooks.pump",
        every_seconds=1,
        run=webhook_pump.pump,
        is_wanted=webhook_pump.is_waiting,
        is_prompt=True,
    ),
    Chore(name="webhooks.revive", every_seconds=60, run=webhook_pump.revive),
    Chore(name="webhooks.forget", every_seconds=3600, run=webhook_pump.forget),
    Chore(name="tokens.warn", every_seconds=3600, run=token_warnings.warn),
    Chore(name="mail.forget", every_seconds=3600, run=mail.forget),
    Chore(name="uploads.sweep", every_seconds=3600, run=uploads.sweep),
    Chore(name="sweep", every_seconds=3600, run=upkeep.sweep),
    Chore(name="requests", every_seconds=60, run=request_clock.tick),
    Chore(name="anchor", every_seconds=3600, run=audit_proof.log_anchor),
)
