"""Runs schemathesis over `/openapi.json`: requests that match a route's description, and many that do not, get the
described responses and never a server error. It runs once as a user over all routes, and once as an admin over the
routes for moderators and admins.

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

# These would end the session of the run; `test_logout_never_causes_a_server_error` covers them.
EXCLUDED_PATHS = ["/auth/logout", "/auth/session/{id}"]


# These would end the admin's own session or role.
EXCLUDED_ADMIN_OPERATIONS = ["set_role", "end_sessions"]


def token():
    name = f"fuzz_{secrets.token_hex(6)}"
    body = {"username": name, "password": "correct horse"}
    httpx.post(f"{URL}/user", json=body).raise_for_status()
    return httpx.post(f"{URL}/auth/login", json=body).raise_for_status().json()["access_token"]


def admin_token():
    body = {"username": "root", "password": os.environ["MANGO_ADMIN_PASSWORD"]}
    return httpx.post(f"{URL}/auth/login", json=body).raise_for_status().json()["access_token"]


def fuzz(folder, bearer, *options):
    """Runs schemathesis over the chosen operations with this bearer token."""
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    arguments = [program, "run", f"{URL}/openapi.json", "--checks", ",".join(CHECKS), "--max-time", SECONDS]
    # One worker: with more, `ast.parse` of CPython 3.11 sometimes fails when two threads use it (python/cpython#106905).
    arguments += ["--header", f"Authorization: Bearer {bearer}", "--workers", "1", "--no-color", "--warnings", "off"]
    arguments += options
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=int(SECONDS) + 120, check=False, cwd=folder)
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-2_000:]
    assert " generated" in result.stdout, result.stdout


def test_every_route_conforms_to_its_description(tmp_path):
    fuzz(tmp_path, token(), *(argument for path in EXCLUDED_PATHS for argument in ("--exclude-path", path)))


def test_every_route_for_moderators_and_admins_conforms_to_its_description(tmp_path):
    bearer = admin_token()
    # These could remove the admin's own role or session; `test_roles_and_sessions_never_cause_a_server_error` covers them.
    excluded = (argument for name in EXCLUDED_ADMIN_OPERATIONS for argument in ("--exclude-operation-id", name))
    fuzz(tmp_path, bearer, "--include-path-regex", "^/admin/", *excluded)
    response = httpx.get(f"{URL}/admin/statistics", headers={"authorization": f"Bearer {bearer}"})
    assert response.status_code == 200, f"the admin lost its role or session during the run: {response.text}"


def test_logout_never_causes_a_server_error():
    for method, path in [("POST", "/auth/logout"), ("DELETE", "/auth/session/0"), ("DELETE", "/auth/session/x")]:
        response = httpx.request(method, f"{URL}{path}", headers={"authorization": f"Bearer {token()}"})
        assert response.status_code in (204, 404, 422), (method, path, response.text)


def test_roles_and_sessions_never_cause_a_server_error():
    headers = {"authorization": f"Bearer {admin_token()}"}
    user_id = httpx.post(f"{URL}/user", json={"username": f"fuzz_{secrets.token_hex(6)}", "password": "correct horse"}).json()["id"]
    for role in ["null", "5", '""', '"owner"', '"ADMIN"', '["admin"]', '{"admin": null}']:
        response = httpx.put(f"{URL}/admin/user/{user_id}/role", headers=headers, content=f'{{"role": {role}}}')
        assert (response.status_code, list(response.json()["errors"])) == (422, ["role"]), (role, response.text)
    bodies = ["", "{}", "[]", "null", '{"role": "owner"}', '{"role": "user", "x": 1}']
    for number in ["0", "-1", "x", "9223372036854775807", "9223372036854775808", "1.5", "%00"]:
        for body in bodies:
            response = httpx.put(f"{URL}/admin/user/{number}/role", headers=headers, content=body)
            assert response.status_code in (404, 422), (number, body, response.text)
        for method in ("GET", "DELETE"):
            response = httpx.request(method, f"{URL}/admin/user/{number}/session", headers=headers)
            assert response.status_code in (404, 422), (method, number, response.text)
