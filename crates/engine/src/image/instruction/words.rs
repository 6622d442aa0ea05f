//! Words of an instruction, as a shell would read them: quotes, backslashes, variables.

/// Reads words with the variables of a configuration.
#[derive(Debug)]
pub(crate) struct Words {
    variables: Vec<(String, String)>,
    escape: char,
}

impl Words {
    /// Knows the variables `env` (`KEY=value`); of several with one name the first counts. `escape` takes the meaning of
    /// the character behind it.
    pub(crate) fn new<'e>(env: impl IntoIterator<Item = &'e String>, escape: char) -> Self {
        let variables = env
            .into_iter()
            .filter_map(|entry| entry.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { variables, escape }
    }

    /// Splits a text at spaces outside of quotes, with quotes and variables replaced.
    ///
    /// # Errors
    /// What is not closed.
    pub(crate) fn split(&self, text: &str) -> Result<Vec<String>, String> {
        self.split_raw(text)?
            .iter()
            .map(|word| self.expand(word))
            .collect()
    }

    /// Splits a text at spaces outside of quotes, leaving quotes and variables as they are.
    ///
    /// # Errors
    /// What is not closed.
    pub(crate) fn split_raw(&self, text: &str) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quote = None;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (character, quote) {
                (escape, None | Some('"')) if escape == self.escape => {
                    word.push(character);
                    word.extend(characters.next());
                    continue;
                }
                ('"' | '\'', None) => quote = Some(character),
                (end, Some(begin)) if end == begin => quote = None,
                (space, None) if space.is_whitespace() => {
                    if !word.is_empty() {
                        words.push(std::mem::take(&mut word));
                    }
                    continue;
                }
                _ => {}
            }
            word.push(character);
        }
        if quote.is_some() {
            return Err("unexpected end of statement while looking for matching quote".to_owned());
        }
        if !word.is_empty() {
            words.push(word);
        }
        Ok(words)
    }

    /// Replaces quotes, backslashes and variables in one word.
    ///
    /// # Errors
    /// What is not closed.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        self.replace(text, true)
    }

    /// Replaces variables, and what is escaped, in a text whose quotes are its own.
    ///
    /// # Errors
    /// What is not closed.
    pub(crate) fn expand_text(&self, text: &str) -> Result<String, String> {
        self.replace(text, false)
    }

    fn replace(&self, text: &str, quotes: bool) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        let mut in_double = false;
        while let Some(character) = rest.chars().next() {
            let after = &rest[character.len_utf8()..];
            rest = match character {
                '\'' if quotes && !in_double => {
                    let (quoted, after) = after.split_once('\'').ok_or_else(unclosed)?;
                    expanded.push_str(quoted);
                    after
                }
                '"' if quotes => {
                    in_double = !in_double;
                    after
                }
                escape if escape == self.escape => match after.chars().next() {
                    Some(escaped)
                        if (quotes && !in_double)
                            || matches!(escaped, '"' | '$')
                            || escaped == escape =>
                    {
                        expanded.push(escaped);
                        &after[escaped.len_utf8()..]
                    }
                    _ => {
                        expanded.push(escape);
                        after
                    }
                },
                '$' => self.variable(after, &mut expanded)?,
                other => {
                    expanded.push(other);
                    after
                }
            };
        }
        if in_double {
            return Err(unclosed());
        }
        Ok(expanded)
    }

    /// Appends the variable that `text` (behind the `$`) begins with, and returns what is behind it.
    fn variable<'t>(&self, text: &'t str, expanded: &mut String) -> Result<&'t str, String> {
        let name_end = |text: &str| {
            text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(text.len())
        };
        if let Some(inner) = text.strip_prefix('{') {
            let (inner, after) =
                to_closing_brace(inner).ok_or_else(|| format!("missing }} in ${text}"))?;
            let (name, modifier) = inner.split_at(name_end(inner));
            self.modified(name, modifier, expanded)?;
            return Ok(after);
        }
        let (name, after) = text.split_at(name_end(text));
        if name.is_empty() {
            expanded.push('$');
        }
        expanded.push_str(self.value(name).unwrap_or_default());
        Ok(after)
    }

    /// Appends `${name` with what follows it: with a colon an empty value is as none.
    fn modified(&self, name: &str, modifier: &str, expanded: &mut String) -> Result<(), String> {
        let value = self.value(name);
        let (value, kind) = match modifier.strip_prefix(':') {
            Some(kind) => (value.filter(|value| !value.is_empty()), kind),
            None => (value, modifier),
        };
        let unsupported = || format!("unsupported modifier ({modifier}) in substitution");
        let mut characters = kind.chars();
        match (characters.next(), characters.as_str()) {
            (None, _) if modifier.is_empty() => expanded.push_str(value.unwrap_or_default()),
            (Some('-'), other) => match value {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&self.expand(other)?),
            },
            (Some('+'), other) => {
                if value.is_some() {
                    expanded.push_str(&self.expand(other)?);
                }
            }
            (Some('?'), other) => match value {
                Some(value) => expanded.push_str(value),
                None if other.is_empty() => {
                    return Err(format!("{name}: is not allowed to be unset"));
                }
                None => return Err(format!("{name}: {}", self.expand(other)?)),
            },
            _ => return Err(unsupported()),
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What stands before the brace that closes the one before `text`, and what behind it.
fn to_closing_brace(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (index, character) in text.char_indices() {
        match character {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some((&text[..index], &text[index + 1..])),
            '}' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

fn unclosed() -> String {
    "unexpected end of statement while looking for matching quote".to_owned()
}
