"""The admin site: log-in by the site's own pages with its second factors, and only models that are look-only."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator

from accounts.looking import LookOnlyAdmin
from accounts.models import User
from accounts.permissions import may_see_everything


class LookOnlySite(admin.AdminSite):
    """Other apps bring their own editable pages for the admin; this site leaves them out."""

    site_title = "Headroom administration"
    site_header = "Headroom administration"
    index_title = "Look at everything; act through services"
    enable_nav_sidebar = False

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: "type[admin.ModelAdmin[Any]] | None" = None,
        **options: Any,
    ) -> None:
        """Register a model if it cannot be edited here."""
        if admin_class is not None and issubclass(admin_class, LookOnlyAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def unregister(self, model_or_iterable: type[Model] | Iterable[type[Model]]) -> None:
        """Forget a model; other apps unregister what was left out."""
        models = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else list(model_or_iterable)
        super().unregister([model for model in models if self.is_registered(model)])

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in whoever oversees everything: officers of the regulator, and auditors."""
        return isinstance(request.user, User) and may_see_everything(request.user)

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send people to the log-in page of the site, where the second factor is asked for."""
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
