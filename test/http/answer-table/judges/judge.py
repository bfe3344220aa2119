"""Prints what Python's http.client reads of the answers of the URLs on its standard input: a status, or 0."""

import http.client
import sys
from urllib.parse import urlsplit

for line in sys.stdin:
    url = urlsplit(line.strip())
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=2)
    try:
        connection.request("POST", url.path, "{}", {"content-type": "application/json"})
        print(connection.getresponse().status, flush=True)
    except Exception:
        print(0, flush=True)
    finally:
        connection.close()
