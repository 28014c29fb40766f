"""A site of twelve hosts, for runs that divide a list by its hosts."""

from tests.servers import HttpFarm, Reply, Request

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 13))


def twelve_hosts() -> HttpFarm:
    """All of them, once it is entered. `/gone...` is 404."""

    def answer(request: Request) -> Reply:
        if request.path.startswith("/gone"):
            return Reply(404)
        return Reply(body=f"{request.headers['host']}{request.path}".encode())

    return HttpFarm(answer, HOSTS)
