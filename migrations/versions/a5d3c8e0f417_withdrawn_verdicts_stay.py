"""withdrawn verdicts stay"""

import sqlalchemy as sa
from alembic import op

revision = "a5d3c8e0f417"
down_revision = "7d1e5f0c4b86"
branch_labels = None
depends_on = None

TABLE = "request_reviews"
KEY = ["request_id", "revision", "user_id", "post_review"]
BEFORE = "uq_request_reviews_request_id_revision_user_id_post_review"
AFTER = "uq_request_reviews_request_id_revision_user_id_post_review_slot"
REVIEWS = sa.table(
    TABLE,
    sa.column("id", sa.Integer),
    *(sa.column(name) for name in KEY),
    sa.column("slot", sa.Integer),
    sa.column("withdrawn_at"),
)


def upgrade():
    with op.batch_alter_table(TABLE, schema=None) as batch_op:
        batch_op.add_column(sa.Column("slot", sa.Integer(), nullable=True))
    op.execute(REVIEWS.update().where(REVIEWS.c.withdrawn_at.is_(None)).values(slot=1))
    # MariaDB keeps an index for the foreign key, so the new one is there before the old one goes.
    with op.batch_alter_table(TABLE, schema=None) as batch_op:
        batch_op.create_unique_constraint(batch_op.f(AFTER), [*KEY, "slot"])
        batch_op.drop_constraint(batch_op.f(BEFORE), type_="unique")


def downgrade():
    _keep_newest()
    with op.batch_alter_table(TABLE, schema=None) as batch_op:
        batch_op.create_unique_constraint(batch_op.f(BEFORE), KEY)
        batch_op.drop_constraint(batch_op.f(AFTER), type_="unique")
    with op.batch_alter_table(TABLE, schema=None) as batch_op:
        batch_op.drop_column("slot")


def _keep_newest():
    """Delete the verdicts for which there was no room before: withdrawn and given again."""
    connection = op.get_bind()
    key = [REVIEWS.c[name] for name in KEY]
    newest = sa.select(sa.func.max(REVIEWS.c.id)).group_by(*key)
    kept = connection.scalars(newest).all()
    every = connection.scalars(sa.select(REVIEWS.c.id)).all()
    for number in set(every) - set(kept):
        connection.execute(REVIEWS.delete().where(REVIEWS.c.id == number))
