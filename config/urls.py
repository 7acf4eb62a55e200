"""The site's addresses: the admin, the operators' API, the metrics."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("actuator.urls")),
]
