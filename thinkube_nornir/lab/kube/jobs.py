"""Jobs: pods until enough have succeeded, or too many failed.

Unproven: which conditions a Job has beside Complete and Failed, and how long it waits between two of its pods.
"""

from __future__ import annotations

from thinkube_nornir.lab.kube.controllers import Controller
from thinkube_nornir.lab.kube.objects import Object, dig, namespace_of, now, owned_by, terminating, with_condition
from thinkube_nornir.lab.kube.replicasets import pod_of


class Jobs(Controller):
    elected = True
    kind = ("batch/v1", "Job")
    watches = (("v1", "Pod"),)

    def reconcile(self, obj: Object) -> None:
        if terminating(obj) or dig(obj, "status", "completionTime") or _failed(obj):
            return
        pods = [pod for pod in self.cluster.list("v1", "Pod", namespace_of(obj)) if owned_by(pod, obj)]
        succeeded = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
        failed = sum(pod["status"].get("phase") == "Failed" for pod in pods)
        active = len(pods) - succeeded - failed
        spec = obj["spec"]
        if not spec["suspend"] and succeeded < spec["completions"] and failed <= spec["backoffLimit"]:
            wanted = min(spec["parallelism"], spec["completions"] - succeeded)
            for _ in range(wanted - active):
                self.cluster.create(pod_of(obj))
            active = max(active, wanted)
        self._report(obj, active, succeeded, failed)

    def _report(self, obj: Object, active: int, succeeded: int, failed: int) -> None:
        status = {
            "active": active or None,
            "succeeded": succeeded or None,
            "failed": failed or None,
            "startTime": dig(obj, "status", "startTime", default=now()),
        }
        conditions = dig(obj, "status", "conditions", default=[])
        if succeeded >= obj["spec"]["completions"]:
            status["completionTime"] = now()
            status["conditions"] = with_condition(conditions, "Complete", True, "CompletionsReached")
        elif failed > obj["spec"]["backoffLimit"]:
            reported = "Job has reached the specified backoff limit"
            status["conditions"] = with_condition(conditions, "Failed", True, "BackoffLimitExceeded", reported)
        self.cluster.set_status(obj, **status)


def _failed(obj: Object) -> bool:
    return any(c["type"] == "Failed" and c["status"] == "True" for c in dig(obj, "status", "conditions", default=[]))
