"""The source of code: texts are parsed whatever else is being parsed."""

import ast

import pytest

from fanlab.core.code_source import parse


def test_a_text_is_parsed_once_more_when_another_thread_has_disturbed_the_first_time(monkeypatch):
    faults = [SystemError("AST constructor recursion depth mismatch (before=168, after=199)")]
    sound = ast.parse

    def disturbed(text):
        if faults:
            raise faults.pop()
        return sound(text)

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", disturbed)
        found = parse("x = 1")
    assert ast.dump(found) == ast.dump(sound("x = 1"))


def test_what_is_no_source_is_told():
    with pytest.raises(SyntaxError):
        parse("x = = 1")
