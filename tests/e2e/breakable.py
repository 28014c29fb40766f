"""A site whose pages fail with the statuses that a test gives them."""

from tests.servers import HttpServer, Reply, Request, Serve


class Site:
    """Answers with the statuses in `broken` by path, else with the path and its user."""

    def __init__(self, serve: Serve) -> None:
        self.server: HttpServer = serve(self.answer)
        self.broken: dict[str, int] = {}
        self.url = self.server.url

    def answer(self, request: Request) -> Reply:
        if code := self.broken.get(request.plain_path):
            return Reply(code)
        return Reply(200, {}, f"{request.path} {request.headers.get('x-a', '')}".encode())

    def asked(self) -> list[str]:
        """The paths since the last call."""
        paths = sorted(request.path for request in self.server.requests)
        self.server.requests.clear()
        return paths
