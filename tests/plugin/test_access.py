"""Only users who may read a DAG's XComs see its batches; tested with the simple and FAB auth managers."""

from __future__ import annotations

import pytest

from airflow_provider_ci.local import LocalCI
from tests.plugin.conftest import Site

PAGES = ("", "batch", "object", "picture", "file")


@pytest.mark.parametrize("page", PAGES)
def test_without_a_session_nothing_is_shown(site: Site, page: str) -> None:
    answer = site.get(page, **site.names("pages_good"), n=0, side="input")
    assert answer.status_code == 401
    assert "pages_good" not in answer.text


def test_a_user_sees_the_batches(site: Site) -> None:
    answer = site.get("", "viewer")
    assert answer.status_code == 200
    order = ("pages_running", "pages_failed", "pages_good")
    places = [answer.text.index(f">{dag}</strong>") for dag in order]
    assert places == sorted(places)
    assert site.get("batch", "viewer", **site.names("pages_failed")).status_code == 200


def test_who_has_no_role_sees_none(site: Site) -> None:
    answer = site.get("", "nobody")
    assert answer.status_code == 200
    assert "pages_" not in answer.text
    for page in PAGES[1:]:
        answer = site.get(page, "nobody", **site.names("pages_good"), n=0, side="input")
        assert answer.status_code == 403, page


def test_a_foreign_dag_is_refused_by_fab(fab_site: Site) -> None:
    for user, own, foreign in (("amy", "pages_failed", "pages_good"), ("ben", "pages_good", "pages_failed")):
        listed = fab_site.get("", user)
        assert own in listed.text
        assert foreign not in listed.text
        assert fab_site.get("batch", user, **fab_site.names(own)).status_code == 200
        for page in PAGES[1:]:
            answer = fab_site.get(page, user, **fab_site.names(foreign), n=0, side="input")
            assert answer.status_code == 403, (user, page)
    assert fab_site.get("batch", **fab_site.names("pages_good")).status_code == 401


def test_another_dag_in_the_address_does_not_help(fab_site: Site) -> None:
    own, foreign = fab_site.names("pages_failed"), fab_site.names("pages_good")
    mixed = {**foreign, "dag_id": own["dag_id"]}
    assert fab_site.get("batch", "amy", **mixed).status_code == 404
    twice = f"batch?dag_id=pages_failed&dag_id=pages_good&run_id={foreign['run_id']}&task_id=convert"
    assert fab_site.get(twice, "amy").status_code == 403
    assert fab_site.get("batch", "amy", **{**foreign, "dag_id": "~"}).status_code in (403, 404)


def test_no_secret_is_shown_or_logged(site: Site, bucket_server: LocalCI) -> None:
    names = site.names("pages_good")
    shown = [site.get(page, "viewer", **names, n=0, side="output") for page in PAGES]
    shown.append(site.get("", "viewer"))
    everything = "".join(answer.text + str(answer.headers) for answer in shown) + site.log()
    assert bucket_server.secret_key not in everything
    assert "q-signature" not in everything
    assert "sign=" not in everything
