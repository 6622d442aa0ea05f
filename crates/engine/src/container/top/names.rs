//! Names of users and groups: `/etc/passwd` and `/etc/group` of the host.

use std::{collections::HashMap, fs};

/// Names by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<u32, String>);

impl Names {
    /// Those of the users.
    pub(super) fn users() -> Self {
        Self::parse(&fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    /// Those of the groups.
    pub(super) fn groups() -> Self {
        Self::parse(&fs::read_to_string("/etc/group").unwrap_or_default())
    }

    /// Reads lines `name:password:number:…`.
    pub(super) fn parse(content: &str) -> Self {
        let mut names = HashMap::new();
        for line in content.lines() {
            let mut fields = line.split(':');
            let (Some(name), _, Some(number)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if let Ok(number) = number.parse() {
                // The first one counts, as for getpwuid.
                names.entry(number).or_insert_with(|| name.to_owned());
            }
        }
        Self(names)
    }

    /// The name of a number, or the number where it has none.
    pub(super) fn of(&self, number: u32) -> String {
        let name = self.0.get(&number).cloned();
        name.unwrap_or_else(|| number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let names = Names::parse("root:x:0:0:root\ntoor:x:0:0\n# comment\nbad:x:y\n\nme:x:7:\n");
        assert_eq!(names.of(0), "root");
        assert_eq!(names.of(7), "me");
        assert_eq!(names.of(8), "8");
    }
}
