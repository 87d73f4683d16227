"""Addresses of the pages about people."""

from django.urls import path

from accounts.views import acting, approvals, tasks, tokens

urlpatterns = [
    path("act-for/", acting.switch_organisation, name="act-for"),
    path("approvals/", approvals.approval_list, name="approvals"),
    path("approvals/<uuid:approval_id>/", approvals.approval_detail, name="approval"),
    path("approvals/<uuid:approval_id>/approve/", approvals.approve, name="approval-approve"),
    path("approvals/<uuid:approval_id>/reject/", approvals.reject, name="approval-reject"),
    path("approvals/<uuid:approval_id>/cancel/", approvals.cancel, name="approval-cancel"),
    path("tasks/", tasks.task_list, name="tasks"),
    path("tasks/claim/", tasks.claim_tasks, name="tasks-claim"),
    path("tasks/<uuid:task_id>/", tasks.task_detail, name="task"),
    path("tasks/<uuid:task_id>/claim/", tasks.act_on_task, {"act": "claim"}, name="task-claim"),
    path("tasks/<uuid:task_id>/release/", tasks.act_on_task, {"act": "release"}, name="task-release"),
    path("tasks/<uuid:task_id>/complete/", tasks.act_on_task, {"act": "complete"}, name="task-complete"),
    path("tasks/<uuid:task_id>/assign/", tasks.assign_task, name="task-assign"),
    path("tokens/", tokens.token_list, name="tokens"),
    path("tokens/<str:token_key>/revoke/", tokens.revoke_token, name="token-revoke"),
]
