"""The settings of every process. Reading them starts nothing and needs no environment variable.

Three environments share this file: `development` (the default, and the demo), `test`, and `production`, which refuses
to start on a development secret. Servers are named by DATABASE_URL, CELERY_BROKER_URL and CACHE_URL; the launcher sets
them to the embedded servers when they are unset.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery.schedules import crontab, schedule
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ.get("HEADROOM_ENV", "development")
PRODUCTION = ENVIRONMENT == "production"
if ENVIRONMENT not in {"development", "test", "production"}:
    raise ImproperlyConfigured("HEADROOM_ENV is development, test or production.")

DEBUG = os.environ.get("HEADROOM_DEBUG") == "1" and not PRODUCTION
SECRET_KEY = os.environ.get("HEADROOM_SECRET_KEY", "" if PRODUCTION else "development-only-not-a-secret")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set HEADROOM_SECRET_KEY to a long random value before starting in production.")
REGISTRY_SIGNING_KEY = os.environ.get("HEADROOM_SIGNING_KEY", "")
if PRODUCTION and not REGISTRY_SIGNING_KEY:
    raise ImproperlyConfigured("Set HEADROOM_SIGNING_KEY to 32 random bytes in base64: openssl rand -base64 32.")
REGISTRY_SIGNING_KEY_FILE = BASE_DIR / ".headroom" / "signing-key"  # made when first used, outside production only
ALLOWED_HOSTS = os.environ.get("HEADROOM_HOSTS", "" if PRODUCTION else "127.0.0.1,localhost,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if host] if PRODUCTION else []

CLOCK_MAY_BE_SIMULATED = not PRODUCTION

INSTALLED_APPS = [
    "config",
    "accounts",
    "registry.ledger",
    "registry",
    "exchange",
    *([] if PRODUCTION else ["demo"]),
    "config.admin_frame.AdminFrame",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "template_partials",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "csp",
    "rules",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # deny by default: public pages say so themselves
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.middleware.SessionEndMiddleware",
    "config.middleware.RefusalMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.frame",
            ],
            "builtins": ["config.templatetags.look", "django.templatetags.l10n"],
        },
    },
]

# Data ---------------------------------------------------------------------------------------------------------------


def database_from_url(url: str) -> dict[str, Any]:
    """Read a PostgreSQL URL the way libpq does, socket folders and percent signs included."""
    parts: dict[str, Any] = dict(conninfo_to_dict(url))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", "headroom"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": parts,
    }


DATABASE_URL = os.environ.get("DATABASE_URL", f"postgresql:///headroom?host={BASE_DIR}/.headroom/run")
DATABASES = {"default": database_from_url(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ATOMIC_REQUESTS = False  # a service owns its transaction, and says so with atomic(durable=True)

CACHE_URL = os.environ.get("CACHE_URL", "")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}
    if CACHE_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
if PRODUCTION and not CACHE_URL:
    raise ImproperlyConfigured("Set CACHE_URL: log-in rate limits need a cache that all web processes share.")

# The broker is a bell: the work list, its order and its done-marker live in PostgreSQL -------------------------------

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "memory://")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("HEADROOM_QUEUE", "headroom")
if CELERY_BROKER_URL.startswith("amqp"):
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"confirm_publish": True}
else:
    # a lost worker's task comes back after two of the longest tasks, swept every ten seconds
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 600,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 2,
    }
# whoever rings the bell gives up at once when nobody can hear it: the sweep finds the work, and an order must not wait
CELERY_BROKER_TRANSPORT_OPTIONS |= {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
CELERY_TASK_TIME_LIMIT = 300
CELERY_BEAT_SCHEDULE = {
    "sweep-markets": {"task": "exchange.sweep_markets", "schedule": schedule(timedelta(seconds=5))},
    "continue-closings": {"task": "exchange.continue_closings", "schedule": schedule(timedelta(seconds=60))},
    "run-due-work": {"task": "registry.run_due_work", "schedule": schedule(timedelta(seconds=60))},
    "sweep-uploads": {"task": "registry.sweep_uploads", "schedule": schedule(timedelta(seconds=30))},
    "carry-out-transactions": {
        "task": "registry.carry_out_transactions",
        "schedule": schedule(timedelta(seconds=60)),
    },
    "plan-years": {"task": "registry.plan_years", "schedule": crontab(minute="20")},
    "execute-due-approvals": {"task": "accounts.execute_due_approvals", "schedule": schedule(timedelta(seconds=30))},
    "derive-serial-blocks": {"task": "ledger.derive_serial_blocks", "schedule": schedule(timedelta(seconds=30))},
    "look-at-limits": {"task": "registry.look_at_limits", "schedule": crontab(hour="0", minute="45")},
    "keep-identity": {"task": "registry.keep_identity", "schedule": crontab(hour="1", minute="15")},
    "remind-of-tasks": {"task": "accounts.remind", "schedule": crontab(minute="7")},
    "reconcile": {"task": "ledger.reconcile", "schedule": crontab(hour="0", minute="30")},
}

# People -------------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "rules.permissions.ObjectPermissionBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 15}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_ADAPTER = "config.adapters.ClosedSignup"  # the regulator admits people; nobody signs up
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Headroom"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
EMAIL_BACKEND = os.environ.get("HEADROOM_EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")

SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "config.views.csrf_failure"

# The browser --------------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # Bootstrap draws its check marks and arrows as data: images
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # joining the browsers' preload list is the operator's own decision
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
DATA_UPLOAD_MAX_MEMORY_SIZE = 3 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 3 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles" if PRODUCTION else None  # elsewhere each file is served from where it lies
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # evidence lives in the database, hashed
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False

# REST ---------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.BearerToken"],  # no cookies, so nothing to forge
    "DEFAULT_PERMISSION_CLASSES": ["config.rest.Deny"],
    "DEFAULT_PARSER_CLASSES": ["common.bodies.StrictJSON"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "config.rest.Pages",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS would describe forms to whoever asks
    "EXCEPTION_HANDLER": "config.rest.problem",
    "COERCE_DECIMAL_TO_STRING": True,
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.AnonRateThrottle",
        "rest_framework.throttling.UserRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {"anon": "120/min", "user": "6000/min", "tokens": "20/min", "meters": "6000/min"},
    "NUM_PROXIES": int(os.environ.get("HEADROOM_PROXIES", "0")),  # how many of our own stand in front
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 - the name of a model
REST_KNOX = {"TOKEN_TTL": timedelta(days=90), "TOKEN_PREFIX": "hr_", "AUTH_HEADER_PREFIX": "Bearer"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Headroom",
    "DESCRIPTION": "Permit registry and exchange for cap-and-trade of AI compute and its emissions.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ActivityEnum": "registry.models.ReportLine.Activity",
        "WorkloadKindEnum": "registry.models.Workload.Kind",
        "FindingKindEnum": "registry.models.Finding.Kind",
        "ChecklistOutcomeEnum": "registry.models.ChecklistAnswer.Outcome",
        "DraftStatusEnum": "registry.models.DRAFT.choices",
        "EnergyBoundaryEnum": "registry.models.Boundary",
        "MeasureStatusEnum": "registry.models.MEASURE.choices",
        "ProgrammeStatusEnum": "registry.models.PROGRAMME.choices",
        "ApplicationStatusEnum": "registry.models.APPLICATION.choices",
        "AwardStatusEnum": "registry.models.AWARD.choices",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.add_problems",
    ],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
}

# Language, time, logs -----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
USE_THOUSAND_SEPARATOR = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": os.environ.get("HEADROOM_LOG_LEVEL", "INFO")},
}
