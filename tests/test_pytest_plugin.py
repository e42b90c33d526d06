"""The fixture `ws_mock` in a pytest run of its own."""

from __future__ import annotations

import pytest

from mockforge_nb import Mock, registry

BROKEN = 'Mock().replay([{"text": "{{boom()}}"}]).templates(boom=lambda: 1 / 0)'


@pytest.fixture(scope="module", autouse=True)
def _rehearsal() -> None:
    """Load whatever the runs below load, because `pytester` forgets what was loaded in a run of its."""
    with Mock().replay([{"text": "{{f()}}", "waitFor": "a"}]).templates(f=int).serve(port=0) as server:
        with server.client() as client:
            client.send("a")
            assert client.recv() == "0"
        assert len(server.traffic.df) > 0


@pytest.fixture
def pytester(
    _rehearsal: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> pytest.Pytester:
    pytester.makeini("[pytest]\nfilterwarnings = error")
    if "entry_point" not in request.function.__name__:  # other people's plugins take a second to load
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        monkeypatch.setenv("PYTEST_PLUGINS", "mockforge_nb.pytest_plugin")
    return pytester


def run(pytester: pytest.Pytester, *code: str) -> pytest.RunResult:
    pytester.makepyfile("\n".join(["import time, unittest.mock", "from mockforge_nb import Mock", *code]))
    before = dict(registry.running)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert registry.running == before  # every server was stopped, however its test ended
    return result


def test_a_mock_is_served_on_a_free_port_and_stopped_after_the_test(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        "kept = []",
        "def test_first(ws_mock):",
        "    one, two = ws_mock(Mock().echo()), ws_mock(Mock().echo('> '), path='/other')",
        "    assert one.port != two.port != 3001",
        "    assert two.url.endswith('/other')",
        "    with one.client() as client, two.client() as other:",
        "        client.send('a'); other.send('a')",
        "        assert (client.recv(), other.recv()) == ('a', '> a')",
        "    kept.extend([one, two])",
        "def test_second():",
        "    assert [server.running for server in kept] == [False, False]",
    ).assert_outcomes(passed=2)


def test_a_test_may_stop_its_server_itself_and_needs_no_server(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        "def test_stops(ws_mock):",
        "    ws_mock(Mock()).stop()",
        "def test_none(ws_mock):",
        "    pass",
        "def test_with(ws_mock):",
        "    with ws_mock(Mock()) as server:",
        "        assert server.running",
    ).assert_outcomes(passed=3)


def test_what_the_author_did_wrong_fails_the_test_after_its_body(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        "def test_it(ws_mock):",
        f"    first, second = ws_mock({BROKEN}), ws_mock({BROKEN})",
        "    with first.client(), second.client():",
        "        while not (first.errors and second.errors):",
        "            time.sleep(.01)",
        "def test_next(ws_mock):",
        "    ws_mock(Mock())",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it*",
            "*TemplateError: template '{{boom()}}': boom() raised ZeroDivisionError: division by zero",
            "*connection 1, step 0",
            "*also, on ws://127.0.0.1:*/ws: TemplateError: template '{{boom()}}'*",
        ]
    )


def test_a_body_that_fails_is_not_masked(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        "def test_it(ws_mock):",
        f"    server = ws_mock({BROKEN})",
        "    with server.client():",
        "        while not server.errors:",
        "            time.sleep(.01)",
        "    assert 1 == 2, 'the body failed'",
        "def test_fails_only_itself(ws_mock):",
        "    ws_mock(Mock())",
        "    assert 1 == 3, 'and so did this one'",
    )
    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines(["*AssertionError: the body failed*"])
    result.stdout.fnmatch_lines(["*AssertionError: and so did this one*"])


def test_an_error_that_the_test_expected_and_raised_itself_does_not_fail_it(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        "import pytest",
        "def test_it(ws_mock):",
        f"    server = ws_mock({BROKEN})",
        "    with server.client():",
        "        while not server.errors:",
        "            time.sleep(.01)",
        "    with pytest.raises(Exception, match='ZeroDivision'):",
        "        server.check()",
    ).assert_outcomes(passed=1)


def test_an_error_that_comes_after_the_one_that_was_expected_fails_it(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        "import pytest",
        "def test_it(ws_mock):",
        f"    server = ws_mock({BROKEN})",
        "    for n in (1, 2):",
        "        with server.client():",
        "            while len(server.errors) < n:",
        "                time.sleep(.01)",
        "        if n == 1:",
        "            with pytest.raises(Exception, match='ZeroDivision'):",
        "                server.check()",
    ).assert_outcomes(passed=1, errors=1)


def test_anything_but_a_mock_is_refused_with_the_way_out(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        "import pytest",
        "things = [unittest.mock.Mock(), unittest.mock.MagicMock(), unittest.mock.Mock, Mock, {}, None, 'ws://x']",
        "@pytest.mark.parametrize('thing', things, ids=[*'abcdefg'])",
        "def test_it(ws_mock, thing):",
        "    ws_mock(thing)",
    )
    result.assert_outcomes(failed=7)
    way = "; write `from mockforge_nb import Mock` and ws_mock(Mock().echo())"
    for what in (
        "a unittest.mock.Mock (the test imports unittest.mock's)",
        "a unittest.mock.MagicMock (the test imports unittest.mock's)",
        "the class unittest.mock.Mock itself (the test imports unittest.mock's)",
        "the class mockforge_nb.mock.Mock itself",
        "a dict",
        "a NoneType",
        "a str",
    ):
        assert f"TypeError: ws_mock() serves a mockforge_nb.Mock, not {what}{way}" in result.stdout.str()


def test_the_errors_of_serving_are_raised_at_the_call_and_stop_what_was_served(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        "import pytest",
        "from mockforge_nb import BindError, TemplateError",
        "def test_it(ws_mock):",
        "    server = ws_mock(Mock())",
        "    with pytest.raises(BindError):",
        "        ws_mock(Mock(), port=server.port)",
        "    with pytest.raises(TemplateError, match='unknown'):",
        "        ws_mock(Mock().replay([{'text': '{{unknown}}'}]))",
        "    assert ws_mock(Mock(), port=server.port, replace=True).running",
        "    assert not server.running",
    )
    result.assert_outcomes(passed=1)


def test_an_entry_point_brings_the_fixture_which_explains_itself(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fixtures", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["ws_mock*", "*Serve mocks in a test*"])
