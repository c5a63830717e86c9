"""What happens to an upload after it was received: it is published where the policy says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy.exc import IntegrityError

from core.errors import ConflictError, DomainError, ErrorCode
from models.environments import Environment
from models.promotions import Promotion, PromotionKind
from models.releases import ReleaseState
from models.sites import Site
from services import (
    access,
    approval_rules,
    drift,
    plans,
    promotions,
    receiving,
    recovery,
    releases,
    switching,
)
from services.actors import Actor
from services.environments import is_locked, list_environments
from services.pointer_state import Seen, locked_environment
from services.promotion_facts import (
    AnyEnvironment,
    AnyRelease,
    environment_named,
    release_by_id,
)
from services.promotion_rows import Move
from services.promotion_rules import PromotionOrder, is_older
from services.releases import ReceiveOptions, Upload
from services.switching import Stopwatch
from services.transaction import repeatable, transaction
from storage.spool import Readable

TO_NONE = "none"
PUBLISH_WAIT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class PublishedUpload:
    """An upload and what it moved.

    `published` holds the automatic publications that took place; `promotion` the one that was
    asked for by naming an environment that does not publish by itself.
    """

    upload: Upload
    published: tuple[Promotion, ...]
    promotion: Promotion | None


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The environments to publish to by themselves, and the one to promote to."""

    automatic: tuple[str, ...] = ()
    asked: str | None = None


def upload(
    *,
    actor: Actor,
    slug: str,
    stream: Readable,
    to: str | None = None,
    options: ReceiveOptions | None = None,
) -> PublishedUpload:
    """Receive an archive and publish it.

    Args:
        actor: who uploads.
        slug: the site.
        stream: the archive.
        to: an environment, `none`, or None for all whose policy is `auto`.
        options: how to read the archive and what the uploader says about it.

    Raises:
        InvalidInputError: `to` names no environment, or the archive is refused.
        ForbiddenError: `to` does not publish by itself and promotions:write is missing.
        ConflictError: the promotion that `to` asks for is refused; the release stays.
    """
    targets = targets_of(actor=actor, slug=slug, to=to)
    received = receiving.receive(actor=actor, slug=slug, stream=stream, options=options)
    return publish(actor=actor, slug=slug, upload=received, targets=targets)


def targets_of(*, actor: Actor, slug: str, to: str | None) -> Targets:
    """Return where an upload is to be shown, before anything of it is read.

    Raises:
        InvalidInputError: `to` names no environment.
        ForbiddenError: `to` does not publish by itself and promotions:write is missing.
    """
    site = access.find_site(actor=actor, slug=slug, scopes=releases.WRITE)
    return _targets(actor, site, to)


def publish(
    *,
    actor: Actor,
    slug: str,
    upload: Upload,
    targets: Targets,
    guard: promotions.Guard | None = None,
) -> PublishedUpload:
    """Show a received upload where it is wanted.

    Args:
        actor: who uploaded.
        slug: the site.
        upload: what was received.
        targets: where it is wanted.
        guard: see `promotions.promote`.

    Raises:
        ConflictError: the promotion that was asked for is refused; the release stays.
    """
    published: list[Promotion] = []
    promotion = None
    with _kept_named(upload.release.number, published):
        site = access.find_site(actor=actor, slug=slug, scopes=releases.WRITE)
        release_id, number = upload.release.id, upload.release.number
        drift.look_again(site_id=site.id)
        for name in targets.automatic:
            move = _publish(actor, site, name, release_id, guard)
            published += [move] if move is not None else []
        if targets.asked is not None:
            order = PromotionOrder(to=targets.asked, release=number)
            promotion = promotions.promote(actor=actor, slug=slug, order=order, guard=guard)
    return PublishedUpload(upload=upload, published=tuple(published), promotion=promotion)


@contextmanager
def _kept_named(number: int, published: list[Promotion]) -> Iterator[None]:
    """Say in a refusal that the upload itself was kept, under which number, and where it shows."""
    try:
        yield
    except DomainError as error:
        names = [promotion.to_environment for promotion in published]
        shown = f" and published to {', '.join(names)}" if names else ""
        error.members.setdefault("release", number)
        error.detail = f"The upload was kept as release {number}{shown}. {error.detail}"
        raise


def _targets(actor: Actor, site: Site, to: str | None) -> Targets:
    if to == TO_NONE:
        return Targets()
    if to is None:
        automatic = [
            environment.name
            for environment in list_environments(actor=actor, slug=site.slug)
            if _publishes(environment)
            and (actor.token_environments is None or environment.name in actor.token_environments)
        ]
        return Targets(automatic=tuple(automatic))
    environment = plans.environment_named(site=site, name=to, pointer="?to")
    access.require_environment(actor=actor, environment=to, scope="releases:write")
    if _publishes(environment):
        return Targets(automatic=(to,))
    access.require_on_site(actor=actor, site=site, scopes=promotions.WRITE)
    return Targets(asked=to)


def _publishes(environment: Environment) -> bool:
    """Tell whether uploads go there by themselves; never where an approval is needed."""
    is_automatic = bool(environment.policy.get("auto"))
    return is_automatic and not approval_rules.is_protected(environment=environment)


def _publish(
    actor: Actor, site: Site, name: str, release_id: int, guard: promotions.Guard | None = None
) -> Promotion | None:
    """Publish one release to one environment; None when a lock, a hold or a newer one stops it.

    Publications take turns, and one that finds something newer live leaves it there, so that
    the newest submission ends live whatever the order of the turns.
    """
    watch = Stopwatch()
    with switching.environment_turn(
        slug=site.slug, environment=name, wait_seconds=PUBLISH_WAIT_SECONDS
    ):
        try:
            begun, seen = recovery.settled(
                slug=site.slug,
                environment=name,
                begin=partial(_begin, actor, site, name, release_id, guard),
            )
        except ConflictError as error:
            if error.code is ErrorCode.DRIFT_DETECTED:
                return None
            raise
        watch.lap("check")
        if begun is None:
            return None
        made = promotions.finish(actor=actor, site=site, begun=begun, watch=watch, seen=seen)
        return promotions.loaded(made)


@repeatable()
def _begin(
    actor: Actor,
    site: Site,
    name: str,
    release_id: int,
    guard: promotions.Guard | None,
    seen: Seen | None,
) -> Move | Promotion | None:
    try:
        with transaction() as session:
            if guard is not None:
                guard()
            found = environment_named(session.connection(), site_id=site.id, name=name)
            if found is None:
                raise plans.unknown_environment("?to")
            environment = locked_environment(found.id, seen)
            release = release_by_id(session.connection(), release_id, lock=True)
            if _is_stopped(environment, release):
                return None
            if environment.release_id == release.id:
                return promotions.unchanged(
                    actor=actor,
                    site=site,
                    environment=environment,
                    release=release,
                    kind=PromotionKind.PUBLISH,
                )
            return switching.begin(
                actor=actor,
                site=site,
                environment=environment,
                release=release,
                kind=PromotionKind.PUBLISH,
            )
    except IntegrityError as error:
        raise switching.in_progress() from error


def _is_stopped(environment: AnyEnvironment, release: AnyRelease) -> bool:
    if release.state is not ReleaseState.READY:
        return True  # deleted since it was stored
    if is_locked(environment=environment) or environment.held_at is not None:
        return True
    live = environment.release
    return live is not None and is_older(release, live)
