//! Words of an instruction, as a shell would read them: quotes, backslashes, variables.

/// Reads words with the variables of a configuration.
#[derive(Debug)]
pub(super) struct Words {
    variables: Vec<(String, String)>,
}

impl Words {
    /// Knows the variables `env` (`KEY=value`).
    pub(super) fn new(env: &[String]) -> Self {
        let variables = env
            .iter()
            .filter_map(|entry| entry.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self { variables }
    }

    /// Splits a text at spaces outside of quotes, with quotes and variables replaced.
    ///
    /// # Errors
    /// What is not closed.
    pub(super) fn split(&self, text: &str) -> Result<Vec<String>, String> {
        self.split_raw(text)?
            .iter()
            .map(|word| self.expand(word))
            .collect()
    }

    /// Splits a text at spaces outside of quotes, leaving quotes and variables as they are.
    ///
    /// # Errors
    /// What is not closed.
    #[expect(
        clippy::unused_self,
        reason = "one of three ways to read the same text"
    )]
    pub(super) fn split_raw(&self, text: &str) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quote = None;
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (character, quote) {
                ('\\', None | Some('"')) => {
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
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        let mut in_double = false;
        while let Some(character) = rest.chars().next() {
            let after = &rest[character.len_utf8()..];
            rest = match character {
                '\'' if !in_double => {
                    let (quoted, after) = after.split_once('\'').ok_or_else(unclosed)?;
                    expanded.push_str(quoted);
                    after
                }
                '"' => {
                    in_double = !in_double;
                    after
                }
                '\\' => match after.chars().next() {
                    Some(escaped) if !in_double || matches!(escaped, '"' | '$' | '\\') => {
                        expanded.push(escaped);
                        &after[escaped.len_utf8()..]
                    }
                    _ => {
                        expanded.push('\\');
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
            let (inner, after) = inner
                .split_once('}')
                .ok_or_else(|| format!("missing }} in ${text}"))?;
            let (name, modifier) = inner.split_at(name_end(inner));
            let value = self.value(name).filter(|value| !value.is_empty());
            match (modifier.get(..2), modifier.get(2..)) {
                _ if modifier.is_empty() => expanded.push_str(value.unwrap_or_default()),
                (Some(":-"), Some(other)) => match value {
                    Some(value) => expanded.push_str(value),
                    None => expanded.push_str(&self.expand(other)?),
                },
                (Some(":+"), Some(other)) if value.is_some() => {
                    expanded.push_str(&self.expand(other)?);
                }
                (Some(":+"), Some(_)) => {}
                _ => return Err(format!("unsupported modifier ({modifier}) in substitution")),
            }
            return Ok(after);
        }
        let (name, after) = text.split_at(name_end(text));
        if name.is_empty() {
            expanded.push('$');
        }
        expanded.push_str(self.value(name).unwrap_or_default());
        Ok(after)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn unclosed() -> String {
    "unexpected end of statement while looking for matching quote".to_owned()
}
