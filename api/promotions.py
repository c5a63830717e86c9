"""`/sites/{slug}/plan`, `promotions`, `rollback`, `backups` and `drift`."""

from typing import Any

from flask_restx import Namespace, Resource

from api import guards
from api.endpoint import endpoint
from api.operation import Paging
from api.promotion_problems import shown_in_problem
from api.representations import Answer
from api.schemas.promotions import (
    BackupOut,
    BackupsQuery,
    DriftOut,
    DriftQuery,
    DryRunOut,
    PlanOut,
    PlanQuery,
    PromotionIn,
    PromotionOut,
    PromotionsQuery,
    RollbackIn,
    WaitQuery,
)
from core.errors import ErrorCode
from models.promotions import Promotion, PromotionState
from services import (
    backups,
    drift,
    plans,
    promotion_views,
    promotions,
    request_gate,
    rollbacks,
    waits,
)
from services.actors import Actor
from services.backups import BackupView
from services.drift import Drift
from services.paging import Page, PageRequest
from services.plans import Plan
from services.promotion_rows import Moved
from services.promotion_rules import PromotionOrder
from services.promotion_views import PromotionView

UNFINISHED = (PromotionState.PENDING_APPROVAL, PromotionState.QUEUED, PromotionState.RUNNING)
REFUSALS = (
    ErrorCode.PROMOTION_IN_PROGRESS,
    ErrorCode.RELEASE_NOT_READY,
    ErrorCode.DRIFT_DETECTED,
    ErrorCode.PROMOTION_FAILED,
    ErrorCode.INSUFFICIENT_DISK,
)


class PlanItem(Resource):
    """What a promotion would change."""

    @endpoint(
        summary="Show what a promotion would change",
        query=PlanQuery,
        response=PlanOut,
        scopes=("sites:read",),
        errors=(ErrorCode.RELEASE_NOT_READY,),
    )
    def get(self, actor: Actor, slug: str, query: dict[str, Any]) -> Plan:
        """Compare a release with what is live, file by file."""
        return plans.plan(actor=actor, slug=slug, **query)


class PromotionList(Resource):
    """The promotions of one site."""

    @endpoint(
        summary="List promotions",
        query=PromotionsQuery,
        response=PromotionOut,
        paging=Paging.PAGE,
        csv=True,
        scopes=("sites:read",),
    )
    def get(self, actor: Actor, slug: str, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return the promotions, newest first."""
        found = promotions.list_promotions(actor=actor, slug=slug, page=page, **query)
        return found.with_items(promotion_views.describe(slug=slug, promotions=found.items))

    @endpoint(
        summary="Promote a release",
        description="Visitors see the old release or the new one, never a mix. With `dry_run` "
        "nothing changes and the answer is the plan. Where a policy asks for approval the answer "
        "is 202 and names the `request`. Send an Idempotency-Key with every attempt.",
        body=PromotionIn,
        query=WaitQuery,
        response=PromotionOut,
        status=201,
        statuses={200: DryRunOut, 202: PromotionOut},
        scopes=("promotions:write",),
        guard=guards.on_site("promotions:write"),
        errors=(
            *REFUSALS,
            ErrorCode.ENVIRONMENT_LOCKED,
            ErrorCode.ENVIRONMENT_HELD,
            ErrorCode.OLDER_RELEASE,
            ErrorCode.RELEASE_MARKED_BAD,
            ErrorCode.PLAN_CHANGED,
            ErrorCode.BASE_CHANGED,
            ErrorCode.BACKUP_FAILED,
            ErrorCode.APPROVAL_REQUIRED,
            ErrorCode.APPROVAL_STALE,
            ErrorCode.NO_ELIGIBLE_APPROVER,
        ),
        example={"to": "main"},
    )
    def post(self, actor: Actor, slug: str, body: dict[str, Any], query: dict[str, Any]) -> Answer:
        """Make an environment show a release."""
        is_dry_run = body.pop("dry_run")
        order = PromotionOrder(**body)
        waits.for_release(actor=actor, slug=slug, reference=order.release, seconds=query["wait"])
        if is_dry_run:
            trial = promotions.dry_run(actor=actor, slug=slug, order=order)
            document = {**vars(trial.plan), "would": trial.would, "refusal": trial.refusal}
            return Answer(value=document, status=200)
        with shown_in_problem(slug):
            made = promotions.move(actor=actor, slug=slug, order=order)
        return _made(actor, slug, made)


class PromotionItem(Resource):
    """One promotion."""

    @endpoint(
        summary="Show a promotion", query=WaitQuery, response=PromotionOut, scopes=("sites:read",)
    )
    def get(self, actor: Actor, slug: str, number: int, query: dict[str, Any]) -> PromotionView:
        """Return the promotion, with `wait` as soon as it has ended."""
        waits.for_promotion(actor=actor, slug=slug, number=number, seconds=query["wait"])
        promotion = promotions.get_promotion(actor=actor, slug=slug, number=number)
        return _view(slug, promotion)


class PromotionCancel(Resource):
    """A promotion that waits for approval."""

    @endpoint(
        summary="Cancel a promotion that waits for approval",
        description="Its request is cancelled with it.",
        response=PromotionOut,
        scopes=("promotions:write",),
        guard=guards.on_site("promotions:write"),
        errors=(ErrorCode.INVALID_TRANSITION,),
    )
    def post(self, actor: Actor, slug: str, number: int) -> PromotionView:
        """Give the promotion up."""
        promotion = request_gate.cancel_promotion(actor=actor, slug=slug, number=number)
        return _view(slug, promotion)


class Rollback(Resource):
    """The way back."""

    @endpoint(
        summary="Roll an environment back",
        description="To the nearest verified good release on the way back, or to the one named, "
        "which this environment must have shown before. Each call goes further back. Works "
        "under a lock and sets a hold against tokens and automatic publishing.",
        body=RollbackIn,
        query=WaitQuery,
        response=PromotionOut,
        status=201,
        scopes=("promotions:rollback",),
        guard=guards.on_site("promotions:rollback"),
        errors=(*REFUSALS, ErrorCode.RELEASE_MARKED_BAD),
        example={"reason": "Broken menu"},
    )
    def post(self, actor: Actor, slug: str, body: dict[str, Any], query: dict[str, Any]) -> Answer:
        """Show an earlier release again."""
        waits.for_release(actor=actor, slug=slug, reference=body["release"], seconds=query["wait"])
        with shown_in_problem(slug):
            made = rollbacks.roll_back(actor=actor, slug=slug, **body)
        return _made(actor, slug, made)


class BackupList(Resource):
    """The restore points of one site."""

    @endpoint(
        summary="List restore points",
        query=BackupsQuery,
        response=BackupOut,
        paging=Paging.PAGE,
        scopes=("sites:read",),
    )
    def get(
        self, actor: Actor, slug: str, page: PageRequest, query: dict[str, Any]
    ) -> Page[BackupView]:
        """Return what environments showed before each promotion, newest first."""
        return backups.list_backups(actor=actor, slug=slug, page=page, **query)


class BackupItem(Resource):
    """One restore point."""

    @endpoint(summary="Show a restore point", response=BackupOut, scopes=("sites:read",))
    def get(self, actor: Actor, slug: str, backup_id: str) -> BackupView:
        """Return the restore point."""
        return backups.get_backup(actor=actor, slug=slug, backup_id=backup_id)


class DriftItem(Resource):
    """Whether what is served is what should be."""

    @endpoint(
        summary="Look for drift",
        query=DriftQuery,
        response=DriftOut,
        scopes=("sites:read",),
        errors=(ErrorCode.RELEASE_NOT_READY,),
    )
    def get(self, actor: Actor, slug: str, query: dict[str, Any]) -> Drift:
        """Compare the served files with the release."""
        return drift.examine(actor=actor, slug=slug, **query)


def add_routes(routes: Namespace) -> None:
    """Add the routes that move pointers or tell about them."""
    routes.add_resource(PlanItem, "/<slug>/plan")
    routes.add_resource(PromotionList, "/<slug>/promotions")
    routes.add_resource(PromotionItem, "/<slug>/promotions/<int:number>")
    routes.add_resource(PromotionCancel, "/<slug>/promotions/<int:number>/cancel")
    routes.add_resource(Rollback, "/<slug>/rollback")
    routes.add_resource(BackupList, "/<slug>/backups")
    routes.add_resource(BackupItem, "/<slug>/backups/<backup_id>")
    routes.add_resource(DriftItem, "/<slug>/drift")


def _view(slug: str, promotion: Promotion) -> PromotionView:
    return promotion_views.describe(slug=slug, promotions=[promotion])[0]


def _made(actor: Actor, slug: str, made: Promotion | Moved) -> Answer:
    view = promotion_views.of_made(slug=slug, actor=actor, made=made)
    return Answer(
        value=view,
        status=202 if view.state in UNFINISHED else 201,
        location=f"/sites/{slug}/promotions/{view.number}",
    )
