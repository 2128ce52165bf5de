"""What can go wrong between a program and the service."""

from offnormal.client.answers import ProblemDocument


class ClientError(Exception):
    """Base of every error that the client raises on purpose."""


class ServiceUnreachable(ClientError):
    """No answer came, for as long as was reasonable to try. The cause is the transport's error."""


class NotOffnormal(ClientError):
    """An answer came that no Offnormal service gives: another server, or a proxy's page. status: of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Problem(ClientError):
    """The service refused, with a problem document (RFC 9457).

    code: stable, for programs (docs/api.md lists them). place: where in the request, e.g.
    `windows[3].readings.Pressure[17]`. expected: what would have been accepted. request_id: to be quoted
    when asking the people who run the service. retry_after_s: how long it asks to wait, where it does.
    """

    def __init__(self, document: ProblemDocument, retry_after_s: float | None = None) -> None:
        where = f" at {document.place}" if document.place else ""
        wanted = f" (expected {document.expected})" if document.expected else ""
        super().__init__(f"{document.status} {document.code}{where}: {document.detail}{wanted}")
        self.document = document
        self.status = document.status
        self.code = document.code
        self.detail = document.detail
        self.place = document.place
        self.expected = document.expected
        self.request_id = document.request_id
        self.retry_after_s = retry_after_s
