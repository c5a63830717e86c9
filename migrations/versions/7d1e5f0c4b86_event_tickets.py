"""event tickets"""

import sqlalchemy as sa
from alembic import op

import models.types

revision = "7d1e5f0c4b86"
down_revision = "0c016fbf300b"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "event_tickets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=True),
        sa.Column("token_id", sa.Integer(), nullable=True),
        sa.Column("token_version", sa.Integer(), nullable=False),
        sa.Column("credential_expires_at", models.types.UtcDateTime(), nullable=False),
        sa.Column("expires_at", models.types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["sessions.id"],
            name=op.f("fk_event_tickets_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["api_tokens.id"],
            name=op.f("fk_event_tickets_token_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_event_tickets_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_tickets")),
        sa.UniqueConstraint("ticket_hash", name=op.f("uq_event_tickets_ticket_hash")),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    with op.batch_alter_table("event_tickets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_tickets_expires_at"), ["expires_at"])
        batch_op.create_index(batch_op.f("ix_event_tickets_user_id"), ["user_id"])


def downgrade():
    op.drop_table("event_tickets")
