"""The chapter of the Postman collection about requests: filed by one, judged by another."""

from api.postman_parts import CI, PERSON, Chapter, Step, sign_in_person

_ONE, _TAG = {"number": "{{request}}"}, {"name": "size/{{run}}"}
_POLICY = {"id": "{{policy}}"}
_COMMENT = {**_ONE, "comment_id": "{{comment}}"}
_KEEP = {"request": "answer.number"}
_PROMOTION = {
    "type": "promotion",
    "title": "Publish the second release",
    "site": "{{site}}",
    "environment": "main",
    "payload": {"from": "test"},
}
_NEW_RUN = ("pm.collectionVariables.set('run', Date.now().toString(36));",)

_RULES = (
    Step(
        operation="post_approval_policies",
        name="Ask for one approval of promotions to main",
        body={
            "type": "promotion",
            "site": "{{site}}",
            "environment": "main",
            "required_approvals": 1,
        },
        keep={"policy": "answer.id"},
    ),
    Step(operation="list_approval_policies", query={"site": "{{site}}"}),
    Step(operation="get_approval_policies_by_id", path=_POLICY),
    Step(operation="patch_approval_policies_by_id", path=_POLICY, body={"valid_hours": 24}),
    Step(
        operation="post_tags",
        body={"name": "size/{{run}}", "colour": "#d73a4a"},
        before=_NEW_RUN,
    ),
    Step(operation="list_tags"),
    Step(operation="get_tags_by_name", path=_TAG),
    Step(operation="patch_tags_by_name", path=_TAG, body={"description": "Takes an hour"}),
)
_FILING = (
    sign_in_person("Sign in as the developer"),
    Step(
        operation="post_requests",
        body={**_PROMOTION, "draft": True, "auto_execute": False},
        credential=PERSON,
        keep=_KEEP,
    ),
    Step(
        operation="patch_requests_by_number",
        path=_ONE,
        body={"priority": "high"},
        credential=PERSON,
    ),
    Step(operation="put_requests_tags", path=_ONE, body={"tags": ["size/{{run}}"]}),
    Step(operation="put_requests_assignees", path=_ONE, body={"assignees": ["{{username}}"]}),
    Step(operation="post_requests_submit", path=_ONE, credential=PERSON),
    Step(operation="list_requests", query={"state": "pending"}),
    Step(operation="get_requests_by_number", path=_ONE),
    Step(
        operation="post_requests_comments",
        path=_ONE,
        body={"body": "The menu is new."},
        credential=PERSON,
        keep={"comment": "answer.id"},
    ),
    Step(operation="list_requests_comments", path=_ONE),
    Step(operation="get_requests_comments_by_comment_id", path=_COMMENT),
    Step(
        operation="patch_requests_comments_by_comment_id",
        path=_COMMENT,
        body={"body": "The menu and the footer are new."},
        credential=PERSON,
    ),
)
_JUDGING = (
    Step(operation="post_requests_request_info", path=_ONE, body={"comment": "Who has read it?"}),
    Step(
        operation="post_requests_answer",
        path=_ONE,
        body={"comment": "Two of us."},
        credential=PERSON,
    ),
    Step(operation="post_requests_approve", path=_ONE, body={"comment": "Good"}),
    Step(operation="post_requests_withdraw", path=_ONE, body={"reason": "One more look"}),
    Step(operation="post_requests_approve", name="Approve again", path=_ONE, body={}),
    Step(operation="post_requests_execute", path=_ONE, credential=PERSON),
    Step(operation="post_requests_retry", path=_ONE, credential=PERSON, expect=(409,)),
    Step(operation="list_requests_reviews", path=_ONE),
    Step(operation="list_requests_timeline", path=_ONE),
    Step(operation="list_requests_inbox"),
    Step(operation="get_requests_stats", query={"site": "{{site}}"}),
)
_OTHER_ENDS = (
    Step(
        operation="post_requests",
        name="File a request that is rejected",
        body=_PROMOTION,
        credential=PERSON,
        keep=_KEEP,
    ),
    Step(operation="post_requests_reject", path=_ONE, body={"reason": "It is live already."}),
    Step(operation="post_requests_revise", path=_ONE, credential=PERSON),
    Step(operation="post_requests_cancel", path=_ONE, credential=PERSON),
    Step(
        operation="post_requests",
        name="File a request in an emergency",
        body=_PROMOTION,
        credential=PERSON,
        keep=_KEEP,
    ),
    Step(
        operation="post_requests_override",
        path=_ONE,
        body={"reason": "The shop is down", "password": "{{password}}"},
    ),
    Step(
        operation="post_requests_reviews",
        name="Nobody reviews afterwards what they overrode",
        path=_ONE,
        body={"was_right": True},
        expect=(403,),
    ),
    Step(
        operation="post_requests",
        name="Ask for something that a person does",
        body={"type": "general", "title": "A new logo", "site": "{{site}}"},
        credential=PERSON,
        keep=_KEEP,
    ),
    Step(operation="post_requests_resolve", path=_ONE, body={"comment": "Done"}),
    Step(
        operation="post_sites_releases",
        name="Upload what is to be approved",
        archive="fourth",
        credential=CI,
    ),
    Step(
        operation="post_sites_promotions",
        name="Promote where an approval is needed",
        body={"from": "test", "to": "main"},
        credential=PERSON,
        keep={"waiting": "answer.number"},
    ),
    Step(operation="post_sites_promotions_cancel", path={"number": "{{waiting}}"}),
    Step(operation="delete_tags_by_name", path=_TAG),
    Step(operation="delete_approval_policies_by_id", path=_POLICY),
)

REQUESTS = Chapter("Requests", (*_RULES, *_FILING, *_JUDGING, *_OTHER_ENDS))
