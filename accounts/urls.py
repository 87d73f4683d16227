"""Addresses of the pages about people."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("act-for/", views.switch_organisation, name="act-for"),
    path("approvals/", views.approval_list, name="approvals"),
    path("approvals/<uuid:approval_id>/", views.approval_detail, name="approval"),
    path("approvals/<uuid:approval_id>/approve/", views.approve, name="approval-approve"),
    path("approvals/<uuid:approval_id>/reject/", views.reject, name="approval-reject"),
    path("approvals/<uuid:approval_id>/cancel/", views.cancel, name="approval-cancel"),
    path("tokens/", views.token_list, name="tokens"),
    path("tokens/<str:token_key>/revoke/", views.revoke_token, name="token-revoke"),
]
