"""Addresses of the exchange under /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from exchange.api import markets, orders, settlements

router = SimpleRouter(use_regex_path=False)
router.register("markets", markets.Markets, "market")
router.register("trades", markets.Trades, "trade")
router.register("settlements", settlements.Settlements, "settlement")

urlpatterns = [
    path("orders/", orders.Orders.as_view({"get": "list", "post": "create"}), name="order-list"),
    path("orders/batch/", orders.Orders.as_view({"post": "create_batch"}), name="order-batch"),
    path(
        "orders/<uuid:public_id>/",
        orders.Orders.as_view({"get": "retrieve", "delete": "destroy"}),
        name="order-detail",
    ),
    path("", include(router.urls)),
]
