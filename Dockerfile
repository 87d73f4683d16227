# The production image: the hashed lock without the embedded servers' use, an ordinary user, static files collected.
FROM python:3.13-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --create-home headroom
WORKDIR /srv/headroom
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
ENV HEADROOM_ENV=production
RUN HEADROOM_SECRET_KEY=build HEADROOM_SIGNING_KEY=build HEADROOM_HOSTS=build CACHE_URL=redis://build \
    python -m django collectstatic --noinput --settings config.settings
USER headroom
