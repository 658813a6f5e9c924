"""CronJobs: remember when a Job of theirs last succeeded, and remove the ones their history limits no longer keep.

A Job is a CronJob's by its controller reference, whoever made it. Left out: the schedule, so that nothing happens at an
hour of the night in a lab that lives for half of one.

Source: kubernetes/kubernetes@003e86297d18 pkg/controller/cronjob/cronjob_controllerv2.go
"""

from __future__ import annotations

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.objects import Object, dig, is_true, name_of, namespace_of, owned_by, terminating


class CronJobs(Controller):
    elected = True
    kind = ("batch/v1", "CronJob")
    watches = (("batch/v1", "Job"),)

    def reconcile(self, obj: Object) -> None:
        jobs = [j for j in self.cluster.list("batch/v1", "Job", namespace_of(obj)) if owned_by(j, obj)]
        for condition, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            self._keep([job for job in jobs if is_true(job, condition)], int(obj["spec"][limit]))
        ends = [str(dig(job, "status", "completionTime", default="")) for job in jobs if is_true(job, "Complete")]
        last = max([str(dig(obj, "status", "lastSuccessfulTime", default="")), *ends])
        if last:
            self.cluster.set_status(obj, lastSuccessfulTime=last)

    def _keep(self, jobs: list[Object], limit: int) -> None:
        """The youngest of them."""
        oldest_first = sorted(jobs, key=lambda job: (str(dig(job, "status", "startTime", default="")), name_of(job)))
        for job in oldest_first[: max(len(jobs) - limit, 0)]:
            if not terminating(job):
                self.cluster.remove(job)
