"""fewer indexes: those that every change paid for and no question used"""

from alembic import op

revision = "5b90e7d2c1a4"
down_revision = "a5d3c8e0f417"
branch_labels = None
depends_on = None

INDEXES = (
    # What is asked of an environment is found by UNIQUE(environment_id, slot) too.
    ("promotions", "environment_id"),
    # Nearly all rows are `succeeded`.
    ("promotions", "state"),
    # Asked together with target_id, which has its own.
    ("audit_events", "target_type"),
    # The outbox is read by number alone.
    ("outbox_events", "topic"),
    ("outbox_events", "site_id"),
)


def upgrade():
    for table, column in INDEXES:
        op.drop_index(f"ix_{table}_{column}", table_name=table)


def downgrade():
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column], unique=False)
