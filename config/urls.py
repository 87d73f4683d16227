"""Every address of the site, in one place."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import TemplateView

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

if settings.ENVIRONMENT != "production":
    from django.contrib.auth.decorators import login_not_required

    urlpatterns.append(
        path("styleguide/", login_not_required(TemplateView.as_view(template_name="styleguide.html")), name="styleguide")
    )
