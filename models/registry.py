"""Every table in one place, for migrations and the shell."""

from models.access_grants import AccessGrant
from models.approval_policies import ApprovalPolicy
from models.audit import AuditEvent, AuditHead, OutboxEvent
from models.environments import Domain, Environment
from models.event_tickets import EventTicket
from models.idempotency import IdempotencyKey
from models.jobs import Job, JobLogLine, Schedule
from models.mail import OutgoingMail
from models.promotions import Promotion, SiteBackup
from models.releases import Release, Submission
from models.request_events import CommentWording, RequestComment, RequestEvent
from models.requests import ChangeRequest, RequestExecution, RequestReview
from models.roles import Role
from models.sessions import LoginAttempt, RefreshToken, UserSession
from models.sites import Membership, Site
from models.tags import Tag
from models.tokens import ApiToken
from models.users import Contact, OneTimeToken, RecoveryCode, User
from models.webhooks import Webhook, WebhookAttempt, WebhookDelivery, WebhookTarget

MODELS = (
    AccessGrant,
    ApiToken,
    ApprovalPolicy,
    AuditEvent,
    AuditHead,
    ChangeRequest,
    CommentWording,
    Contact,
    Domain,
    Environment,
    EventTicket,
    IdempotencyKey,
    Job,
    JobLogLine,
    LoginAttempt,
    Membership,
    OneTimeToken,
    OutboxEvent,
    OutgoingMail,
    Promotion,
    RecoveryCode,
    RefreshToken,
    Release,
    RequestComment,
    RequestEvent,
    RequestExecution,
    RequestReview,
    Role,
    Schedule,
    Site,
    SiteBackup,
    Submission,
    Tag,
    User,
    UserSession,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookTarget,
)
