//! `.dockerignore`: which files of a build's context are not there.
//!
//! Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher (what a pattern matches).

use regex::bytes::Regex;

/// Patterns, the last that matches decides.
#[derive(Debug, Default)]
pub(super) struct Ignore {
    patterns: Vec<(Regex, bool)>,
}

impl Ignore {
    /// Reads the lines of a `.dockerignore`.
    ///
    /// # Errors
    /// The pattern that is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::of(text.strip_prefix('\u{feff}').unwrap_or(text).lines())
    }

    /// Takes patterns, such as those of `--exclude`.
    ///
    /// # Errors
    /// The pattern that is none.
    pub(super) fn of<'t>(lines: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for line in lines {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (excluded, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (false, pattern.trim()),
                None => (true, line),
            };
            let pattern = cleaned(pattern);
            if pattern.is_empty() {
                continue;
            }
            let regex = regex_of(&pattern).map_err(|why| format!("pattern {line:?}: {why}"))?;
            patterns.push((regex, excluded));
        }
        Ok(Self { patterns })
    }

    /// Whether there is nothing to leave out.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a path (relative, clean) is left out: by itself, or with a directory above it.
    pub(super) fn excludes(&self, path: &[u8]) -> bool {
        let mut excluded = false;
        for (regex, excludes) in &self.patterns {
            if *excludes == excluded {
                continue;
            }
            let above = path
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(index, _)| &path[..index]);
            if regex.is_match(path) || above.into_iter().any(|parent| regex.is_match(parent)) {
                excluded = *excludes;
            }
        }
        excluded
    }

    /// Whether something below an excluded directory may be put back, so that it must be looked into.
    pub(super) fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|(_, excludes)| !excludes)
    }
}

/// The pattern without what means nothing: slashes at its ends, `.`, inner `..`.
fn cleaned(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A pattern of Go's `filepath.Match`, and `**` for any number of directories, as an expression for a whole path.
///
/// # Errors
/// A range or an escape that does not end.
pub(super) fn regex_of(pattern: &str) -> Result<Regex, String> {
    let mut expression = String::from("^");
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '*' if after.starts_with('*') => {
                let after = &after[1..];
                if let Some(after) = after.strip_prefix('/') {
                    // Also no directory at all.
                    expression.push_str("(?:.*/)?");
                    after
                } else {
                    expression.push_str(".*");
                    after
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                after
            }
            '?' => {
                expression.push_str("[^/]");
                after
            }
            '[' => range(after, &mut expression)?,
            '\\' => {
                let literal = after.chars().next().ok_or("syntax error in pattern")?;
                expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
                &after[literal.len_utf8()..]
            }
            literal => {
                expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
                after
            }
        };
    }
    expression.push('$');
    Regex::new(&format!("(?s-u){expression}"))
        .or_else(|_not_bytes| Regex::new(&format!("(?s){expression}")))
        .map_err(|_error| "syntax error in pattern".to_owned())
}

/// `[a-z]` or `[^a-z]`, behind its bracket.
fn range<'t>(text: &'t str, expression: &mut String) -> Result<&'t str, String> {
    let end = || "syntax error in pattern".to_owned();
    let (negated, mut rest) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut class = String::new();
    loop {
        let character = rest.chars().next().ok_or_else(end)?;
        rest = &rest[character.len_utf8()..];
        match character {
            ']' if !class.is_empty() => break,
            '-' if !class.is_empty() => class.push('-'),
            '\\' => {
                let literal = rest.chars().next().ok_or_else(end)?;
                rest = &rest[literal.len_utf8()..];
                class.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
            }
            literal => class.push_str(&class_literal(literal)),
        }
    }
    expression.push_str(if negated { "[^/" } else { "[" });
    expression.push_str(&class);
    expression.push(']');
    Ok(rest)
}

fn class_literal(character: char) -> String {
    if character.is_alphanumeric() {
        character.to_string()
    } else {
        regex::escape(character.encode_utf8(&mut [0; 4]))
            .replace('&', "\\&")
            .replace('~', "\\~")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excluded(patterns: &str, path: &str) -> bool {
        Ignore::parse(patterns).unwrap().excludes(path.as_bytes())
    }

    #[test]
    fn patterns_mean_what_they_mean_to_docker() {
        for (patterns, path, expected) in [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("/a/", "a", true),
            ("*/a", "x/a", true),
            ("*/a", "x/y/a", false),
            ("**/a", "a", true),
            ("**/a", "x/y/a", true),
            ("a/**", "a/x/y", true),
            ("a/**", "a", false),
            ("**", "anything/at/all", true),
            ("*.md", "x.md", true),
            ("*.md", "sub/x.md", false),
            ("?.md", "x.md", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README.md", "x.md", true),
            ("d\n!d/keep", "d/keep", false),
            ("d\n!d/keep", "d/other", true),
            ("!x\nx", "x", true),
            ("# comment\n\n x ", "x", true),
            ("a.b", "axb", false),
            ("./a/../b", "b", true),
        ] {
            assert_eq!(excluded(patterns, path), expected, "{patterns:?} {path:?}");
        }
        assert!(Ignore::parse("[a").is_err());
        assert!(Ignore::parse("a\\").is_err());
        assert!(Ignore::parse("#\n").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_pattern_confuses_it(pattern in "(\\PC|\\[|\\]|\\*|\\\\|!|/|-|\\^){0,20}", path in "[a-c/]{0,8}") {
            if let Ok(ignore) = Ignore::parse(&pattern) {
                ignore.excludes(path.as_bytes());
            }
        }

        #[test]
        fn a_plain_name_matches_itself_alone(name in "[a-zA-Z0-9_.+(){}$ -]{1,12}", other in "[a-z]{1,12}") {
            let name = name.trim();
            if !name.is_empty() && name != "." && name != ".." {
                prop_assert!(excluded(name, name));
                prop_assert_eq!(excluded(name, &other), name == other);
            }
        }
    }
}
