use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Vec<Instruction> {
    Dockerfile::parse(text).unwrap().instructions
}

fn rest(text: &str) -> String {
    parse(text).remove(0).rest
}

#[test]
fn comments_and_continued_lines_are_taken_apart() {
    let parsed = parse(
        "\u{feff}\n# a comment\n  from a AS b\nRUN one \\\n  # in between\n\n  && two\\  \n  three # not one\nCMD x",
    );
    let lines: Vec<_> = parsed
        .iter()
        .map(|one| (one.name.as_str(), one.rest.as_str(), one.line))
        .collect();
    assert_eq!(
        lines,
        [
            ("FROM", "a AS b", 3),
            ("RUN", "one   && two  three # not one", 4),
            ("CMD", "x", 9),
        ]
    );
    assert_eq!(rest("RUN a\\"), "a");
    assert_eq!(rest("RUN a\\\\\nRUN b"), "a\\\\");
}

#[test]
fn the_escape_character_can_be_another() {
    let file = Dockerfile::parse("# syntax=docker/dockerfile:1\n# escape=`\nRUN dir c:\\ `\n next")
        .unwrap();
    assert_eq!(
        (file.escape, file.instructions[0].rest.as_str()),
        ('`', "dir c:\\  next")
    );
    // Behind an ordinary comment it is one itself.
    assert_eq!(
        Dockerfile::parse("# hello\n# escape=`\nRUN x")
            .unwrap()
            .escape,
        '\\'
    );
    assert!(
        Dockerfile::parse("# escape=x\nRUN x")
            .unwrap_err()
            .contains("invalid escape token")
    );
}

#[test]
fn flags_come_before_the_rest() {
    let one = parse(r#"COPY --from=a --chown="x y:z" --link -- --odd /to"#).remove(0);
    let flags: Vec<_> = one
        .flags
        .iter()
        .map(|flag| (flag.name.as_str(), flag.value.as_deref()))
        .collect();
    assert_eq!(
        flags,
        [
            ("from", Some("a")),
            ("chown", Some("x y:z")),
            ("link", None)
        ]
    );
    assert_eq!(one.rest, "--odd /to");
    // Of a shell's command they are its own.
    assert_eq!(rest("RUN echo --x"), "echo --x");
    assert_eq!(rest("CMD --x"), "--x");
}

#[test]
fn documents_are_read_to_their_word() {
    let one = parse("COPY <<-EOF <<\"b.txt\" /to/\n\tfirst $x\n EOF\n\tEOF\nsecond\nb.txt\nRUN x")
        .remove(0);
    assert_eq!(one.heredocs.len(), 2);
    assert_eq!(
        (one.heredocs[0].content.as_str(), one.heredocs[0].expand),
        ("first $x\n EOF\n", true)
    );
    assert_eq!(
        (
            one.heredocs[1].name.as_str(),
            one.heredocs[1].content.as_str()
        ),
        ("b.txt", "second\n")
    );
    assert!(!one.heredocs[1].expand);
    assert!(
        Dockerfile::parse("RUN <<X\nno end")
            .unwrap_err()
            .contains("unterminated heredoc")
    );
    assert!(parse(r#"RUN ["<<EOF"]"#)[0].heredocs.is_empty());
    assert!(parse("RUN cat <<<EOF")[0].heredocs.is_empty());
}

#[test]
fn what_is_none_is_refused_with_its_line() {
    for (text, words) in [
        ("", "no instructions"),
        ("# only\n", "no instructions"),
        ("FROM a\nBUY milk", "line 2: unknown instruction: BUY"),
        ("FROM", "line 1: FROM requires at least one argument"),
    ] {
        let error = Dockerfile::parse(text).unwrap_err();
        assert!(error.contains(words), "{text:?}: {error}");
    }
    assert!(Dockerfile::parse_one("RUN a\nRUN b").is_err());
}

proptest! {
    #[test]
    fn no_text_confuses_it(text in "(\\PC|\\n|\\\\\n|<<E\n|E\n|RUN |COPY --|FROM |#|\"|'){0,60}") {
        if let Ok(file) = Dockerfile::parse(&text) {
            for one in file.instructions {
                prop_assert!(INSTRUCTIONS.contains(&one.name.as_str()));
                prop_assert!(one.line >= 1 && one.line <= text.lines().count());
            }
        }
    }
}
