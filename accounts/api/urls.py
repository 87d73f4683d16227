"""Addresses of the accounts app under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from accounts.api import records, tokens

router = SimpleRouter(use_regex_path=False)
router.register("approvals", records.Approvals, "approval")
router.register("tasks", records.Tasks, "task")
router.register("audit-events", records.AuditEvents, "audit-event")

urlpatterns = [
    path("me/", tokens.Me.as_view({"get": "read"}), name="me"),
    path("tokens/", tokens.Tokens.as_view({"get": "list", "post": "create"}), name="token-list"),
    path("tokens/<str:token_key>/", tokens.Tokens.as_view({"delete": "destroy"}), name="token-detail"),
    path("", include(router.urls)),
]
