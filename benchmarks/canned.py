"""A loopback server in its own process that returns fixed bytes for each path, as fast as possible.

The server implements just enough HTTP for two clients on persistent connections: it reads a request to its
end and writes the response that belongs to the first segment of the path.
"""

from __future__ import annotations

import argparse
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

BUCKET = "examplebucket-1250000000"
KEYS = 1000

JOB = (
    "<JobsDetail><Code>Success</Code><CreationTime>2023-11-15T06:13:20+0800</CreationTime><EndTime>{ended}</EndTime>"
    "<Input><BucketId>examplebucket-1250000000</BucketId><Object>in/a.docx</Object><Region>ap-guangzhou</Region></Input>"
    "<JobId>d00000000000000000000000000000001</JobId><Message></Message><Operation><DocProcess><Comments>1</Comments>"
    "<DocPassword/><EndPage>-1</EndPage><ImageDpi>96</ImageDpi><ImageParams/><PageRanges/>"
    "<PaperDirection>0</PaperDirection><PaperSize>0</PaperSize><PicPagination>0</PicPagination><Quality>100</Quality>"
    "<SheetId>0</SheetId><SrcType/><StartPage>0</StartPage><TgtType>png</TgtType><Zoom>100</Zoom></DocProcess>{result}"
    "<JobLevel>0</JobLevel><Output><Bucket>examplebucket-1250000000</Bucket><Object>out/p-${{Number}}.png</Object>"
    "<Region>ap-guangzhou</Region></Output></Operation><QueueId>p00000000000000000000000000000001</QueueId>"
    "<StartTime>{ended}</StartTime><State>{state}</State><Tag>DocProcess</Tag></JobsDetail>"
)
PAGES = "".join(
    f"<PageInfo><PageNo>{n}</PageNo><TgtUri>out/p-{n}.png</TgtUri></PageInfo>" for n in range(1, 6)
)
RESULT = (
    f"<DocProcessResult><FailPageCount>0</FailPageCount>{PAGES}<SuccPageCount>5</SuccPageCount><TaskId/><TgtType/>"
    "<TotalPageCount>5</TotalPageCount></DocProcessResult>"
)
OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{size}</Size>"
    "<Owner><ID>1250000000</ID><DisplayName>1250000000</DisplayName></Owner>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


def submitted() -> str:
    """The response to a submission."""
    return f"<Response>{JOB.format(ended='-', result='', state='Submitted')}</Response>"


def finished() -> str:
    """The response for a job that made five pages."""
    return (
        f"<Response>{JOB.format(ended='2023-11-15T06:13:25+0800', result=RESULT, state='Success')}</Response>"
    )


def listing() -> str:
    """A full page of keys in Chinese, percent-encoded as the service sends them."""
    keys = (quote(f"归档/二〇二三年/第{n:04}号 季度报告与附件.docx") for n in range(KEYS))
    contents = "".join(OBJECT.format(key=key, size=1000 + n) for n, key in enumerate(keys))
    return (
        f"<ListBucketResult><Name>{BUCKET}</Name><EncodingType>url</EncodingType><Prefix/><Marker/>"
        f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    )


def answer(body: str) -> bytes:
    """A complete HTTP response."""
    data = ('<?xml version="1.0" encoding="UTF-8" ?>' + body).encode()
    head = (
        "HTTP/1.1 200 OK\r\nServer: tencent-ci\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(data)}\r\nx-ci-request-id: NWRlY2JhOTZfZXhhbXBsZQ==\r\n"
        "Date: Tue, 14 Nov 2023 22:14:20 GMT\r\nConnection: keep-alive\r\n\r\n"
    )
    return head.encode() + data


ANSWERS = {
    b"POST /doc_jobs": answer(submitted()),
    b"GET /doc_jobs": answer(finished()),
    b"GET /": answer(listing()),
}


class Handler(socketserver.StreamRequestHandler):
    """One connection, until the client closes it."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            self.wfile.write(next(data for start, data in ANSWERS.items() if line.startswith(start)))


class Server(socketserver.ThreadingTCPServer):
    """A server on a free loopback port, with one thread per connection."""

    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def running() -> Iterator[int]:
    """The port of a server in a process of its own."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
