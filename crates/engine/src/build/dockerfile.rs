//! Reads a Dockerfile into instructions: comments, continued lines, flags and here-documents taken apart; what an
//! instruction means is not known here.
//!
//! Source: Dockerfile reference ("Format", "Parser directives", "Here-Documents"); moby/buildkit frontend/dockerfile/parser
//! for what the reference leaves open.

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Most bytes of a Dockerfile.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// A Dockerfile that could be read.
#[derive(Clone, Debug)]
pub(super) struct Dockerfile {
    /// What continues a line and takes a character's meaning away.
    pub(super) escape: char,
    /// In order.
    pub(super) instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Instruction {
    /// In capitals.
    pub(super) name: String,
    /// `--name=value`, before everything else.
    pub(super) flags: Vec<Flag>,
    /// What follows, on one line.
    pub(super) rest: String,
    /// Documents that `rest` refers to, in order.
    pub(super) heredocs: Vec<Heredoc>,
    /// As people wrote it, on one line.
    pub(super) original: String,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

/// `--name=value` or `--name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// Without the dashes.
    pub(super) name: String,
    /// What follows the sign.
    pub(super) value: Option<String>,
}

/// A file inside the Dockerfile: `<<EOF` and the lines up to `EOF`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heredoc {
    /// The word behind `<<`.
    pub(super) name: String,
    /// Its lines.
    pub(super) content: String,
    /// Variables in it are replaced: its word is not quoted.
    pub(super) expand: bool,
    /// The word as it stands in the instruction, `<<-"EOF"`.
    pub(super) word: String,
    /// With `<<-` tabs at the beginning of a line are taken off.
    strip_tabs: bool,
}

/// Instructions whose flags are theirs.
const WITH_FLAGS: [&str; 4] = ["ADD", "COPY", "FROM", "RUN"];
/// Instructions that take here-documents.
const WITH_HEREDOCS: [&str; 3] = ["ADD", "COPY", "RUN"];
/// All there are.
const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Dockerfile {
    /// Reads the text of a Dockerfile.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let escape = directives(text)?;
        let mut lines: VecDeque<(usize, &str)> = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .collect();
        let mut instructions = Vec::new();
        while let Some((number, line)) = logical_line(&mut lines, escape) {
            let mut one = instruction(&line, number, escape)?;
            if WITH_HEREDOCS.contains(&one.name.as_str()) {
                one.heredocs = heredocs(&one.rest, escape);
                for document in &mut one.heredocs {
                    document.content = document_lines(document, &mut lines).ok_or_else(|| {
                        at(
                            number,
                            &format!("unterminated heredoc: {:?} does not end", document.name),
                        )
                    })?;
                }
            }
            instructions.push(one);
        }
        if instructions.is_empty() {
            return Err("file with no instructions".to_owned());
        }
        Ok(Self {
            escape,
            instructions,
        })
    }

    /// Reads a single instruction, such as a trigger of an image.
    ///
    /// # Errors
    /// As [`Dockerfile::parse`].
    pub(super) fn parse_one(text: &str) -> Result<Instruction, String> {
        let mut parsed = Self::parse(text)?.instructions;
        match (parsed.pop(), parsed.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(format!("{text:?} is not one instruction")),
        }
    }
}

fn at(line: usize, what: &str) -> String {
    format!("dockerfile parse error line {line}: {what}")
}

/// The escape character that the directives at the top say.
fn directives(text: &str) -> Result<char, String> {
    let mut escape = None;
    for (index, line) in text.lines().enumerate() {
        let Some((key, value)) = line
            .trim()
            .strip_prefix('#')
            .and_then(|comment| comment.split_once('='))
            .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim()))
        else {
            break;
        };
        match key.as_str() {
            "escape" if escape.is_some() => {
                return Err(at(
                    index + 1,
                    "only one escape parser directive can be used",
                ));
            }
            "escape" => {
                escape = Some(match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => {
                        return Err(at(
                            index + 1,
                            &format!("invalid escape token {value:?}: must be ` or \\"),
                        ));
                    }
                });
            }
            // Which front end to use and which checks to make: there is one here, and it makes its own.
            "syntax" | "check" => {}
            _ => break,
        }
    }
    Ok(escape.unwrap_or('\\'))
}

/// The next line with all that continues it; empty lines and comments are none, also between its parts.
fn logical_line(lines: &mut VecDeque<(usize, &str)>, escape: char) -> Option<(usize, String)> {
    let mut whole = String::new();
    let mut begin = None;
    while let Some((number, line)) = lines.pop_front() {
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') || trimmed.trim_end().is_empty() {
            continue;
        }
        let first = begin.is_none();
        let begin = *begin.get_or_insert(number);
        let line = if first { trimmed } else { line };
        let Some(part) = continued(line, escape) else {
            whole.push_str(line);
            return Some((begin, whole.trim_end().to_owned()));
        };
        whole.push_str(part);
    }
    // The file ends within a line.
    begin.map(|begin| (begin, whole.trim_end().to_owned()))
}

/// The line without the escape character that ends it; not one that is escaped itself.
fn continued(line: &str, escape: char) -> Option<&str> {
    let part = line
        .trim_end_matches([' ', '\t', '\r'])
        .strip_suffix(escape)?;
    (!part.ends_with(escape)).then_some(part)
}

fn instruction(line: &str, number: usize, escape: char) -> Result<Instruction, String> {
    let (name, rest) = line
        .split_once(char::is_whitespace)
        .map_or((line, ""), |(name, rest)| (name, rest.trim()));
    let name = name.to_ascii_uppercase();
    if !INSTRUCTIONS.contains(&name.as_str()) {
        return Err(at(number, &format!("unknown instruction: {name}")));
    }
    if rest.is_empty() {
        return Err(at(
            number,
            &format!("{name} requires at least one argument"),
        ));
    }
    let (flags, after) = if WITH_FLAGS.contains(&name.as_str()) {
        flags(rest, escape)
    } else {
        (Vec::new(), rest)
    };
    Ok(Instruction {
        original: format!("{name} {rest}"),
        flags,
        rest: after.to_owned(),
        heredocs: Vec::new(),
        line: number,
        name,
    })
}

/// The flags that a line begins with, and what follows them.
fn flags(text: &str, escape: char) -> (Vec<Flag>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    while rest.starts_with("--") {
        let end = word_end(rest, escape);
        let (word, after) = rest.split_at(end);
        rest = after.trim_start();
        if word == "--" {
            break;
        }
        let word = unquoted(&word[2..], escape);
        found.push(match word.split_once('=') {
            Some((name, value)) => Flag {
                name: name.to_owned(),
                value: Some(value.to_owned()),
            },
            None => Flag {
                name: word,
                value: None,
            },
        });
    }
    (found, rest)
}

/// Where the first word of a text ends: at a space that is neither quoted nor escaped.
fn word_end(text: &str, escape: char) -> usize {
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match (character, quote) {
            (c, None | Some('"')) if c == escape => {
                characters.next();
            }
            ('"' | '\'', None) => quote = Some(character),
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => return index,
            _ => {}
        }
    }
    text.len()
}

fn unquoted(word: &str, escape: char) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (c, None | Some('"')) if c == escape => plain.extend(characters.next()),
            ('"' | '\'', None) => quote = Some(character),
            (c, Some(open)) if c == open => quote = None,
            _ => plain.push(character),
        }
    }
    plain
}

/// The documents that the words of a line announce.
fn heredocs(rest: &str, escape: char) -> Vec<Heredoc> {
    let mut found = Vec::new();
    let mut text = rest.trim_start();
    if serde_json::from_str::<Vec<String>>(text).is_ok() {
        return found;
    }
    while !text.is_empty() {
        let (word, after) = text.split_at(word_end(text, escape));
        found.extend(announced(word));
        text = after.trim_start();
    }
    found
}

/// `<<NAME`, `<<-NAME`, either with the name in quotes and a number of a descriptor before it.
fn announced(word: &str) -> Option<Heredoc> {
    let after = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let after = after.strip_prefix("<<")?;
    let (strip_tabs, quoted) = match after.strip_prefix('-') {
        Some(after) => (true, after),
        None => (false, after),
    };
    let bare = ['"', '\'']
        .iter()
        .find_map(|quote| quoted.strip_prefix(*quote)?.strip_suffix(*quote));
    let name = bare.unwrap_or(quoted);
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    plain.then(|| Heredoc {
        name: name.to_owned(),
        content: String::new(),
        expand: bare.is_none(),
        word: word.to_owned(),
        strip_tabs,
    })
}

/// The lines up to the document's word; `None` when it does not come.
fn document_lines(document: &Heredoc, lines: &mut VecDeque<(usize, &str)>) -> Option<String> {
    let mut content = String::new();
    while let Some((_number, line)) = lines.pop_front() {
        let line = if document.strip_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        if line == document.name {
            return Some(content);
        }
        content.push_str(line);
        content.push('\n');
    }
    None
}
