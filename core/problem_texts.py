"""What each problem means and what to do about it: the text behind `/problems/<code>`."""

from dataclasses import dataclass

from core.errors import ErrorCode


@dataclass(frozen=True)
class ProblemText:
    """The page of one problem: a short title, what happened, what to do."""

    title: str
    explanation: str
    remedy: str


_GENERAL: dict[ErrorCode, ProblemText] = {
    ErrorCode.BAD_REQUEST: ProblemText(
        "Bad request",
        "The request could not be understood, or the connection ended before it was complete.",
        "Check the request line, the headers and the length of the body, then send it again.",
    ),
    ErrorCode.MALFORMED_JSON: ProblemText(
        "Malformed JSON",
        "The body is not valid JSON in UTF-8.",
        "Validate the body with a JSON parser; single quotes and trailing commas are not JSON.",
    ),
    ErrorCode.NOT_FOUND: ProblemText(
        "Not found",
        "There is no such thing, or the credential in use may not see it.",
        "Check the address. If it exists, ask the owner of the site for a membership.",
    ),
    ErrorCode.METHOD_NOT_ALLOWED: ProblemText(
        "Method not allowed",
        "This address exists but does not know this method.",
        "Use one of the methods in the Allow header.",
    ),
    ErrorCode.NOT_ACCEPTABLE: ProblemText(
        "Not acceptable",
        "The Accept header excludes every format this operation can answer in.",
        "Send Accept: application/json, or leave the header out.",
    ),
    ErrorCode.ALREADY_EXISTS: ProblemText(
        "Already exists",
        "The name is taken, or the thing is already in the state that was asked for.",
        "Choose another name, or read the existing one.",
    ),
    ErrorCode.PRECONDITION_FAILED: ProblemText(
        "Precondition failed",
        "The thing changed since it was read: its ETag is not the one in If-Match.",
        "Read it again, look at what changed, and repeat with the new ETag.",
    ),
    ErrorCode.PRECONDITION_REQUIRED: ProblemText(
        "Precondition required",
        "A change of a shared thing must say which version it is meant for.",
        "Read the thing first and send its ETag as If-Match; `*` overwrites whatever is there.",
    ),
    ErrorCode.BODY_TOO_LARGE: ProblemText(
        "Body too large",
        "The body is larger than a configured limit; the answer names the limit and its setting.",
        "Send less, or ask the operator to raise the setting.",
    ),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: ProblemText(
        "Unsupported media type",
        "This operation does not read bodies of this Content-Type.",
        "Send Content-Type: application/json, in UTF-8, unless the documentation says otherwise.",
    ),
    ErrorCode.VALIDATION_FAILED: ProblemText(
        "Validation failed",
        "The request is well-formed but some inputs are unknown, missing or out of range.",
        "`errors` lists every complaint with a pointer to the input.",
    ),
    ErrorCode.RATE_LIMITED: ProblemText(
        "Too many requests",
        "This caller used up its share of requests for now.",
        "Wait for the seconds in Retry-After; the X-RateLimit headers show what is left.",
    ),
    ErrorCode.UPGRADE_REQUIRED: ProblemText(
        "A WebSocket is needed",
        "This address answers a WebSocket handshake only.",
        "Open it with a WebSocket client and a ticket, or listen to GET /api/v1/events.",
    ),
    ErrorCode.ORIGIN_REFUSED: ProblemText(
        "Origin refused",
        "A page of another origin tried to open a WebSocket.",
        "Add the origin of the page to CORS_ORIGINS if it shall listen.",
    ),
    ErrorCode.INTERNAL_ERROR: ProblemText(
        "Internal error",
        "The server failed in a way nobody foresaw. Nothing more is told here on purpose.",
        "Report the request_id to the operator: the log holds the details under it.",
    ),
    ErrorCode.UNAVAILABLE: ProblemText(
        "Temporarily unavailable",
        "Something this operation needs, such as the database, does not answer at the moment.",
        "Repeat after the seconds in Retry-After; a POST is safe to repeat with the same "
        "Idempotency-Key.",
    ),
    ErrorCode.INSUFFICIENT_DISK: ProblemText(
        "Insufficient disk space",
        "The disk is full, or would be; nothing was changed.",
        "Free space, for example by pruning old releases, and repeat.",
    ),
    ErrorCode.IDEMPOTENCY_MISMATCH: ProblemText(
        "Idempotency key used for something else",
        "This Idempotency-Key was sent before with another body or other parameters.",
        "Use a fresh key for each new attempt, such as the run id and attempt of the pipeline.",
    ),
    ErrorCode.IDEMPOTENCY_IN_PROGRESS: ProblemText(
        "Still in progress",
        "A call with this Idempotency-Key is running; this one did nothing.",
        "Wait for the seconds in Retry-After and repeat: the answer of the first will be replayed.",
    ),
}

_IDENTITY: dict[ErrorCode, ProblemText] = {
    ErrorCode.TOKEN_IN_URL: ProblemText(
        "Credential in the address",
        "A token was sent in the query string, where logs and histories keep it.",
        "Revoke that token, make a new one, and send it as Authorization: Bearer.",
    ),
    ErrorCode.TOKEN_MISSING: ProblemText(
        "Not authenticated",
        "This operation needs a credential and the request carries none.",
        "Send Authorization: Bearer with an access token or an API token.",
    ),
    ErrorCode.TOKEN_INVALID: ProblemText(
        "Invalid token",
        "The token is mistyped, cut, forged or made for something else.",
        "Copy the whole token again, or log in again.",
    ),
    ErrorCode.TOKEN_EXPIRED: ProblemText(
        "Expired token",
        "The token was valid once; its time is over.",
        "Refresh the access token, or rotate the API token before its expires_at.",
    ),
    ErrorCode.TOKEN_REVOKED: ProblemText(
        "Revoked token",
        "The token, its session or its user was ended before its time.",
        "Log in again, or ask an administrator.",
    ),
    ErrorCode.INVALID_CREDENTIALS: ProblemText(
        "Invalid credentials",
        "The user name, the password or the state of the account is not right; which one is "
        "not told.",
        "Check both, or ask an administrator for a reset link.",
    ),
    ErrorCode.OTP_REQUIRED: ProblemText(
        "One-time code required",
        "The password was right; this account also asks for a one-time code.",
        "Send the current code of the authenticator, or a recovery code, as otp.",
    ),
    ErrorCode.REFRESH_INVALID: ProblemText(
        "Invalid refresh token",
        "The refresh token is unknown or expired, or its session ended.",
        "Log in again.",
    ),
    ErrorCode.REFRESH_REUSED: ProblemText(
        "Refresh token used twice",
        "The refresh token was used before, so somebody else may hold it; the session was ended.",
        "Log in again. If you did not send it twice, change your password.",
    ),
    ErrorCode.REFRESH_CONFLICT: ProblemText(
        "Refresh token just used",
        "Another call used this refresh token a moment ago; nothing was revoked.",
        "Use the tokens which that other call received.",
    ),
    ErrorCode.LOGIN_THROTTLED: ProblemText(
        "Too many login attempts",
        "Too many attempts for this account from this address.",
        "Wait for the seconds in Retry-After.",
    ),
    ErrorCode.SCOPE_MISSING: ProblemText(
        "Not allowed",
        "The caller is known but lacks the right to do this; `missing` names the scopes.",
        "Ask for a role that carries the scope, or make a token that includes it.",
    ),
    ErrorCode.SCOPE_NOT_HELD: ProblemText(
        "Scope not held",
        "Nobody can hand out more rights than they hold themselves.",
        "Ask for fewer scopes, or let somebody who holds them make the token.",
    ),
    ErrorCode.SESSION_REQUIRED: ProblemText(
        "Needs a login",
        "An API token may not do this; it needs a person who logged in.",
        "Log in with a user name and a password and repeat with that access token.",
    ),
    ErrorCode.INVALID_TRANSITION: ProblemText(
        "Not from this state",
        "The thing is in a state from which this is not possible; it may have ended already.",
        "Look at its state, and choose one of the allowed_actions that the answer names.",
    ),
    ErrorCode.LAST_ADMIN: ProblemText(
        "Last administrator",
        "This would leave the installation without an active administrator who can act.",
        "Make another user an administrator first. Where the role asks for a second factor, "
        "let an administrator set one up first.",
    ),
    ErrorCode.ROLE_IN_USE: ProblemText(
        "Role in use",
        "The role is held by users or members, or another role inherits from it.",
        "Give them another role first.",
    ),
    ErrorCode.ROLE_CYCLE: ProblemText(
        "Roles inherit in a circle",
        "The role would inherit from itself, directly or through others.",
        "Remove one link of the circle.",
    ),
}

_SITES: dict[ErrorCode, ProblemText] = {
    ErrorCode.ENVIRONMENT_LOCKED: ProblemText(
        "Environment locked",
        "Somebody locked this environment against promotions; the lock says who and why.",
        "Wait until it expires, or ask its owner to remove it. Rollbacks work under a lock.",
    ),
    ErrorCode.ENVIRONMENT_HELD: ProblemText(
        "Environment held",
        "After a rollback the environment is held, so that no automation undoes it.",
        "A person who logged in may promote or remove the hold; a token may not.",
    ),
    ErrorCode.ENVIRONMENT_IN_USE: ProblemText(
        "Environment in use",
        "The environment cannot be removed while something depends on it.",
        "Remove what depends on it first.",
    ),
    ErrorCode.PROMOTION_IN_PROGRESS: ProblemText(
        "Promotion in progress",
        "Another promotion into this environment is running.",
        "Wait for it to end and repeat.",
    ),
    ErrorCode.PROMOTION_FAILED: ProblemText(
        "Promotion failed",
        "The promotion began and did not succeed; what was live before is still live.",
        "Read `promotion.error`, remove the cause and promote again.",
    ),
    ErrorCode.OLDER_RELEASE: ProblemText(
        "Older release",
        "The release is older than the one which is live.",
        "Promote a newer one, use a rollback, or send allow_older.",
    ),
    ErrorCode.RELEASE_NOT_READY: ProblemText(
        "Release not ready",
        "There is no release to switch to, or it is not complete and verified yet.",
        "Upload one, wait until its state is ready, or name another.",
    ),
    ErrorCode.RELEASE_MARKED_BAD: ProblemText(
        "Release marked bad",
        "Somebody marked this release as bad.",
        "Promote another, remove the mark, or send allow_bad.",
    ),
    ErrorCode.RELEASE_PROTECTED: ProblemText(
        "Release protected",
        "The release is live, pinned or needed for a rollback; `reasons` says which.",
        "Remove the reasons first.",
    ),
    ErrorCode.PLAN_CHANGED: ProblemText(
        "Plan changed",
        "The promotion would do something else than the plan that was looked at.",
        "Fetch the plan again, read it, and send its plan_hash.",
    ),
    ErrorCode.BASE_CHANGED: ProblemText(
        "Another release is live",
        "The environment shows another release than expected_release says.",
        "Look at what is live now and decide again.",
    ),
    ErrorCode.BACKUP_FAILED: ProblemText(
        "Backup failed",
        "What is live could not be backed up and verified, so nothing was switched.",
        "Read the detail, repair the cause and promote again.",
    ),
    ErrorCode.DRIFT_DETECTED: ProblemText(
        "Drift detected",
        "The files that are served are not the files which the records say.",
        "Look at the drift report of the site; an operator chooses which side is right.",
    ),
    ErrorCode.ARCHIVE_INVALID: ProblemText(
        "Archive refused",
        "The archive is damaged or holds something that is never unpacked; the detail names the "
        "entry and the rule.",
        "Pack regular files and folders only, with relative names, and upload again.",
    ),
    ErrorCode.SECRET_FILE: ProblemText(
        "Secret file refused",
        "The archive holds a file that looks like a secret, such as .env or a private key.",
        "Remove it, or send allow_secret_files=true when it is meant to be public.",
    ),
    ErrorCode.QUOTA_EXCEEDED: ProblemText(
        "Quota exceeded",
        "The upload exceeds a configured limit; the answer names the limit and its setting.",
        "Upload less, or ask the operator to raise the setting.",
    ),
}

_REQUESTS: dict[ErrorCode, ProblemText] = {
    ErrorCode.APPROVAL_REQUIRED: ProblemText(
        "Approval required",
        "A policy asks for somebody's approval of this, and there is none.",
        "File a request, or leave out approval=refuse so that one is filed for you.",
    ),
    ErrorCode.APPROVAL_STALE: ProblemText(
        "Approval stale",
        "What was approved is not what would happen now, or the approval has run out; `changed` "
        "names what differs. Nothing was done.",
        "Look at the request again; the requester revises it, and reviewers approve that.",
    ),
    ErrorCode.SELF_APPROVAL: ProblemText(
        "Self-approval refused",
        "Nobody judges a request that is their own or to their own benefit, administrators and "
        "tokens included.",
        "Ask somebody else to review it.",
    ),
    ErrorCode.NO_ELIGIBLE_APPROVER: ProblemText(
        "Nobody could approve",
        "The policy asks for more approvals than there are people who could give one.",
        "Give somebody the role that reviews, or change the policy.",
    ),
    ErrorCode.ALREADY_REVIEWED: ProblemText(
        "Already reviewed",
        "Everybody has one vote on each revision, and this one is given.",
        "Withdraw it first if you have changed your mind.",
    ),
    ErrorCode.REQUESTER_INACTIVE: ProblemText(
        "Requester inactive",
        "Who filed the request was deactivated or cannot see its site any more, so it does not run "
        "by itself.",
        "Let somebody with requests:execute carry it out, or cancel it.",
    ),
    ErrorCode.UNSUPPORTED_REQUEST: ProblemText(
        "Unsupported request",
        "Nothing in this installation could carry out a request of this kind.",
        "File a general request if a person is to do it.",
    ),
}

_INSTALLATION: dict[ErrorCode, ProblemText] = {
    ErrorCode.INSTALLATION_BACKUP_INVALID: ProblemText(
        "Backup of the installation refused",
        "The file is cut off, was changed, is of a newer version, or belongs to other keys; "
        "`errors` says which. Nothing was touched.",
        "Use another copy of the file, the version that made it, or the keys that belong to it.",
    ),
    ErrorCode.INSTALLATION_NOT_EMPTY: ProblemText(
        "Installation not empty",
        "A backup is restored into an empty database and an empty sites folder only; nothing was "
        "touched.",
        "Name another DATA_DIR and an empty database.",
    ),
    ErrorCode.INSTALLATION_UNFINISHED: ProblemText(
        "Restore not finished",
        "A restore into this DATA_DIR was interrupted, so nothing is served from it.",
        "Repeat the command that the detail names; it goes on where it was.",
    ),
    ErrorCode.SERVER_RUNNING: ProblemText(
        "Server running",
        "A server works on this DATA_DIR, and this must not happen beside it.",
        "Stop the server and repeat.",
    ),
    ErrorCode.UPGRADE_FAILED: ProblemText(
        "Upgrade failed",
        "The tables could not be brought to the form of this version.",
        "Go back with the commands in the detail, and report the cause.",
    ),
}

_OUTGOING: dict[ErrorCode, ProblemText] = {
    ErrorCode.HOST_REFUSED: ProblemText(
        "Host refused",
        "The server does not connect to this host: it is not public, it is spelled in an unusual "
        "way, or it is the server itself.",
        "Name a public host, or ask the operator to list its network.",
    ),
    ErrorCode.WEBHOOK_INACTIVE: ProblemText(
        "Webhook inactive",
        "The webhook is switched off, so nothing is delivered to it.",
        "Switch it on by changing is_active to true, then deliver again.",
    ),
}

PROBLEM_TEXTS: dict[ErrorCode, ProblemText] = {
    **_GENERAL,
    **_IDENTITY,
    **_SITES,
    **_REQUESTS,
    **_INSTALLATION,
    **_OUTGOING,
}
