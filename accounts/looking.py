"""The admin as the regulator and auditors use it: everything to look at, nothing to edit, and acts that call a service.

A model's admin names its acts. Each is a form whose answers go to exactly one service, which asks for permission,
records who did it and refuses with a sentence that the form shows. There is no other way to change anything here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.models import User
from accounts.permissions import may_see_everything
from common import clock
from common.forms import ActForm, refusals_shown_in

if TYPE_CHECKING:  # Django's admin classes take their model as a parameter in the stubs only
    AnyModelAdmin = admin.ModelAdmin[Any]
    AnyTabularInline = admin.TabularInline[Any, Any]
else:
    AnyModelAdmin, AnyTabularInline = admin.ModelAdmin, admin.TabularInline

Answers = Mapping[str, Any]


def _always(row: Any) -> bool:
    return True


@dataclass(frozen=True)
class AdminAct:
    """Something an officer can do: to one row, or from the list of a model.

    `run` is told who acts, the row (nothing on a list), the form's answers and the time; it calls one service and
    returns the row to show next. `offered` says whether the act makes sense for a row; whether the officer may is the
    service's question.
    """

    slug: str
    label: str
    run: Callable[[User, Any, Answers, datetime], Model]
    form: type[ActForm] = ActForm
    on_list: bool = False
    offered: Callable[[Any], bool] = _always


class LookOnlyAdmin(AnyModelAdmin):
    """A model to look at. Adding, changing and deleting are denied in code, whatever rights a person was given."""

    acts: ClassVar[tuple[AdminAct, ...]] = ()
    change_form_template = "admin/look_only/change_form.html"
    change_list_template = "admin/look_only/change_list.html"
    actions = None
    list_per_page = 50
    show_full_result_count = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever oversees everything may look at everything."""
        user: User | AnonymousUser = request.user
        return isinstance(user, User) and may_see_everything(user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """The same for the list of models."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a row: a service does."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody edits a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a row."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Give each act its page."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        wrap = self.admin_site.admin_view
        return [
            path("act/<slug:slug>/", wrap(self.act_page), name=f"{name}_list"),
            path("<str:object_id>/act/<slug:slug>/", wrap(self.act_page), name=name),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with the acts that begin there."""
        acts = [(act.label, self._address(act, None)) for act in self.acts if act.on_list]
        return super().changelist_view(request, {**(extra_context or {}), "acts": acts})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Show a row with the acts that make sense for it."""
        row = context.get("original")
        context["acts"] = [
            (act.label, self._address(act, row)) for act in self.acts if not act.on_list and row and act.offered(row)
        ]
        return super().render_change_form(request, context, *args, **kwargs)

    def act_page(self, request: HttpRequest, slug: str, object_id: str | None = None) -> HttpResponse:
        """Show an act's form; send its answers to the service and go where the result can be seen."""
        act = next((act for act in self.acts if act.slug == slug and act.on_list == (object_id is None)), None)
        row = self.get_object(request, object_id) if object_id else None
        if act is None or (object_id and row is None):
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        form = act.form(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            with refusals_shown_in(form):
                assert isinstance(request.user, User)
                done = act.run(request.user, row, form.cleaned_data, clock.now())
                messages.success(request, f"{act.label}: done.")
                return redirect(f"admin:{done._meta.app_label}_{done._meta.model_name}_change", done.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": act.label,
            "subtitle": str(row) if row else None,
            "opts": self.opts,
            "original": row,
            "form": form,
        }
        return TemplateResponse(
            request, "admin/look_only/act.html", context, status=422 if form.is_bound and form.errors else 200
        )

    def _address(self, act: AdminAct, row: Model | None) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_act"
        return reverse(name, args=[row.pk, act.slug]) if row else reverse(f"{name}_list", args=[act.slug])


class LookOnlyInline(AnyTabularInline):
    """Rows of another model beside the one that is looked at."""

    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may look at the row may look at these."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody adds a row: a service does."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody edits a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a row."""
        return False
