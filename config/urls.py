"""The site's addresses: the admin, the consumers' API, the operators' API, the metrics."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_header = admin.site.site_title = "Instrument Registry"

handler500 = "config.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("", include("registry.api.urls")),
    path("", include("actuator.urls")),
]
