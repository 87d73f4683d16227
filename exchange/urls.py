"""Addresses of the exchange's pages."""

from django.urls import path

from exchange.views import desk, markets, transparency

urlpatterns = [
    path("markets/", markets.market_list, name="markets"),
    path("markets/<slug:code>/", markets.market, name="market"),
    path("markets/<slug:code>/live/", markets.live, name="market-live"),
    path("markets/<slug:code>/own/", markets.own, name="market-own"),
    path("markets/<slug:code>/prices/", markets.prices, name="market-prices"),
    path("markets/<slug:code>/orders/", markets.place, name="place-order"),
    path("markets/<slug:code>/orders/preview/", markets.preview, name="preview-order"),
    path("markets/<slug:code>/orders/<uuid:order_id>/cancel/", markets.cancel, name="cancel-order"),
    path("desk/markets/<slug:code>/", desk.market, name="desk-market"),
    path("desk/periods/<slug:code>/closing/", desk.closing_progress, name="closing"),
    path("desk/periods/<slug:code>/close/", desk.close_period, name="close-period"),
    path("public/", transparency.overview, name="transparency"),
    path("public/<slug:code>/", transparency.period, name="transparency-period"),
    path("public/<slug:code>/<slug:table>.csv", transparency.table, {"kind": "csv"}, name="transparency-csv"),
    path("public/<slug:code>/<slug:table>.json", transparency.table, {"kind": "json"}, name="transparency-json"),
]
