"""Django's admin, on our own site."""

from django.contrib.admin import apps


class AdminFrame(apps.AdminConfig):
    """Named in the settings in place of django.contrib.admin."""

    default_site = "config.admin_site.LookOnlySite"
