//! Paths as texts, where no file system is to be asked.

/// Returns an absolute path without `.`, `..`, doubled and trailing slashes; `None` for a relative one and one with a
/// zero byte.
pub(crate) fn clean_absolute(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_to_one_form() {
        for (path, expected) in [
            ("/", Some("/")),
            ("//a/./b/../c/", Some("/a/c")),
            ("/../../x", Some("/x")),
            ("x", None),
            ("", None),
            ("/a\0b", None),
        ] {
            assert_eq!(clean_absolute(path).as_deref(), expected, "{path:?}");
        }
    }
}
