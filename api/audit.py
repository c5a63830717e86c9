"""`/audit`: who did what, and the proof that nobody changed the record."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint
from api.operation import Paging
from api.schemas.audit import AuditEventOut, AuditQuery, ProofOut, VerifyQuery
from services import audit_proof, audit_trail
from services.actors import Actor
from services.audit_proof import Proof
from services.audit_trail import AuditFilter
from services.paging import CursorPage, CursorRequest


class AuditList(Resource):
    """The trail."""

    @endpoint(
        summary="List audit events",
        description="Newest first.",
        query=AuditQuery,
        response=AuditEventOut,
        paging=Paging.CURSOR,
        csv=True,
        scopes=("audit:read",),
    )
    def get(self, actor: Actor, page: CursorRequest, query: dict[str, Any]) -> CursorPage[Any]:
        """Return events."""
        return audit_trail.list_events(actor=actor, page=page, wanted=AuditFilter(**query))


class AuditProof(Resource):
    """The proof."""

    @endpoint(
        summary="Verify the audit trail",
        description="Walks the whole chain. `anchor` of an earlier answer also shows a cut end.",
        query=VerifyQuery,
        response=ProofOut,
        scopes=("audit:read",),
    )
    def get(self, actor: Actor, query: dict[str, Any]) -> Proof:
        """Return whether the trail is what was written."""
        return audit_proof.verify(actor=actor, **query)


def namespace() -> Namespace:
    """Return the routes below `/audit`."""
    routes = Namespace("audit", description="Who did what", path="/audit")
    routes.add_resource(AuditList, "")
    routes.add_resource(AuditProof, "/verify")
    return routes
