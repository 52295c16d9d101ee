"""Validates a crate by roc-validator without a network; run by the validators' Python.

usage: check_crate.py CRATE CACHE

The cache holds the only page that the validator would fetch: the context of RO-Crate 1.1.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

CONTEXT = Path(__file__).with_name("ro-crate-1.1-context.jsonld")
URL = "https://w3id.org/ro/crate/1.1/context"


class ContextAdapter(HTTPAdapter):
    """Answers every request with the context of RO-Crate, without a network."""

    def send(self, request, **_):
        raw = HTTPResponse(
            io.BytesIO(CONTEXT.read_bytes()),
            headers={"Content-Type": "application/ld+json"},
            status=200,
            preload_content=False,
            request_url=request.url,
        )
        return self.build_response(request, raw)


def main(crate, cache):
    with CachedSession(cache, backend="sqlite", expire_after=-1) as session:
        session.mount("https://", ContextAdapter())
        session.get(URL)
    report = Path(cache).with_suffix(".json")
    program = Path(sys.executable).with_name("rocrate-validator")
    command = [program, "--no-interactive", "validate", "--offline", "--cache-path", cache]
    # This profile includes the profiles that it builds upon.
    command += ["--profile-identifier", "provenance-run-crate-0.5"]
    command += ["--output-format", "json", "--output-file", report, crate]
    done = subprocess.run(command, capture_output=True, text=True)
    content = json.loads(report.read_text()) if report.exists() else {"error": done.stderr}
    print(json.dumps(content, indent=1))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
