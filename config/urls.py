"""URLs of the installation."""

from django.contrib import admin
from django.urls import include, path

from outbox.proving import guarded_login

admin.autodiscover()

urlpatterns = [
    path("admin/login/", guarded_login(admin.site.login)),
    path("admin/", admin.site.urls),
    path("", include("outbox.urls")),
]
