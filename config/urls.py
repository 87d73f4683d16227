"""Every address of the site, in one place."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config.openapi import NothingHere, OpenApiDocument, api_docs

rest: list[URLPattern | URLResolver] = [
    path("v1/", include("accounts.api.urls")),
    path("v1/", include("registry.api.urls")),
    path("v1/", include("exchange.api.urls")),
    path("openapi.yaml", OpenApiDocument.as_view(), name="openapi"),
    path("docs/", api_docs, name="api-docs"),
    path("<path:anything>", NothingHere.as_view()),
]
"""Everything under /api/. Addresses that are not listed here answer with a problem, never with a page."""

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include(rest)),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

if settings.ENVIRONMENT != "production":
    from config.styleguide import styleguide

    urlpatterns.append(path("styleguide/", styleguide, name="styleguide"))
