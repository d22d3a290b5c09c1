"""Scenarios of the simulator and the faults that they switch on."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from services.sandbox.mailgun import answers, faults
from services.sandbox.mailgun.scenario import (
    CutAnswer,
    CutJson,
    EmptyPaging,
    ForeignNext,
    NoNext,
    OddItems,
    Oversized,
    Refused,
    ResetUnit,
    Scenario,
    ScenarioError,
    ServerError,
    Slow,
    TooManyRequests,
    UsedUp,
    read_scenario,
)

NOW = 1_787_220_000.0
PAGE = answers.Answer(200, b'{"items":[1,2,3],"paging":{}}')


def test_a_scenario_is_read_from_yaml() -> None:
    scenario = read_scenario("""
        seed: 7
        retention_seconds: 86400
        domains: [mg.example.com]
        other_region: {eu.example.com: 404}
        faults:
          - {kind: server_error, status: 502, rate: 0.25, from_second: 5, to_second: 9}
          - {kind: too_many_requests, body: text, retry_after_as: date, reset_unit: milliseconds}
    """)
    assert scenario == Scenario(
        seed=7,
        retention_seconds=86400.0,
        domains=("mg.example.com",),
        other_region={"eu.example.com": 404},
        faults=(
            ServerError(status=502, rate=0.25, from_second=5, to_second=9),
            TooManyRequests(body="text", retry_after_as="date", reset_unit=ResetUnit.MILLISECONDS),
        ),
    )


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_scenario_has_the_defaults(text: str) -> None:
    assert read_scenario(text) == Scenario()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seeed: 1", "seeed"),
        ("seed: one", "seed"),
        ("faults: [{kind: earthquake}]", "earthquake"),
        ("faults: [{kind: slow}]", "seconds"),
        ("faults: [{kind: slow, seconds: 1, minutes: 2}]", "minutes"),
        ("faults: [{kind: server_error, rate: 1.5}]", "rate"),
        ("faults: [{kind: refused, status: 200}]", "200"),
        ("retention_seconds: 0", "retention_seconds"),
        ("[1, 2]", "object"),
        ("{", "no YAML"),
    ],
)
def test_a_wrong_scenario_is_refused_with_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        read_scenario(text)


def struck(scenario: Scenario, *, number: int = 0, seconds: float = 0.0, domain: str = "a") -> bool:
    return bool(faults.striking(scenario, number=number, seconds=seconds, domain=domain))


def test_a_fault_strikes_within_its_windows_only() -> None:
    by_number = Scenario(faults=(ServerError(from_request=2, to_request=4),))
    assert [struck(by_number, number=number) for number in range(6)] == [False, False, True, True, False, False]
    by_second = Scenario(faults=(ServerError(from_second=2, to_second=4),))
    assert [struck(by_second, seconds=second) for second in range(6)] == [False, False, True, True, False, False]
    by_domain = Scenario(faults=(ServerError(domain="a"),))
    assert (struck(by_domain, domain="a"), struck(by_domain, domain="b")) == (True, False)


def test_the_same_seed_strikes_the_same_requests() -> None:
    def pattern(seed: int) -> list[bool]:
        scenario = Scenario(seed=seed, faults=(ServerError(rate=0.3),))
        return [struck(scenario, number=number) for number in range(1000)]

    assert pattern(1) == pattern(1)
    assert pattern(1) != pattern(2)
    assert 230 < sum(pattern(1)) < 370


def test_two_faults_of_one_rate_strike_apart() -> None:
    scenario = Scenario(faults=(ServerError(rate=0.5), Slow(rate=0.5, seconds=1)))
    counts = {len(faults.striking(scenario, number=n, seconds=0, domain="a")) for n in range(100)}
    assert counts == {0, 1, 2}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("json", b'{"message":"Too Many Requests"}'),
        ("text", b"Too Many Requests"),
        ("retry_seconds", b'{"retry-seconds":60}'),
    ],
)
def test_429_has_each_of_its_bodies(body: str, expected: bytes) -> None:
    fault = read_scenario(f"faults: [{{kind: too_many_requests, body: {body}, retry_after_seconds: 60}}]").faults
    answer = faults.instead(fault, domain="a", now=NOW)
    assert answer is not None
    assert (answer.status, answer.body) == (429, expected)


def test_429_tells_when_in_seconds_milliseconds_or_as_a_date() -> None:
    def headers(fault: TooManyRequests) -> dict[str, str]:
        return dict(answers.too_many_requests(fault, NOW).headers)

    assert headers(TooManyRequests(retry_after_seconds=3))["Retry-After"] == "3"
    date = headers(TooManyRequests(retry_after_seconds=30, retry_after_as="date"))["Retry-After"]
    assert parsedate_to_datetime(date).timestamp() == NOW + 30
    assert headers(TooManyRequests(retry_after_seconds=None)) == {}
    seconds = headers(TooManyRequests(reset_seconds=2, reset_unit=ResetUnit.SECONDS))
    assert (seconds["X-RateLimit-Reset"], seconds["X-RateLimit-Remaining"]) == ("1787220002.000", "0")
    milliseconds = headers(TooManyRequests(reset_seconds=2, reset_unit=ResetUnit.MILLISECONDS))
    assert milliseconds["X-RateLimit-Reset"] == "1787220002000"


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        (ServerError(status=504), 504, "text/html"),
        (ServerError(status=599), 599, "text/html"),
        (Refused(status=401), 401, "text/plain; charset=utf-8"),
        (Refused(status=402), 402, "application/json; charset=utf-8"),
        (Refused(status=403), 403, "application/json; charset=utf-8"),
        (Refused(status=404), 404, "application/json; charset=utf-8"),
    ],
)
def test_errors_come_in_mailguns_form(fault: ServerError | Refused, status: int, content_type: str) -> None:
    answer = faults.instead([Slow(seconds=1), fault], domain="a", now=NOW)
    assert answer is not None
    assert (answer.status, answer.content_type) == (status, content_type)


def test_the_first_error_wins_and_faults_of_pages_give_no_error() -> None:
    both = faults.instead([UsedUp(), ServerError(status=500), Refused(status=403)], domain="a", now=NOW)
    assert both is not None
    assert both.status == 500
    assert faults.instead([UsedUp(), CutJson(), OddItems()], domain="a", now=NOW) is None


def test_a_page_is_spoilt_in_its_links() -> None:
    links = {"next": "http://here:1/v3/a", "first": "http://here:1/v3/b"}

    def after(fault: EmptyPaging | NoNext | ForeignNext) -> dict[str, str]:
        rng = faults.dice(1, 1, 1)
        return faults.spoilt_page([fault], [b"1"], dict(links), own_base_url="http://here:1", rng=rng)[1]

    assert after(EmptyPaging()) == {}
    assert after(NoNext()) == {"first": "http://here:1/v3/b"}
    assert after(ForeignNext(base_url="https://there"))["next"] == "https://there/v3/a"


def test_odd_items_stand_among_all_the_real_ones() -> None:
    real = [b"1", b"2", b"3"]
    mixed, _ = faults.spoilt_page([OddItems(count=4)], list(real), {}, own_base_url="", rng=faults.dice(1, 1, 1))
    assert len(mixed) == 7
    assert [item for item in mixed if item in real] == real


def test_answers_are_cut_blown_up_and_told_to_be_the_last() -> None:
    def after(fault: CutAnswer | CutJson | Oversized | UsedUp) -> answers.Answer:
        return faults.spoilt_answer([fault], PAGE, now=NOW)

    cut = after(CutAnswer(share=1))
    assert (cut.body, cut.send_bytes) == (PAGE.body, len(PAGE.body) - 1)
    assert after(CutJson(share=0.5)).body == PAGE.body[: len(PAGE.body) // 2]
    assert after(CutJson(share=1)).body == PAGE.body[:-1]
    assert len(after(Oversized(size_bytes=5000)).body) == 5000
    assert ("X-RateLimit-Remaining", "0") in after(UsedUp(reset_unit=ResetUnit.NONE)).headers
    assert faults.delay_seconds([Slow(seconds=1), UsedUp(), Slow(seconds=0.5)]) == 1.5
