"""Every address of the site, in one place."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from config.openapi import NothingHere, OpenApiDocument, api_docs
from config.views import front_door, home

rest: list[URLPattern | URLResolver] = [
    path("v1/", include("accounts.api.urls")),
    path("v1/", include("registry.api.urls")),
    path("v1/", include("exchange.api.urls")),
    path("codecarbon/", include("registry.api.codecarbon")),
    path("openapi.yaml", OpenApiDocument.as_view(), name="openapi"),
    path("docs/", api_docs, name="api-docs"),
    re_path("^.*$", NothingHere.as_view()),
]
"""Everything under /api/. Addresses that are not listed here answer with a problem, never with a page."""

urlpatterns: list[URLPattern | URLResolver] = [
    path("", front_door, name="front-door"),
    path("home/", home, name="home"),
    path("", include("accounts.urls")),
    path("", include("registry.urls")),
    path("", include("exchange.urls")),
    path("api/", include(rest)),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

if settings.ENVIRONMENT != "production":
    from config.styleguide import styleguide

    urlpatterns.append(path("styleguide/", styleguide, name="styleguide"))
