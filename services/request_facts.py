"""What a reviewer looks at, its fingerprint, and whether it still holds."""

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import select

from core.clock import isoformat
from models.approval_policies import DriftRule
from models.engine import db
from models.environments import Environment
from models.releases import Release
from models.requests import ChangeRequest, RequestReview, RequestType, Verdict
from models.roles import Role
from services import approvers, request_access
from services.approval_rules import Rule

TARGET_FACTS = frozenset({"live_release", "live_digest"})
Changed = list[dict[str, object]]


def facts_of(*, request: ChangeRequest, rule: Rule) -> dict[str, object]:
    """Return what a request would do, and the circumstances its approval is bound to."""
    common: dict[str, object] = {
        "type": request.type.value,
        "title": request.title,
        "body_sha256": hashlib.sha256(request.body.encode()).hexdigest(),
        "site": request.site.slug if request.site else None,
        "auto_execute": request.auto_execute,
        "scheduled_for": isoformat(request.scheduled_for) if request.scheduled_for else None,
        "policy": rule.facts,
    }
    if request.type is RequestType.PROMOTION:
        return common | _promotion_facts(request)
    if request.type is RequestType.ACCESS:
        return common | _access_facts(request)
    return common


def fingerprint_of(*, facts: Mapping[str, object]) -> str:
    """Return the hash that an approval is bound to; the target counts by policy only."""
    text = json.dumps(_binding(facts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def changes_since(*, request: ChangeRequest, rule: Rule | None = None) -> Changed:
    """Return what differs now from what was reviewed, as `{field, old, new}`."""
    rule = rule or request_access.rule_of(request=request)
    old, new = _binding(request.facts), _binding(facts_of(request=request, rule=rule))
    return [
        {"field": name, "old": old.get(name), "new": new.get(name)}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def missing_target(*, request: ChangeRequest) -> Changed:
    """Return the site or the environment of a request that was deleted, as a change."""
    if request.site_id is None and request.site_slug is not None:
        return gone("site", request.site_slug)
    if request.environment is None:
        return []
    if request_access.environment_id_of(request=request) is None:
        return gone("environment", request.environment)
    return []


def gone(field: str, name: str) -> Changed:
    """Return the change that something a request is about is not there any more."""
    return [{"field": field, "old": name, "new": None}]


def lost_approvals(*, request: ChangeRequest, rule: Rule) -> Changed:
    """Return a change when fewer approvals count now than are needed.

    Somebody who approved may have been deactivated or have lost the role since.
    """
    if request.emergency:
        return []
    count = len(counted_approvals(request=request, rule=rule))
    if count >= rule.required_approvals:
        return []
    return [{"field": "approvals", "old": rule.required_approvals, "new": count}]


def counted_approvals(*, request: ChangeRequest, rule: Rule) -> frozenset[int]:
    """Return who approved the present revision and still may."""
    votes = db.session.scalars(
        select(RequestReview.user_id).where(
            RequestReview.request_id == request.id,
            RequestReview.revision == request.revision,
            RequestReview.verdict == Verdict.APPROVE,
            RequestReview.withdrawn_at.is_(None),
        )
    ).all()
    if not votes:
        return frozenset()
    ballot = request_access.ballot_of(request=request, rule=rule)
    return frozenset(votes) & approvers.eligible(ballot=ballot)


def _binding(facts: Mapping[str, object]) -> dict[str, object]:
    policy = facts.get("policy")
    drift = policy.get("drift") if isinstance(policy, Mapping) else None
    left_out = TARGET_FACTS if drift == DriftRule.SOURCE_ONLY.value else frozenset()
    return {name: value for name, value in facts.items() if name not in left_out}


def _promotion_facts(request: ChangeRequest) -> dict[str, object]:
    live = db.session.execute(
        select(Release.number, Release.digest)
        .join(Environment, Environment.release_id == Release.id)
        .where(Environment.site_id == request.site_id, Environment.name == request.environment)
    ).first()
    release = request.release
    return {
        "environment": request.environment,
        "from": request.payload.get("from"),
        "comment": request.payload.get("comment"),
        "release": release.number if release else None,
        "digest": release.digest if release else None,
        "live_release": live.number if live else None,
        "live_digest": live.digest if live else None,
        "allow_older": request.payload.get("allow_older"),
        "allow_bad": request.payload.get("allow_bad"),
    }


def _access_facts(request: ChangeRequest) -> dict[str, object]:
    name = request.payload.get("role")
    effective = db.session.scalar(select(Role.effective).where(Role.name == name))
    return {
        "user_id": request.beneficiary_id,
        "role": name,
        "permissions": sorted(effective) if effective is not None else None,
        "duration_hours": request.payload.get("duration_hours"),
    }
