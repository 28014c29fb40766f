# docker build -t scraper .
# docker run --rm --user "$(id -u)" -v "$PWD:/data" scraper urls.txt --to out
#
# The program in an image of Python, and no compiler: all that is installed are wheels.
FROM docker.io/library/python:3.13-slim AS build
COPY pyproject.toml README.md LICENSE /source/
COPY scraper /source/scraper
COPY docs/man /source/docs/man
RUN python -m venv /opt/scraper \
 && /opt/scraper/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: '/source[fast]' \
 && /opt/scraper/bin/pip uninstall --yes --quiet pip

FROM docker.io/library/python:3.13-slim
COPY --from=build /opt/scraper /opt/scraper
ENV PATH=/opt/scraper/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Nobody in particular, so that a cluster may choose another user. /data is where lists are read from
# and bodies are written to, unless a path says otherwise.
RUN useradd --no-create-home --uid 10001 scraper && mkdir /data && chown scraper /data
USER scraper
WORKDIR /data
# The program itself is process 1: it takes SIGTERM, ends in ten seconds at most, and starts no other
# processes that anybody would have to wait for.
ENTRYPOINT ["scraper"]
CMD ["--help"]
