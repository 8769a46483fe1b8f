"""schemathesis over `/openapi.json`: requests that match a route's description, and many that do not, are answered as
described and never with a server error. It runs once as a user over all routes, and once as an admin over the routes
for moderators and admins.

Each run takes half a minute per database; the seed is in the output. A longer run against any server:
`schemathesis run http://…/openapi.json --max-time 600 --header "Authorization: Bearer …"`.
"""

import os
import pathlib
import secrets
import subprocess
import sys

import httpx

URL = os.environ["MANGO_URL"]
SECONDS = os.environ.get("MANGO_FUZZ_SECONDS", "30")

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]

# These would end the session of the run; `test_logging_out_never_faults` covers them.
ENDINGS = ["/auth/logout", "/auth/session/{id}"]


# These would end the admin's own session or role.
OWN_ENDINGS = ["set_role", "end_sessions"]


def token():
    name = f"fuzz_{secrets.token_hex(6)}"
    body = {"username": name, "password": "correct horse"}
    httpx.post(f"{URL}/user", json=body).raise_for_status()
    return httpx.post(f"{URL}/auth/login", json=body).raise_for_status().json()["access_token"]


def admin_token():
    body = {"username": "root", "password": os.environ["MANGO_ADMIN_PASSWORD"]}
    return httpx.post(f"{URL}/auth/login", json=body).raise_for_status().json()["access_token"]


def fuzz(folder, bearer, *chosen):
    """Runs schemathesis over the chosen operations with this bearer token."""
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    arguments = [program, "run", f"{URL}/openapi.json", "--checks", ",".join(CHECKS), "--max-time", SECONDS]
    # One worker: with more, `ast.parse` of CPython 3.11 fails now and then when two threads use it (python/cpython#106905).
    arguments += ["--header", f"Authorization: Bearer {bearer}", "--workers", "1", "--no-color", "--warnings", "off"]
    arguments += chosen
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=int(SECONDS) + 120, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert " generated" in done.stdout, done.stdout


def test_every_route_answers_as_it_is_described(tmp_path):
    fuzz(tmp_path, token(), *(argument for path in ENDINGS for argument in ("--exclude-path", path)))


def test_every_route_for_moderators_and_admins_answers_as_it_is_described(tmp_path):
    bearer = admin_token()
    # It would find its own account and remove its role or session; `test_roles_and_sessions_never_fault` covers these.
    own = (argument for name in OWN_ENDINGS for argument in ("--exclude-operation-id", name))
    fuzz(tmp_path, bearer, "--include-path-regex", "^/admin/", *own)
    answer = httpx.get(f"{URL}/admin/statistics", headers={"authorization": f"Bearer {bearer}"})
    assert answer.status_code == 200, f"the run was not an admin's to its end: {answer.text}"


def test_logging_out_never_faults():
    for method, path in [("POST", "/auth/logout"), ("DELETE", "/auth/session/0"), ("DELETE", "/auth/session/x")]:
        answer = httpx.request(method, f"{URL}{path}", headers={"authorization": f"Bearer {token()}"})
        assert answer.status_code in (204, 404, 422), (method, path, answer.text)


def test_roles_and_sessions_never_fault():
    headers = {"authorization": f"Bearer {admin_token()}"}
    person = httpx.post(f"{URL}/user", json={"username": f"fuzz_{secrets.token_hex(6)}", "password": "correct horse"}).json()["id"]
    for role in ["null", "5", '""', '"owner"', '"ADMIN"', '["admin"]', '{"admin": null}']:
        answer = httpx.put(f"{URL}/admin/user/{person}/role", headers=headers, content=f'{{"role": {role}}}')
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["role"]), (role, answer.text)
    bodies = ["", "{}", "[]", "null", '{"role": "owner"}', '{"role": "user", "x": 1}']
    for number in ["0", "-1", "x", "9223372036854775807", "9223372036854775808", "1.5", "%00"]:
        for body in bodies:
            answer = httpx.put(f"{URL}/admin/user/{number}/role", headers=headers, content=body)
            assert answer.status_code in (404, 422), (number, body, answer.text)
        for method in ("GET", "DELETE"):
            answer = httpx.request(method, f"{URL}/admin/user/{number}/session", headers=headers)
            assert answer.status_code in (404, 422), (method, number, answer.text)
