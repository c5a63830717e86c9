"""Every table in one place, for migrations and the shell."""

from models.audit import AuditEvent, AuditHead, OutboxEvent
from models.environments import Domain, Environment
from models.idempotency import IdempotencyKey
from models.jobs import Job, JobLogLine, Schedule
from models.promotions import Promotion, SiteBackup
from models.releases import Release, Submission
from models.roles import Role
from models.sessions import LoginAttempt, RefreshToken, UserSession
from models.sites import Membership, Site
from models.tokens import ApiToken
from models.users import Contact, OneTimeToken, RecoveryCode, User

MODELS = (
    ApiToken,
    AuditEvent,
    AuditHead,
    Contact,
    Domain,
    Environment,
    IdempotencyKey,
    Job,
    JobLogLine,
    LoginAttempt,
    Membership,
    OneTimeToken,
    OutboxEvent,
    Promotion,
    RecoveryCode,
    RefreshToken,
    Release,
    Role,
    Schedule,
    Site,
    SiteBackup,
    Submission,
    User,
    UserSession,
)
