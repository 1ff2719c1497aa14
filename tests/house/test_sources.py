"""The readers of Rust and SQL, on texts whose functions are plain to count."""

import pytest

import rust_source
import sql_source

RUST = '''
/// What it does: fn not_me() {}
// long: a table
#[inline]
pub(crate) fn first<'a>(text: &'a str) -> [u8; 2] {
    // a comment

    let brace = '{';
    let text = r#"}"#;
    inner(|| { "}" })
}
trait T {
    fn promised(&self) -> [u8; 3];
    fn given(&self) {}
}
#[cfg(test)]
mod tests {
    fn tested() {
    }
}
'''

SQL = '''
-- ----------
-- A banner; CREATE FUNCTION not_me()
-- ----------
-- long: it is one query
CREATE FUNCTION quoted(a text DEFAULT ';') RETURNS text
LANGUAGE plpgsql
AS $body$
BEGIN
    -- nothing; $body
    RETURN 'END;' || $$;$$;

END
$body$;
COMMENT ON FUNCTION quoted IS 'it''s nothing; CREATE FUNCTION x()';

CREATE OR REPLACE PROCEDURE atomic()
BEGIN ATOMIC
    SELECT CASE WHEN true THEN 1 END;
    SELECT 2;
END;
CREATE FUNCTION short() RETURNS boolean LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM pg_class);
'''


def test_functions_of_rust_are_counted_by_lines_of_code():
    found = [(f.name, f.line, f.lines) for f in rust_source.functions(RUST)]
    assert found == [("first", 5, 5), ("given", 14, 1), ("tested", 18, 2)]


def test_functions_of_sql_are_counted_by_lines_of_code():
    found = [(f.name, f.line, f.lines) for f in sql_source.functions(SQL)]
    assert found == [("quoted", 6, 7), ("atomic", 17, 5), ("short", 22, 2)]


@pytest.mark.parametrize("found", [next(rust_source.functions(RUST)), next(sql_source.functions(SQL))])
def test_comments_right_above_a_function_belong_to_it(found):
    assert "long:" in found.above


def test_comments_above_another_function_do_not():
    assert [f.name for f in rust_source.functions(RUST) if "long:" in f.above] == ["first"]
    assert [f.name for f in sql_source.functions(SQL) if "long:" in f.above] == ["quoted"]


def test_a_function_without_an_end_is_refused():
    with pytest.raises(ValueError, match="no end"):
        list(rust_source.functions("fn broken() { if true {"))


def test_comments_go_and_literals_are_covered():
    code = rust_source.code("a /* b */ \"c // d\" 'e' // f\n'x: loop {} g('\\'', b\"h\\\"i\")")
    assert [word for word in "abcdefghi" if rust_source.re.search(rf"\b{word}\b", code)] == ["a", "g"]
    assert "'x: loop" in code
    assert code.count("\n") == 1


def test_literals_are_found_outside_of_comments_only():
    assert rust_source.literals('// "a"\nb("c", r#"d"e"#)') == ['"c"', 'r#"d"e"#']
