"""Every setting, from the environment. Nothing secret has a default: a missing one stops the start with its name."""

import logging
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from environ import Env

from config import logs
from config.databases import databases, has_old_store

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()

# Security
SECRET_KEY = env.str("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
# Behind so many proxies of ours is this server; what they say of address and protocol is believed, nobody else is.
NUM_PROXIES = env.int("NUM_PROXIES", 0)
if NUM_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# ./run serves this machine alone, without HTTPS, and says so; probes and Prometheus come from beside the server.
HTTPS_ONLY = env.bool("HTTPS_ONLY", True)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS_ONLY
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
# What is sent: bytes of a body, unless a view allows less or more; requests a minute of a caller that is known, of an
# address that is not, and keys refused of an address. 0 is no limit.
BODY_MAX_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("BODY_MAX_BYTES", 8 * 1024 * 1024)
REQUESTS_PER_MINUTE = {
    "known": env.int("REQUESTS_PER_MINUTE", 60_000),
    "unknown": env.int("REQUESTS_PER_MINUTE_UNKNOWN", 600),
    "refused": env.int("REFUSALS_PER_MINUTE", 30),
}

# Applications
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_prometheus",
    "django_structlog",
    "dualwrite",
    "registry",
    "registry.screener",
    "actuator",
]
MIDDLEWARE = [
    "config.requests.TracedRequests",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dualwrite.access.lengths.RequireLength",
    "dualwrite.access.calls.AuditCalls",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Stores
DATABASES = databases(env)
OLD_STORE = has_old_store(env)
DATABASE_ROUTERS = ["dualwrite.router.DualWriteRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis: cache and broker. The main job needs neither, so the address may be missing.
REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # Whoever counts requests there must not wait for it.
        "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 0.25},
    }
}

# Celery: a message may come twice or never; the rows of dualwrite.schedule decide what is done. What looks after
# everything has a queue, and workers, of its own: a validation of hours never delays it.
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SOFT_TIME_LIMIT = 1500
CELERY_TASK_TIME_LIMIT = 1800
# Longer than the longest task may take (dualwrite.tasks.quietly): it would be given to a second worker otherwise.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 13 * 3600}
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_TASK_ROUTES = {"dualwrite.monitoring.*": {"queue": "watch"}, "dualwrite.relay.*": {"queue": "watch"}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "dualwrite.schedule.beat:Scheduler"
# Written down at once: whoever schedules next would send it again otherwise.
CELERY_BEAT_SYNC_EVERY = 1
CELERY_TIMEZONE = "UTC"

# E-mail, by which alerts may be told: smtp+tls://user:password@host:587, or another backend of django-environ.
mail = env.email_url("EMAIL_URL", "smtp://127.0.0.1:25")
EMAIL_BACKEND, EMAIL_FILE_PATH = mail["EMAIL_BACKEND"], mail["EMAIL_FILE_PATH"]
EMAIL_HOST, EMAIL_PORT = mail["EMAIL_HOST"], mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = mail["EMAIL_HOST_USER"], mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = mail.get("EMAIL_USE_TLS", False), mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 5
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "instrument-registry@localhost")

# Backups of retention: a directory, or a backend of django-storages (docs/retention.md).
BACKUP_STORAGE_URL = env.str("BACKUP_STORAGE_URL", "") or str(BASE_DIR / "var" / "backups")

# Live parameters: a config service, where there is one, and the environment whose values it is asked for.
CONFIG_SERVICE_URL = env.str("CONFIG_SERVICE_URL", "").rstrip("/")
CONFIG_ENVIRONMENT = env.str("CONFIG_ENVIRONMENT", "production")
# Whoever has it may do everything over HTTP, without any database; the config service is asked with it, too.
INTERNAL_API_KEY = env.str("INTERNAL_API_KEY", "").strip()

# Time, language, static files
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
# Static files are served from the applications' own folders: no collectstatic step to forget.
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "dualwrite.access.authentication.KeyAuthentication",
        "dualwrite.access.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["dualwrite.access.permissions.Cleared"],
    "DEFAULT_THROTTLE_CLASSES": ["dualwrite.access.throttling.CallerThrottle"],
    "NUM_PROXIES": NUM_PROXIES,
    "DEFAULT_PARSER_CLASSES": ["dualwrite.access.bodies.JsonParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "actuator.openapi.generate.OperationSchema",
    "EXCEPTION_HANDLER": "actuator.problems.handle",
    "UNAUTHENTICATED_USER": None,
}

# The description of the API; `manage.py describe_api` writes it to docs/openapi.yaml.
SPECTACULAR_SETTINGS = {
    "TITLE": "Instrument Registry",
    "DESCRIPTION": "What operators do and consumers ask. docs/actuator.md has each operation with its answer.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": True,
    "SERVE_PERMISSIONS": ["dualwrite.access.permissions.Cleared"],
    "POSTPROCESSING_HOOKS": ["actuator.openapi.generate.complete"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False},
}

# Metrics. Worker and relay show theirs on ports of their own where these are set. Files are opened as soon as a metric
# is declared, so their directory must be there before the applications are.
PROMETHEUS_EXPORT_MIGRATIONS = False
METRICS_HOST = env.str("METRICS_HOST", "127.0.0.1")
WORKER_METRICS_PORT = env.int("WORKER_METRICS_PORT", 0)
RELAY_METRICS_PORT = env.int("RELAY_METRICS_PORT", 0)
if env.str("PROMETHEUS_MULTIPROC_DIR", ""):
    Path(env.str("PROMETHEUS_MULTIPROC_DIR")).mkdir(parents=True, exist_ok=True)

# Logs: JSON unless LOG_FORMAT is `console`. No address of a client is kept, nor who it was: reading that would ask the
# database for each request, and who did what stands in the audit.
LOGGING: dict[str, Any] = logs.logging_of(env.str("LOG_FORMAT", "json"), env.str("LOG_LEVEL", ""))
logs.configure()
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_USER_ID_FIELD = ""
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
# Django warns of what went wrong by itself; these lines only tell that there was a request.
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = DJANGO_STRUCTLOG_STATUS_5XX_LOG_LEVEL = logging.INFO
