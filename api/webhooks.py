"""`/webhooks`: addresses that are told of events."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint, no_content
from api.operation import Paging
from api.representations import Answer
from api.schemas.webhooks import (
    DeliveriesQuery,
    DeliveryOut,
    RedeliverIn,
    SecretRotationIn,
    WebhookIn,
    WebhookOut,
    WebhookPatch,
    WebhooksQuery,
)
from core.errors import ErrorCode
from models.webhooks import WebhookDelivery
from services import webhook_deliveries, webhook_views, webhooks
from services.actors import Actor
from services.paging import CursorPage, CursorRequest, Page, PageRequest
from services.webhook_views import WebhookView
from services.webhooks import WebhookChange

ITEM = "/<id>"
WRITE = (webhooks.WRITE,)


def require_webhook(*, actor: Actor, id: str, **_path: object) -> None:
    """Answer 404 for a webhook that the caller may not know of."""
    webhooks.find_webhook(actor=actor, public_id=id)


def current_webhook(*, actor: Actor, id: str) -> WebhookView:
    """Return a webhook in its present form."""
    found = webhooks.find_webhook(actor=actor, public_id=id)
    return webhook_views.describe(webhooks=[found])[0]


class WebhookList(Resource):
    """The webhooks that one may change."""

    @endpoint(
        summary="List webhooks",
        query=WebhooksQuery,
        response=WebhookOut,
        paging=Paging.PAGE,
        scopes=WRITE,
    )
    def get(self, actor: Actor, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return webhooks."""
        found = webhooks.list_webhooks(actor=actor, page=page, **query)
        return found.with_items(webhook_views.describe(webhooks=found.items))

    @endpoint(
        summary="Create a webhook",
        description="The secret that signs is in the answer, this once. Without `site` it is "
        "told of all sites; that is for whoever manages webhooks everywhere.",
        body=WebhookIn,
        response=WebhookOut,
        status=201,
        scopes=WRITE,
        errors=(ErrorCode.HOST_REFUSED,),
        example={
            "site": "web",
            "url": "https://hooks.example/relevo",
            "topics": ["promotion.*", "release.created"],
        },
    )
    def post(self, actor: Actor, body: dict[str, Any]) -> Answer:
        """Make a webhook."""
        made = webhooks.create_webhook(actor=actor, **body)
        view = webhook_views.with_secret(made=made)
        return Answer(value=view, location=f"/webhooks/{made.webhook.public_id}")


class WebhookItem(Resource):
    """One webhook."""

    @endpoint(
        summary="Show a webhook",
        response=WebhookOut,
        scopes=WRITE,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, id: str) -> WebhookView:
        """Return the webhook."""
        return current_webhook(actor=actor, id=id)

    @endpoint(
        summary="Change a webhook",
        body=WebhookPatch,
        response=WebhookOut,
        scopes=WRITE,
        guard=require_webhook,
        current=current_webhook,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.HOST_REFUSED),
        example={"topics": ["promotion.succeeded"]},
    )
    def patch(
        self, actor: Actor, id: str, body: dict[str, Any], expected_version: int | None
    ) -> WebhookView:
        """Change address, topics, description or state."""
        webhooks.update_webhook(
            actor=actor,
            public_id=id,
            change=WebhookChange(**body),
            expected_version=expected_version,
        )
        return current_webhook(actor=actor, id=id)

    @endpoint(
        summary="Delete a webhook",
        description="With the log of its deliveries; what is on its way is not sent again.",
        status=204,
        scopes=WRITE,
        guard=require_webhook,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def delete(self, actor: Actor, id: str) -> Any:
        """Remove the webhook."""
        webhooks.delete_webhook(actor=actor, public_id=id)
        return no_content()


class WebhookRotation(Resource):
    """A new secret for a webhook."""

    @endpoint(
        summary="Rotate the secret of a webhook",
        description="Calls are signed with both secrets for `overlap_minutes`. Until that is over, "
        "another rotation is refused unless it ends both at once with 0.",
        body=SecretRotationIn,
        response=WebhookOut,
        scopes=WRITE,
        guard=require_webhook,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.INVALID_TRANSITION),
        example={"overlap_minutes": 1440},
    )
    def post(self, actor: Actor, id: str, body: dict[str, Any]) -> WebhookView:
        """Make a new secret."""
        made = webhooks.rotate_secret(actor=actor, public_id=id, **body)
        return webhook_views.with_secret(made=made)


class WebhookTest(Resource):
    """Trying a webhook."""

    @endpoint(
        summary="Send a test event",
        description="An event of the type `webhook.test`, once, even when it is switched off.",
        response=DeliveryOut,
        status=202,
        scopes=WRITE,
        guard=require_webhook,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def post(self, actor: Actor, id: str) -> Answer:
        """Send the event."""
        return _on_its_way(id, webhook_deliveries.send_test(actor=actor, public_id=id))


class WebhookRedelivery(Resource):
    """Sending something once more."""

    @endpoint(
        summary="Deliver an event again",
        description="Now, with the same `webhook-id`; if it fails it is tried again as usual.",
        body=RedeliverIn,
        response=DeliveryOut,
        status=202,
        scopes=WRITE,
        guard=require_webhook,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.WEBHOOK_INACTIVE),
    )
    def post(self, actor: Actor, id: str, body: dict[str, Any]) -> Answer:
        """Send it once more."""
        return _on_its_way(id, webhook_deliveries.redeliver(actor=actor, public_id=id, **body))


class DeliveryList(Resource):
    """The log of a webhook."""

    @endpoint(
        summary="List deliveries of a webhook",
        description="Newest first, for 30 days.",
        query=DeliveriesQuery,
        response=DeliveryOut,
        paging=Paging.CURSOR,
        scopes=WRITE,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(
        self, actor: Actor, id: str, page: CursorRequest, query: dict[str, Any]
    ) -> CursorPage[Any]:
        """Return deliveries."""
        return webhook_deliveries.list_deliveries(actor=actor, public_id=id, page=page, **query)


class DeliveryItem(Resource):
    """One delivery."""

    @endpoint(
        summary="Show a delivery of a webhook",
        response=DeliveryOut,
        scopes=WRITE,
        errors=(ErrorCode.NOT_FOUND,),
    )
    def get(self, actor: Actor, id: str, delivery: str) -> WebhookDelivery:
        """Return the delivery."""
        return webhook_deliveries.get_delivery(actor=actor, public_id=id, delivery=delivery)


def _on_its_way(webhook_id: str, delivery: WebhookDelivery) -> Answer:
    location = f"/webhooks/{webhook_id}/deliveries/{delivery.public_id}"
    return Answer(value=delivery, status=202, location=location)


def namespace() -> Namespace:
    """Return the routes below `/webhooks`."""
    routes = Namespace("webhooks", description="Addresses told of events", path="/webhooks")
    routes.add_resource(WebhookList, "")
    routes.add_resource(WebhookItem, ITEM)
    routes.add_resource(WebhookRotation, f"{ITEM}/rotate")
    routes.add_resource(WebhookTest, f"{ITEM}/test")
    routes.add_resource(WebhookRedelivery, f"{ITEM}/redeliver")
    routes.add_resource(DeliveryList, f"{ITEM}/deliveries")
    routes.add_resource(DeliveryItem, f"{ITEM}/deliveries/<delivery>")
    return routes
