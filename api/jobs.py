"""`/jobs`: long work, how far it is, and the way to stop it."""

from typing import Any

from flask_restx import Namespace, Resource

from api.endpoint import endpoint
from api.operation import Paging
from api.representations import Answer
from api.schemas.jobs import JobOut, JobsQuery
from api.schemas.promotions import WaitQuery
from core.errors import ErrorCode
from models.jobs import Job
from services import job_views, jobs
from services.actors import Actor
from services.job_views import LINES_IN_LISTS, JobView
from services.paging import Page, PageRequest

READ = ("jobs:read",)


class JobList(Resource):
    """The jobs the caller may see."""

    @endpoint(
        summary="List jobs",
        description="Own ones, and those of sites on which jobs:read is held. Here `log` has the "
        "last lines only.",
        query=JobsQuery,
        response=JobOut,
        paging=Paging.PAGE,
        scopes=READ,
    )
    def get(self, actor: Actor, page: PageRequest, query: dict[str, Any]) -> Page[Any]:
        """Return the jobs, newest first."""
        found = jobs.list_jobs(actor=actor, page=page, **query)
        return found.with_items(job_views.describe(jobs=found.items, lines=LINES_IN_LISTS))


class JobItem(Resource):
    """One job."""

    @endpoint(summary="Show a job", query=WaitQuery, response=JobOut, scopes=READ)
    def get(self, actor: Actor, id: str, query: dict[str, Any]) -> JobView:
        """Return the job, with `wait` as soon as it has ended."""
        job = jobs.get_job(actor=actor, public_id=id)
        if not job.has_ended and jobs.wait_for(public_id=id, seconds=query["wait"]):
            job = jobs.get_job(actor=actor, public_id=id)
        return _view(job)


class JobCancel(Resource):
    """The end of a job that is not wanted any more."""

    @endpoint(
        summary="Cancel a job",
        description="200 when it never began; 202 when it runs and will stop soon. An effect that "
        "began before is finished, and the job ends as `succeeded`. Jobs of other people need "
        "sites:write on their site.",
        response=JobOut,
        statuses={202: JobOut},
        scopes=READ,
        guard=lambda actor, id: jobs.get_job(actor=actor, public_id=id),
        errors=(ErrorCode.INVALID_TRANSITION,),
    )
    def post(self, actor: Actor, id: str) -> Answer:
        """Stop it, or ask it to stop."""
        job = jobs.cancel(actor=actor, public_id=id)
        return Answer(
            value=_view(job), status=200 if job.has_ended else 202, location=f"/jobs/{id}"
        )


def namespace() -> Namespace:
    """Return the routes below `/jobs`."""
    routes = Namespace("jobs", description="Long work", path="/jobs")
    routes.add_resource(JobList, "")
    routes.add_resource(JobItem, "/<id>")
    routes.add_resource(JobCancel, "/<id>/cancel")
    return routes


def _view(job: Job) -> JobView:
    return job_views.describe(jobs=[job])[0]
