"""The page says what the findings say, first things first, in well-formed HTML that loads nothing."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from latentprint.attack_engine.findings.results import Findings, LeftOut, SampleFolder, SharedImage
from latentprint.attack_engine.questions.header import Outcome
from latentprint.attack_engine.questions.membership.wording import labelled
from latentprint.attack_engine.report.render import render
from latentprint.attack_engine.statistics.figures import Correlations

VOID = {"meta", "link", "br", "img", "input", "hr"}
NAMESPACES = ("http://www.w3.org/2000/svg",)


class Reader(HTMLParser):
    """Reads a page strictly: every element closes in order; keeps ids, links, sources and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"repeated attribute in <{tag}>"
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).replace("\xa0", " ").split())

    def all(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(attribute)) is not None]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(findings: Findings) -> str:
    return render(findings)


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return read(page)


def held(findings: Findings) -> Findings:
    """The same findings without the audits whose null control fails."""
    audits = tuple(a for a in findings.audits if not a.failed_controls)
    return replace(findings, audits=audits)


def first_line(page: str) -> str:
    return read(page[page.index("<h1>") : page.index("</h1>") + len("</h1>")]).text


def test_every_element_closes_and_ids_are_unique(reader: Reader) -> None:
    ids = Counter(reader.all("id"))
    assert max(ids.values()) == 1
    anchors = {href[1:] for href in reader.all("href") if href.startswith("#")}
    assert anchors <= set(ids)
    references = {name for value in reader.all("aria-labelledby") for name in value.split()}
    assert references <= set(ids)


def test_headings_never_skip_a_level(reader: Reader) -> None:
    assert reader.headings[0] == 1
    assert reader.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(reader.headings, reader.headings[1:], strict=False))


def test_nothing_is_loaded_from_anywhere(page: str, reader: Reader) -> None:
    for attribute in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
        assert all(value.startswith(("#", "data:")) for value in reader.all(attribute))
    for namespace in NAMESPACES:
        page = page.replace(namespace, "")
    assert not re.search(r"https?://", page)
    assert not re.search(r"url\(|@import", page)
    assert "default-src 'none'" in page


def test_the_verdict_is_the_first_line(findings: Findings) -> None:
    assert first_line(render(held(findings))) == findings.verdict.sentence


def test_a_failed_null_control_is_the_first_line_whatever_the_verdict(findings: Findings, page: str) -> None:
    first = first_line(page)
    assert first.startswith("Not valid: 1 of 14 null controls failed")
    assert "under PartCrop" in first
    assert findings.verdict.outcome is Outcome.FOUND
    text = read(page[page.index("<body>") : page.index("</body>") + len("</body>")]).text
    assert text.index("Not valid") < text.index(findings.verdict.sentence) < text.index("Overview")


def test_a_verdict_that_says_not_valid_itself_is_not_repeated(findings: Findings) -> None:
    own = labelled(
        Outcome.INVALID, "Not valid: 1 of 14 null controls failed. First, PartCrop.", ("First, PartCrop.", "More.")
    )
    page = render(replace(findings, verdict=own))
    assert first_line(page) == "Not valid: 1 of 14 null controls failed."
    header = read(page[page.index('<ul class="following">') : page.index('<ul class="tally"')]).text
    assert header == "First, PartCrop. More."


def test_a_long_verdict_leads_with_its_first_sentence(findings: Findings) -> None:
    verdict = replace(findings.verdict, sentence="Leak found in 2 of 5 audits. Strongest, EncoderMI-V: AUC 0.81.")
    page = render(replace(held(findings), verdict=verdict))
    assert first_line(page) == "Leak found in 2 of 5 audits."
    assert "Strongest, EncoderMI-V: AUC 0.81." in read(page).text


def test_the_title_carries_the_outcome(page: str) -> None:
    assert "<title>Not valid: Quickstart: digits &amp; composites</title>" in page


def test_every_audits_numbers_appear(findings: Findings, reader: Reader) -> None:
    for audit in findings.audits:
        auc = audit.effect
        assert f"{auc.estimate:.3f} [{auc.interval.low:.3f}, {auc.interval.high:.3f}]" in reader.text
        assert audit.verdict.sentence in reader.text
        assert audit.digests["split"] in reader.text
        assert f"{100 * audit.result.evaluation.recall:.1f} %" in reader.text
        assert f"≥ {audit.result.evaluation.epsilon.epsilon:.2f}" in reader.text
    assert "TPR at 1 % FPR" in reader.text
    assert "TPR at 0.1 % FPR" in reader.text


def test_a_resolvable_rate_says_what_it_cost(findings: Findings, reader: Reader) -> None:
    rate = next(
        r for a in findings.audits for r in a.result.evaluation.tpr_at_fpr if r.resolvable and r.target_fpr == 0.001
    )
    assert rate.non_members == 1500
    assert f"{rate.true_positives} of 1,500 members found" in reader.text
    assert f"{rate.false_positives} of 1,500 non-members wrongly named" in reader.text
    assert f"(realised FPR {100 * rate.realised_fpr:.2f} %)" in reader.text


def test_an_unresolvable_rate_is_said_in_words_and_never_a_number(reader: Reader) -> None:
    assert "Not resolvable with 100 non-members: the smallest rate they can show is 1 in 100 (1.00 %)." in reader.text
    assert not re.search(r"\b(nan|NaN|None|inf)\b", reader.text)


def test_the_validity_block_states_its_level_and_its_failures(reader: Reader) -> None:
    assert "Its 99.58 % interval, corrected for 12 controls in this report" in reader.text
    assert "leaves out 0.5" in reader.text
    assert "so the split itself leaks" in reader.text
    assert "p = 0.410" in reader.text
    assert "It sees: pixels and simple image statistics." in reader.text
    assert "detects AUC ≥ 0.610" in reader.text


def test_an_audit_without_null_controls_claims_nothing(findings: Findings) -> None:
    audit = findings.audits[0]
    text = read(render(replace(findings, audits=(replace(audit, controls=()),)))).text
    assert "Without a control that cannot leak, no claim of leakage can be made." in text


def test_empty_discoveries_and_missing_curves_are_no_gaps(findings: Findings, reader: Reader) -> None:
    assert "No sample stands out enough to be called a member" in reader.text
    assert "17 samples called members at a false discovery rate of at most 5 %; 16 of them are." in reader.text
    charts = [attrs for tag, attrs in reader.elements if tag == "svg" and attrs.get("class") == "chart"]
    figures = [figure for audit in findings.audits for figure in audit.figures]
    drawn = sum(3 if isinstance(figure, Correlations) else 1 for figure in figures)
    assert len(charts) == 2 * len(findings.audits) + drawn


def test_text_from_findings_is_escaped_everywhere(findings: Findings) -> None:
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
    audit = findings.audits[0]
    result, validity = audit.result, audit.result.validity
    hostile = replace(
        audit,
        attack=replace(audit.attack, name=evil, summary=evil, source=evil),
        verdict=replace(audit.verdict, label=evil, sentence=evil, reasons=(evil,)),
        victim=replace(
            audit.victim, name=evil, url=evil, dataset=evil, card={evil: {evil: evil}}, training={evil: evil}
        ),
        effect=replace(audit.effect, name=evil),
        controls=tuple(replace(c, name=evil, description=evil) for c in audit.controls),
        figures=(
            *(replace(c, title=evil, x_label=evil, y_label=evil) for c in audit.figures),
            Correlations(evil, (evil,), ((1.0,),), ((None,),), evil),
        ),
        digests={"split": evil, "dataset": evil},
        result=replace(
            result,
            validity=replace(
                validity,
                blind=replace(validity.blind, features=evil),
                split_test=replace(validity.split_test, method=evil),
            ),
            most_exposed=tuple(replace(e, image=evil, file=evil) for e in result.most_exposed),
        ),
    )
    page = render(
        replace(
            findings,
            title=evil,
            created=evil,
            audits=(hostile,),
            configuration={evil: [evil]},
            versions={evil: evil},
            folders=(SampleFolder(evil, 3, (LeftOut(evil, 1, (evil,)),)),),
            shared=(SharedImage(evil, evil, True),),
        )
    )
    reader = read(page)
    assert sum(tag == "script" for tag, _ in reader.elements) == 1
    assert not any(
        tag == "img" and not (attrs["src"] or "").startswith("data:image/") for tag, attrs in reader.elements
    )
    assert not reader.all("onerror")
    assert evil in "".join(reader.texts)


UNSEEN = "\u202egnp.\u2066\x1b[2J\x07\u200b\u2028\ud800\U000e0041"


def test_characters_that_turn_or_hide_others_are_written_out_everywhere(findings: Findings) -> None:
    audit = findings.audits[0]
    hostile = replace(
        audit,
        attack=replace(audit.attack, name=f"a{UNSEEN}"),
        victim=replace(audit.victim, name=f"v{UNSEEN}" + "x" * 10_000, url=UNSEEN, card={UNSEEN: {UNSEEN: UNSEEN}}),
        figures=tuple(replace(c, title=UNSEEN, x_label=UNSEEN) for c in audit.figures),
        result=replace(audit.result, most_exposed=tuple(replace(e, file=UNSEEN) for e in audit.result.most_exposed)),
    )
    page = render(replace(findings, title=UNSEEN, audits=(hostile,), configuration={UNSEEN: [UNSEEN]}))
    assert not set(UNSEEN) - set("gnp.[2J") & set(page)
    assert r"\u202egnp.\u2066\x1b[2J\x07\u200b\u2028\ud800\U000e0041" in page
    read(page)
    page.encode()


def test_files_folders_and_what_was_left_out_are_named(findings: Findings, page: str, reader: Reader) -> None:
    text = " ".join("".join(reader.texts).split())
    named = [one.file for audit in findings.audits for one in audit.result.most_exposed if one.file]
    assert len(named) == 6 * len(findings.audits)
    assert all(name in text for name in named)
    assert "/data/trained on: 200 images. 1,204 hidden: .DS_Store, ._a.png, …" in text
    assert "1 a link to nothing: b" in text
    assert "/data/not trained on: 200 images, nothing left out." in text
    assert "2 members show the image of a non-member" in text
    assert "2.png and 2.jpg: much alike" in text
    bare = render(replace(findings, folders=(), shared=()))
    assert 'id="folders"' not in bare
    assert 'id="shared"' not in bare


def test_an_image_that_is_not_embedded_is_left_out(findings: Findings) -> None:
    audit = findings.audits[0]
    away = replace(audit.result.most_exposed[0], image="https://example.org/x.png")
    remote = replace(audit, result=replace(audit.result, most_exposed=(away,)))
    page = render(replace(findings, audits=(remote,)))
    assert "example.org" not in page
    assert "no image" in page


def test_the_matrix_names_what_was_not_run_and_repeats_share_a_cell(findings: Findings) -> None:
    again = replace(findings, audits=(*findings.audits, replace(findings.audits[0], seed=99)))
    page = render(again)
    matrix = page[page.index('<table class="matrix"') : page.index("</table>", page.index('<table class="matrix"'))]
    assert matrix.count("not run") == 3 * 4 - len(findings.audits)
    assert matrix.count('class="cell ') == len(findings.audits) + 1


def test_the_same_findings_make_the_same_page(findings: Findings, page: str) -> None:
    assert render(findings) == page


def test_a_report_without_audits_still_opens(findings: Findings) -> None:
    empty = replace(findings, audits=(), configuration={}, versions={})
    assert "No audit was run." in read(render(empty)).text


def test_the_page_stays_small(findings: Findings) -> None:
    audits = tuple(replace(a, result=replace(a.result, most_exposed=(), least_exposed=())) for a in findings.audits)
    plain = replace(findings, audits=audits)
    figures = sum(isinstance(figure, Correlations) for audit in findings.audits for figure in audit.figures)
    assert len(render(plain).encode()) < 60_000 + 60_000 * len(findings.audits) + 30_000 * figures
