"""Addresses of the exchange's pages."""

from django.urls import path

from exchange.views import calendar, desk, markets, transparency

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
    path("desk/calendar/", calendar.calendar_list, name="calendar"),
    path("desk/calendar/outage/", calendar.record_outage, name="outage"),
    path("desk/calendar/work/<int:work_id>/retry/", calendar.retry_work, name="work-retry"),
    path("desk/calendar/work/<int:work_id>/cancel/", calendar.cancel_work, name="work-cancel"),
    path("desk/calendar/<slug:code>/", calendar.scheme_calendar, name="scheme-calendar"),
    path("desk/calendar/<slug:code>/suspend/", calendar.suspend, name="scheme-suspend"),
    path("desk/calendar/<slug:code>/resume/", calendar.resume, name="scheme-resume"),
    path("desk/calendar/<slug:code>/extend/", calendar.extend, name="deadline-extend"),
    path("desk/calendar/<slug:code>/period/", calendar.new_period, name="period-new"),
    path("public/", transparency.overview, name="transparency"),
    path("public/<slug:code>/", transparency.period, name="transparency-period"),
    path("public/<slug:code>/<slug:table>.csv", transparency.table, {"kind": "csv"}, name="transparency-csv"),
    path("public/<slug:code>/<slug:table>.json", transparency.table, {"kind": "json"}, name="transparency-json"),
]
