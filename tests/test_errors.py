"""How errors are worded."""

from __future__ import annotations

import pytest

from mockforge_nb import Mock, OptionError, TemplateError
from mockforge_nb.errors import joined


def test_what_follows_a_question_has_no_second_mark() -> None:
    assert joined("did you mean 'x'?", "valid: 'x'") == "did you mean 'x'? valid: 'x'"
    assert joined("is no x", "valid: 'x'") == "is no x; valid: 'x'"
    assert joined("is no x", "") == "is no x"


def test_an_option_s_error_goes_on_after_its_question() -> None:
    with pytest.raises(OptionError, match=r"'drp' is no fault; did you mean 'drop'\? valid: drop, "):
        Mock().fault("drp")


def test_a_template_s_error_goes_on_after_its_question() -> None:
    with pytest.raises(TemplateError, match=r"did you mean 'price'\? give it with \.templates\(pric=…\)"):
        Mock().templates(price=7).when("a", "{{pric}}").serve(port=0)
